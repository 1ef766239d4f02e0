/* What a thread holds in registers: arrays that are numbered by constants, once loops are unrolled, and four numbers
   that are read at once. */
#ifndef AVIARY_CUDA_REGISTERS_H
#define AVIARY_CUDA_REGISTERS_H

#include "device.h"

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
#else
#define UNROLL
#define NO_UNROLL
#endif

struct alignas(16) Four {
  real x[4];
};

#endif
