/* What every kernel of the device includes. Compiled by nvcc for the device; and, in tests, by a C++ compiler for the
   processor, where the threads of a block take turns (tests/cuda/on_host.h).

   A file c_NAME.cu holds the twins of ref/engine/k_NAME.c: kernels, and for each op of the table a function c_NAME that
   launches them. Everything is put on one stream, so it happens in the order of the calls. Sums have a fixed order and
   nothing is added atomically: the same call gives the same bits. */
#ifndef AVIARY_CUDA_DEVICE_H
#define AVIARY_CUDA_DEVICE_H

#include <math.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
/* LAUNCH(kernel, blocks, threads, bytes of dynamic shared memory, arguments..); a kernel with several parameters of a
   template stands in brackets. */
#define LAUNCH(kernel, blocks, threads, bytes, ...)                   \
  do {                                                                \
    device_prepare(#kernel, (const void *)(kernel), bytes);           \
    (kernel)<<<blocks, threads, bytes, device_stream>>>(__VA_ARGS__); \
    device_launched(#kernel);                                         \
  } while (0)
#define SHARED(type, name, sizes) __shared__ type name sizes /* SHARED(real, tile, [16][17]); */
#define DYNAMIC_SHARED(type, name)                                        \
  extern __shared__ __align__(128) unsigned char device_dynamic_shared[]; \
  type *name = (type *)device_dynamic_shared
#define KERNEL static __global__ void
#define DEVICE static __device__ __forceinline__
#define BOTH static __host__ __device__ __forceinline__
#else
#include "on_host.h"
#endif

#define _Noreturn /* C++ has it not; these headers are C */
extern "C" {
#include "../engine/backend.h"
}
#undef _Noreturn

/* Every op of the table, as k_NAME takes it; its pointers are addresses of the device, but those to index lists, to
   scratch, which is none, and to programs of steps, which are the host's. */
#define OP(name, Struct, ...) void c_##name(const Struct *op);
#include "../engine/op_table.h"

/* ---- what launches use (device.cu) ---- */

extern cudaStream_t device_stream;

void device_prepare(const char *name, const void *kernel, size_t shared_bytes); /* before it is launched, */
void device_launched(const char *kernel);           /* and after: fails with what is wrong */
void device_check(cudaError_t e, const char *what); /* fails if it is an error */
void device_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
extern BackendCounts device_counts;
extern size_t device_most_shared; /* bytes that a block can have */

/* Room on the device until the op's function returns; aligned for any number. */
void *device_scratch(size_t bytes);
/* The same, holding a copy of what the host has. */
void *device_copy(const void *host, size_t bytes);
#define device_index(list, n) ((const int *)device_copy(list, (n) * sizeof(int)))

/* ---- small things ---- */

enum { WARP = 32, BLOCK = 256 }; /* threads; of a block where nothing else is wanted */

BOTH size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
BOTH size_t larger(size_t a, size_t b) { return a > b ? a : b; }
BOTH size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }

/* A thread for each of n items, or as many as fit, each with several. n > 0. */
#define BLOCKS_FOR(n) ((unsigned)smaller(pieces(n, BLOCK), 1u << 20))
#define EACH(i, n)                                                                                                \
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x, step_ = gridDim.x * (size_t)blockDim.x; i < (n); \
       i += step_)

/* Sums over the threads of a warp, and of a block of whole warps, in a fixed order; every thread gets it. All threads
   must come here together. */
template <class T> DEVICE T warp_sum(T x)
{
  for (int other = WARP / 2; other; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
  return x;
}

template <class T> DEVICE T warp_max(T x) /* a NaN stays */
{
  for (int other = WARP / 2; other; other /= 2) {
    T y = __shfl_xor_sync(0xffffffffu, x, other);
    x = x > y || x != x ? x : y;
  }
  return x;
}

template <class T> DEVICE T block_sum(T x)
{
  SHARED(T, part, [WARP]);
  x = warp_sum(x);
  __syncthreads(); /* the last call's parts have been read */
  if (threadIdx.x % WARP == 0) part[threadIdx.x / WARP] = x;
  __syncthreads();
  return warp_sum(threadIdx.x % WARP < blockDim.x / WARP ? part[threadIdx.x % WARP] : (T)0);
}

template <class T> DEVICE T block_max(T x)
{
  SHARED(T, part, [WARP]);
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % WARP == 0) part[threadIdx.x / WARP] = x;
  __syncthreads();
  return warp_max(part[threadIdx.x % WARP < blockDim.x / WARP ? threadIdx.x % WARP : 0]);
}

#endif
