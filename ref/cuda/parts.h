/* Sums whose parts several blocks have left in scratch: each number by one thread, its parts in their order. */
#ifndef AVIARY_CUDA_PARTS_H
#define AVIARY_CUDA_PARTS_H

#include "device.h"

template <class T> struct Parts { /* out[i] += the sum over p of part[p n + i]; or out is NULL */
  real *out;
  const T *part;
  size_t parts, n;
};

template <class T> DEVICE void add_parts_of(const Parts<T> &s, size_t i)
{
  if (!s.out || i >= s.n) return;
  T sum = 0;
  for (size_t p = 0; p < s.parts; p++) sum += s.part[p * s.n + i];
  s.out[i] += (real)sum;
}

/* Number i of all three is one thread's: they may be the same memory. */
template <class T> KERNEL parts_kernel(Parts<T> a, Parts<T> b, Parts<T> c, size_t most)
{
  EACH(i, most) {
    add_parts_of(a, i), add_parts_of(b, i), add_parts_of(c, i);
  }
}

template <class T = real> static inline void add_parts(Parts<T> a, Parts<T> b, Parts<T> c = {})
{
  size_t most = larger(a.out ? a.n : 0, larger(b.out ? b.n : 0, c.out ? c.n : 0));
  if (most) LAUNCH(parts_kernel<T>, BLOCKS_FOR(most), BLOCK, 0, a, b, c, most);
}

#endif
