/* Many terms made one, for each k: v(k) = term(k,0) + .. + term(k,R-1), in an order that is always the same; or the
   largest of them. A `Sum` is a struct with
     typedef .. Value;                                       what is added up: real, or Largest
     __device__ Value term(size_t k, size_t r) const;
     __device__ void store(size_t k, Value v) const;         what is done with the sum
   Where there are too few k to fill the device, parts of the terms are added first, and then the parts. */
#ifndef AVIARY_CUDA_REDUCE_H
#define AVIARY_CUDA_REDUCE_H

#include "device.h"

/* ---- what can be joined ---- */

typedef struct { /* the first of equals; a NaN is larger than all */
  real x;
  int at; /* -1: nothing yet */
} Largest;

DEVICE void clear_value(real *v) { *v = 0; }
DEVICE void clear_value(Largest *v) { v->x = 0, v->at = -1; }

DEVICE real join(real a, real b) { return a + b; }
DEVICE Largest join(Largest a, Largest b)
{
  if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
  bool nan_a = a.x != a.x, nan_b = b.x != b.x;
  if (nan_a != nan_b) return nan_a ? a : b;
  if (!nan_a && a.x != b.x) return a.x > b.x ? a : b;
  return a.at < b.at ? a : b;
}

DEVICE real across(real v, int other) { return __shfl_xor_sync(0xffffffffu, v, other); }
DEVICE Largest across(Largest v, int other)
{
  Largest got;
  got.x = __shfl_xor_sync(0xffffffffu, v.x, other);
  got.at = __shfl_xor_sync(0xffffffffu, v.at, other);
  return got;
}

/* ---- the kernels ---- */

enum { DOWN_LANES = 32, DOWN_ROWS = BLOCK / DOWN_LANES };

/* Neighbours in memory are those of k: a thread has one k, and every DOWN_ROWS-th r of part blockIdx.y. */
template <class Sum, class Value> KERNEL reduce_down(Sum sum, Value *part, size_t K, size_t R, size_t terms_a_part)
{
  SHARED(Value, rows, [DOWN_ROWS][DOWN_LANES]);
  size_t k = blockIdx.x * (size_t)DOWN_LANES + threadIdx.x, from = blockIdx.y * terms_a_part;
  size_t to = smaller(R, from + terms_a_part);
  Value v;
  clear_value(&v);
  if (k < K)
    for (size_t r = from + threadIdx.y; r < to; r += DOWN_ROWS) v = join(v, sum.term(k, r));
  rows[threadIdx.y][threadIdx.x] = v;
  __syncthreads();
  if (threadIdx.y || k >= K) return;
  for (int y = 1; y < DOWN_ROWS; y++) v = join(v, rows[y][threadIdx.x]);
  if (part) part[blockIdx.y * K + k] = v;
  else sum.store(k, v);
}

/* `group` threads have one k, each every group-th r: a warp or a block where neighbours in memory are those of r; 1
   where there are few r for each k, or k enough for all threads. */
template <class Sum, class Value>
KERNEL reduce_along(Sum sum, Value *part, size_t K, size_t R, size_t terms_a_part, unsigned group)
{
  SHARED(Value, warps, [BLOCK / WARP]);
  size_t k = blockIdx.x * (size_t)(blockDim.x / group) + threadIdx.x / group, from = blockIdx.y * terms_a_part;
  size_t to = smaller(R, from + terms_a_part);
  Value v;
  clear_value(&v);
  if (k < K)
    for (size_t r = from + threadIdx.x % group; r < to; r += group) v = join(v, sum.term(k, r));
  if (group > 1)
    for (int other = WARP / 2; other; other /= 2) v = join(v, across(v, other));
  if (group > WARP) {
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = v;
    __syncthreads();
    for (int w = 1; threadIdx.x == 0 && w < BLOCK / WARP; w++) v = join(v, warps[w]);
  }
  if (threadIdx.x % group || k >= K) return;
  if (part) part[blockIdx.y * K + k] = v;
  else sum.store(k, v);
}

/* ---- launching ---- */

/* part [parts,K], each of so many terms; or, with NULL, what the sum is for. */
template <class Sum, class Value>
static void reduce_parts(Sum sum, Value *part, size_t K, size_t R, size_t parts, size_t terms_a_part, bool along)
{
  enum { FEW = 8, MANY = 1 << 17 };
  bool alone = terms_a_part <= FEW || (!along && K >= MANY);
  unsigned group = alone ? 1 : terms_a_part <= 1024 ? WARP : BLOCK;
  unsigned threads = (unsigned)(alone ? smaller(K, BLOCK) : (size_t)BLOCK);
  size_t ks = !alone && !along ? (size_t)DOWN_LANES : threads / group; /* of a block */
  dim3 blocks((unsigned)pieces(K, ks), (unsigned)parts), down(DOWN_LANES, DOWN_ROWS);
  if (alone || along) LAUNCH((reduce_along<Sum, Value>), blocks, threads, 0, sum, part, K, R, terms_a_part, group);
  else LAUNCH((reduce_down<Sum, Value>), blocks, down, 0, sum, part, K, R, terms_a_part);
}

template <class Sum> struct PartsOf {
  typedef typename Sum::Value Value;
  Sum sum;
  const Value *part;
  size_t K;
  __device__ Value term(size_t k, size_t p) const { return part[p * K + k]; }
  __device__ void store(size_t k, Value v) const { sum.store(k, v); }
};

/* along: where r moves, the terms are neighbours in memory; otherwise where k moves. */
template <class Sum> static void reduce(Sum sum, size_t K, size_t R, bool along)
{
  typedef typename Sum::Value Value;
  enum { LEAST = 16 * BLOCK, LEAST_DOWN = 32 * DOWN_ROWS, FILLED = 1024, NARROW = 16 };
  if (!K) return;
  along = along || K < NARROW;
  size_t blocks = along ? K : pieces(K, DOWN_LANES);
  size_t parts = smaller(pieces(R, along ? LEAST : LEAST_DOWN), larger(FILLED / blocks, 1));
  size_t terms = pieces(R, larger(parts, 1));
  parts = terms ? pieces(R, terms) : 1;
  if (parts == 1) return reduce_parts<Sum, Value>(sum, NULL, K, R, 1, terms, along);
  Value *part = (Value *)device_scratch(parts * K * sizeof(Value));
  reduce_parts(sum, part, K, R, parts, terms, along);
  reduce_parts<PartsOf<Sum>, Value>(PartsOf<Sum>{sum, part, K}, NULL, K, parts, 1, parts, along);
}

#endif
