/* Products of 16x16 tiles by a warp: nvcuda::wmma, and the numbers it takes. (Not mma.h: CUDA's own is called so.) */
#ifndef AVIARY_CUDA_TENSOR_CORES_H
#define AVIARY_CUDA_TENSOR_CORES_H

#include "device.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <mma.h>
#else
#include "mma_on_host.h"
#endif

#endif
