#include "blas.h"

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
}

/* cuBLAS has columns one after the other: to it each matrix is turned, and C' = op(B)' op(A)'. */
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
  cublasComputeType_t compute = computes[products_in];
#endif
  if (!p->M || !p->N) return;
  check(cublasGemmStridedBatchedEx(
            handle, p->B_is_turned ? CUBLAS_OP_T : CUBLAS_OP_N, p->A_is_turned ? CUBLAS_OP_T : CUBLAS_OP_N, (int)p->N,
            (int)p->M, (int)p->K, &one, p->B, type, (int)(p->B_is_turned ? p->K : p->N), (long long)p->step_B, p->A,
            type, (int)(p->A_is_turned ? p->M : p->K), (long long)p->step_A, p->add ? &one : &zero, p->C, type,
            (int)p->N, (long long)p->step_C, (int)larger(p->batch, 1), compute, CUBLAS_GEMM_DEFAULT),
        "product");
  device_counts.launches++;
}
