/* What ref/cuda asks of cuBLAS, as plain loops over columns, as cuBLAS has them. */
#include "on_host.h"

cublasStatus_t cublasCreate(cublasHandle_t *h) { return *h = NULL, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace(cublasHandle_t, void *, size_t) { return CUBLAS_STATUS_SUCCESS; }
const char *cublasGetStatusString(cublasStatus_t s) { return s == CUBLAS_STATUS_SUCCESS ? "success" : "invalid value"; }

/* To so many bits of the fraction, to the even one of two. */
static float rounded(float x, int bits)
{
  uint32_t u, unit = 1u << (23 - bits);
  memcpy(&u, &x, sizeof u);
  if ((u & 0x7f800000u) == 0x7f800000u) return x;
  u += unit / 2 - 1 + (u / unit & 1);
  u &= ~(unit - 1);
  memcpy(&x, &u, sizeof x);
  return x;
}

static double at(const void *x, cudaDataType type, size_t i, cublasComputeType_t compute)
{
  if (type == CUDA_R_64F) return ((const double *)x)[i];
  float f = ((const float *)x)[i];
  return (double)(compute == CUBLAS_COMPUTE_32F_FAST_TF32   ? rounded(f, 10)
                  : compute == CUBLAS_COMPUTE_32F_FAST_16BF ? rounded(f, 7)
                                                            : f);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                                          int k, const void *alpha, const void *A, cudaDataType type_a, int lda,
                                          long long step_a, const void *B, cudaDataType type_b, int ldb,
                                          long long step_b, const void *beta, void *C, cudaDataType type_c, int ldc,
                                          long long step_c, int count, cublasComputeType_t compute, cublasGemmAlgo_t)
{
  bool is_double = type_c == CUDA_R_64F;
  if (lda < (ta == CUBLAS_OP_N ? m : k) || ldb < (tb == CUBLAS_OP_N ? k : n) || ldc < m || m < 1 || n < 1 || k < 1 ||
      count < 1 || type_a != type_c || type_b != type_c || is_double != (compute == CUBLAS_COMPUTE_64F))
    return CUBLAS_STATUS_INVALID_VALUE;
  double by = is_double ? *(const double *)alpha : (double)*(const float *)alpha;
  double old = is_double ? *(const double *)beta : (double)*(const float *)beta;
  for (size_t c = 0; c < (size_t)count; c++)
    for (size_t j = 0; j < (size_t)n; j++)
      for (size_t i = 0; i < (size_t)m; i++) {
        size_t from_a = c * (size_t)step_a, from_b = c * (size_t)step_b, to = c * (size_t)step_c + i + j * (size_t)ldc;
        double sum = 0;
        for (size_t p = 0; p < (size_t)k; p++)
          sum += at(A, type_a, from_a + (ta == CUBLAS_OP_N ? i + p * (size_t)lda : p + i * (size_t)lda), compute) *
                 at(B, type_b, from_b + (tb == CUBLAS_OP_N ? p + j * (size_t)ldb : j + p * (size_t)ldb), compute);
        sum *= by;
        if (is_double) ((double *)C)[to] = sum + (old != 0 ? old * ((double *)C)[to] : 0);
        else ((float *)C)[to] = (float)(sum + (old != 0 ? old * (double)((float *)C)[to] : 0));
      }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void *alpha, const void *A, cudaDataType type_a, int lda, const void *B,
                            cudaDataType type_b, int ldb, const void *beta, void *C, cudaDataType type_c, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
  return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, A, type_a, lda, 0, B, type_b, ldb, 0, beta, C, type_c,
                                    ldc, 0, 1, compute, algorithm);
}
