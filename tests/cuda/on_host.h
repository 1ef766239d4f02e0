/* CUDA on the processor, as far as ref/cuda needs it: a kernel is a function, a block's threads are fibers that take
   turns, and they change at __syncthreads and at the shuffles of a warp. So every kernel is tested where there is no
   device. It finds wrong numbers, rows, tails and signs; a barrier that not all threads reach; shared memory that is
   read before it is written (it holds NaN at first); and, since the fibers run in several orders (on_host_order),
   threads that do not wait for each other. It does not find what only hardware has: too many registers, limits of a
   device, speed. */
#ifndef AVIARY_ON_HOST_H
#define AVIARY_ON_HOST_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- what a kernel sees ---- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define KERNEL static void
#define DEVICE static inline
#define BOTH static inline

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads(void);
void __syncwarp(unsigned mask = 0xffffffffu);
/* The 8 bytes that each lane of the warp brings; `from` says whose it gets. */
uint64_t on_host_shuffle(unsigned mask, uint64_t mine, unsigned from);
unsigned on_host_lane(void);

template <class T> static inline T __shfl_sync(unsigned mask, T x, int from, int width = 32)
{
  uint64_t bits = 0;
  unsigned lane = on_host_lane();
  memcpy(&bits, &x, sizeof x);
  bits = on_host_shuffle(mask, bits, (lane & ~(unsigned)(width - 1)) | ((unsigned)from & (unsigned)(width - 1)));
  memcpy(&x, &bits, sizeof x);
  return x;
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int other, int width = 32)
{
  return __shfl_sync(mask, x, (int)((on_host_lane() ^ (unsigned)other) & (unsigned)(width - 1)), width);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32)
{
  unsigned lane = on_host_lane() & (unsigned)(width - 1);
  return __shfl_sync(mask, x, (int)(lane + by < (unsigned)width ? lane + by : lane), width);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32)
{
  unsigned lane = on_host_lane() & (unsigned)(width - 1);
  return __shfl_sync(mask, x, (int)(lane >= by ? lane - by : lane), width);
}
template <class T> static inline T __ldg(const T *p) { return *p; }

struct float4 {
  float x, y, z, w;
};
struct double2 {
  double x, y;
};

/* ---- shared memory: NaN in every byte whenever a block begins ---- */

extern unsigned on_host_block; /* counts all blocks that were ever run */
extern unsigned char *on_host_dynamic;
template <class T> static inline void on_host_fresh(T &shared, unsigned *block)
{
  if (*block == on_host_block) return;
  *block = on_host_block;
  memset((void *)&shared, 0xff, sizeof shared);
}
#define SHARED(type, name, sizes)  \
  static type name sizes;          \
  static unsigned name##_of_block; \
  on_host_fresh(name, &name##_of_block)
#define DYNAMIC_SHARED(type, name) type *name = (type *)(void *)on_host_dynamic

/* ---- launching ---- */

void on_host_run(dim3 blocks, dim3 threads, size_t bytes, const char *name, void (*call)(const void *),
                 const void *arg);
template <class F> static void on_host_launch(dim3 blocks, dim3 threads, size_t bytes, const char *name, const F &f)
{
  on_host_run(
      blocks, threads, bytes, name, [](const void *g) { (*(const F *)g)(); }, &f);
}
#define LAUNCH(kernel, blocks, threads, bytes, ...)                                              \
  do {                                                                                           \
    on_host_launch(dim3(blocks), dim3(threads), bytes, #kernel, [&] { (kernel)(__VA_ARGS__); }); \
    device_launched(#kernel);                                                                    \
  } while (0)

/* In which order the fibers of a block run between two barriers, and the blocks of a launch. */
typedef enum { ORDER_FORWARD, ORDER_BACKWARD, ORDER_SHUFFLED } OnHostOrder; /* as on_host_backend.h has them, for C */
extern "C" void on_host_order(OnHostOrder order);

/* ---- the runtime ---- */

typedef enum {
  cudaSuccess = 0,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100
} cudaError_t;
typedef struct OnHostStream *cudaStream_t;
typedef struct OnHostEvent *cudaEvent_t;
typedef enum { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 } cudaMemcpyKind;
typedef enum { cudaDevAttrMaxSharedMemoryPerBlockOptin } cudaDeviceAttr;
typedef enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;
struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount;
  size_t totalGlobalMem;
};

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device);
cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s);
cudaError_t cudaMemsetAsync(void *p, int byte, size_t bytes, cudaStream_t s);
cudaError_t cudaMemset2DAsync(void *p, size_t row, int byte, size_t bytes, size_t rows, cudaStream_t s);
cudaError_t cudaStreamCreate(cudaStream_t *s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaGetLastError(void);
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute what, int value);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
const char *cudaGetErrorString(cudaError_t e);

/* ---- cuBLAS, as plain loops (blas_on_host.cpp) ---- */

typedef enum { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_INVALID_VALUE = 7 } cublasStatus_t;
typedef enum { CUBLAS_OP_N, CUBLAS_OP_T } cublasOperation_t;
typedef enum { CUDA_R_32F, CUDA_R_64F } cudaDataType;
typedef enum {
  CUBLAS_COMPUTE_32F,
  CUBLAS_COMPUTE_64F,
  CUBLAS_COMPUTE_32F_FAST_TF32,
  CUBLAS_COMPUTE_32F_FAST_16BF
} cublasComputeType_t;
typedef enum { CUBLAS_GEMM_DEFAULT = -1 } cublasGemmAlgo_t;
typedef struct OnHostBlas *cublasHandle_t;

cublasStatus_t cublasCreate(cublasHandle_t *h);
cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t s);
cublasStatus_t cublasSetWorkspace(cublasHandle_t h, void *workspace, size_t bytes);
const char *cublasGetStatusString(cublasStatus_t s);
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void *alpha, const void *A, cudaDataType type_a, int lda, const void *B,
                            cudaDataType type_b, int ldb, const void *beta, void *C, cudaDataType type_c, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                                          int k, const void *alpha, const void *A, cudaDataType type_a, int lda,
                                          long long step_a, const void *B, cudaDataType type_b, int ldb,
                                          long long step_b, const void *beta, void *C, cudaDataType type_c, int ldc,
                                          long long step_c, int count, cublasComputeType_t compute,
                                          cublasGemmAlgo_t algorithm);

#endif
