/* What is done to each number by itself: to(i) = value(i), or += it. `value` is a struct with `__device__ real
   operator()(size_t i) const`; `to` is one that gives an address, another one for each i, or plain memory. */
#ifndef AVIARY_CUDA_EACH_H
#define AVIARY_CUDA_EACH_H

#include "device.h"

enum { EACH_PER = 4 }; /* numbers of a thread, which are all read before the first is written */

/* A thread has numbers that are BLOCK apart, so neighbours in a warp read neighbours in memory. */
template <bool ADDS, class To, class Value> KERNEL each_number(To to, Value value, size_t n)
{
  size_t first = blockIdx.x * (size_t)(EACH_PER * BLOCK) + threadIdx.x;
  real v[EACH_PER] = {};
  for (int u = 0; u < EACH_PER; u++) {
    size_t i = first + (size_t)u * BLOCK;
    if (i < n) v[u] = ADDS ? *to(i) + value(i) : value(i);
  }
  for (int u = 0; u < EACH_PER; u++) {
    size_t i = first + (size_t)u * BLOCK;
    if (i < n) *to(i) = v[u];
  }
}

/* The same for two gradients, of which each may be NULL, and which may be one and the same: value(i) has a and b. */
typedef struct {
  real a, b;
} Pair;
template <class Value> KERNEL each_pair(real *ga, real *gb, Value value, size_t n)
{
  size_t first = blockIdx.x * (size_t)(EACH_PER * BLOCK) + threadIdx.x;
  bool same = ga == gb;
  Pair v[EACH_PER] = {};
  for (int u = 0; u < EACH_PER; u++) {
    size_t i = first + (size_t)u * BLOCK;
    if (i >= n) continue;
    v[u] = value(i);
    if (same) v[u].a += v[u].b;
    if (ga) v[u].a += ga[i];
    if (gb) v[u].b += gb[i];
  }
  for (int u = 0; u < EACH_PER; u++) {
    size_t i = first + (size_t)u * BLOCK;
    if (i < n && ga) ga[i] = v[u].a;
    if (i < n && gb && !same) gb[i] = v[u].b;
  }
}

struct Flat {
  real *x;
  __device__ real *operator()(size_t i) const { return x + i; }
};

static unsigned each_blocks(size_t n) { return (unsigned)pieces(n, EACH_PER * BLOCK); }
static unsigned each_threads(size_t n) { return (unsigned)smaller(n, BLOCK); }

template <class To, class Value> static void write_each(To to, Value value, size_t n)
{
  if (n) LAUNCH((each_number<false, To, Value>), each_blocks(n), each_threads(n), 0, to, value, n);
}
template <class To, class Value> static void add_each(To to, Value value, size_t n)
{
  if (n) LAUNCH((each_number<true, To, Value>), each_blocks(n), each_threads(n), 0, to, value, n);
}
template <class Value> static void write_each(real *y, Value value, size_t n) { write_each(Flat{y}, value, n); }
template <class Value> static void add_each(real *gx, Value value, size_t n) { add_each(Flat{gx}, value, n); }
template <class Value> static void add_pairs(real *ga, real *gb, Value value, size_t n)
{
  if (n && (ga || gb)) LAUNCH(each_pair<Value>, each_blocks(n), each_threads(n), 0, ga, gb, value, n);
}

#endif
