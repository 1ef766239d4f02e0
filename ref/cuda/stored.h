/* Numbers in 16 and 32 bits on the device, as packed.h has them. */
#ifndef AVIARY_CUDA_STORED_H
#define AVIARY_CUDA_STORED_H

#include "device.h"

#include <string.h>

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

/* A function for each Storage, in its order: what `f` makes of each type. */
#define OF_EACH_STORAGE(f)    \
  {                           \
    f<float>, f<Bf16>, f<F16> \
  }

DEVICE float float_of(uint32_t bits)
{
  float x;
  return memcpy(&x, &bits, sizeof x), x;
}

DEVICE real number(float x) { return (real)x; }
DEVICE real number(double x) { return (real)x; }
DEVICE real number(Bf16 x) { return (real)float_of((uint32_t)x.bits << 16); }
/* The exponent of float16, and of its subnormal numbers, is 112 less than that of float32. */
DEVICE real number(F16 x)
{
  uint32_t size = (uint32_t)(x.bits & 0x7fff) << 13, sign = (uint32_t)(x.bits & 0x8000) << 16;
  if (size >= (uint32_t)0x7c00 << 13) return (real)float_of(sign | 0x7f800000u | size); /* no finite number */
  return (real)float_of(sign | 0x3f800000u) *
         (real)(float_of(size) * 5192296858534827628530496329220096.0f); /* 2^112 */
}

enum { EIGHT = 8 };
template <class T> struct alignas(16) Sixteen { /* bytes, which one load brings */
  T at[16 / sizeof(T)];
};

/* Eight numbers that stand together, of which `left` are there; the others are 0. */
template <class T> DEVICE void take_eight(real *to, const T *from, size_t left)
{
  if (left >= EIGHT && (uintptr_t)from % sizeof(Sixteen<T>) == 0) {
    enum { LOADS = EIGHT * sizeof(T) / 16, EACH_LOAD = 16 / sizeof(T) };
    for (int k = 0; k < LOADS; k++) {
      Sixteen<T> some = ((const Sixteen<T> *)from)[k];
      for (int i = 0; i < EACH_LOAD; i++) to[k * EACH_LOAD + i] = number(some.at[i]);
    }
  } else
    for (size_t i = 0; i < EIGHT; i++) to[i] = i < left ? number(from[i]) : (real)0;
}

#endif
