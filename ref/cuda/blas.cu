#include "blas.h"

#include <limits.h>

#ifdef __CUDACC__
#include <cublas_v2.h>
#endif

ProductsIn products_in;

static cublasHandle_t handle;

static void check(cublasStatus_t s, const char *what)
{
  if (s != CUBLAS_STATUS_SUCCESS) device_fail("cuBLAS: %s: %s", what, cublasGetStatusString(s));
}

/* A workspace of its own: then the same product gives the same bits. */
void blas_open(void)
{
  enum { WORKSPACE = 32 << 20 };
  static void *workspace;
  check(cublasCreate(&handle), "create");
  check(cublasSetStream(handle, device_stream), "stream");
  device_check(cudaMalloc(&workspace, WORKSPACE), "room for products");
  check(cublasSetWorkspace(handle, workspace, WORKSPACE), "workspace");
  device_counts.bytes += WORKSPACE;
}

/* A sum of no products. */
static void no_product(const Product *p)
{
  size_t row = p->row_C ? p->row_C : p->N;
  for (size_t i = 0; !p->add && i < larger(p->batch, 1); i++)
    device_check(
        cudaMemset2DAsync(p->C + i * p->step_C, row * sizeof(real), 0, p->N * sizeof(real), p->M, device_stream),
        "zeros");
}

static int as_int(size_t n)
{
  if (n > INT_MAX) device_fail("a product of matrices with a size of %zu, expected %d at most", n, INT_MAX);
  return (int)n;
}

/* cuBLAS has columns one after the other: to it each matrix is turned, and C' = op(B)' op(A)'. One matrix alone is
   asked for by the other function: that one also cuts a long K into parts. */
void product(const Product *p)
{
  static const real one = 1, zero = 0;
#ifdef AVIARY_DOUBLE
  cudaDataType type = CUDA_R_64F;
  cublasComputeType_t compute = CUBLAS_COMPUTE_64F;
#else
  static const cublasComputeType_t computes[] = {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32,
                                                 CUBLAS_COMPUTE_32F_FAST_16BF};
  cudaDataType type = CUDA_R_32F;
  cublasComputeType_t compute = computes[p->factors == FACTORS_BF16 ? PRODUCTS_BF16 : products_in];
#endif
  if (!p->M || !p->N) return;
  if (!p->K) {
    no_product(p);
    return;
  }
  int M = as_int(p->M), N = as_int(p->N), K = as_int(p->K), row_B = p->B_is_turned ? K : N;
  int row_A = p->row_A ? as_int(p->row_A) : p->A_is_turned ? M : K, row_C = p->row_C ? as_int(p->row_C) : N;
  cublasOperation_t turn_A = p->A_is_turned ? CUBLAS_OP_T : CUBLAS_OP_N,
                    turn_B = p->B_is_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
  const real *old = p->add ? &one : &zero;
  if (p->batch > 1)
    check(cublasGemmStridedBatchedEx(handle, turn_B, turn_A, N, M, K, &one, p->B, type, row_B, (long long)p->step_B,
                                     p->A, type, row_A, (long long)p->step_A, old, p->C, type, row_C,
                                     (long long)p->step_C, as_int(p->batch), compute, CUBLAS_GEMM_DEFAULT),
          "products");
  else
    check(cublasGemmEx(handle, turn_B, turn_A, N, M, K, &one, p->B, type, row_B, p->A, type, row_A, old, p->C, type,
                       row_C, compute, CUBLAS_GEMM_DEFAULT),
          "product");
  device_counts.launches++;
}
