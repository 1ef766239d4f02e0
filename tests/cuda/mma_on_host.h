/* The products of a warp (nvcuda::wmma) on the processor, as far as ref/cuda needs them: 16x16x16 of bf16 and 16x16x8
   of tf32, with sums in float32. A fragment is what one lane holds: every 32nd element of the tile, row by row. As on
   the device, only mma_sync lets lanes see each other's numbers: who loads what other lanes have stored must wait
   first. Stops where an address or a leading dimension is not what the device asks for. */
#ifndef AVIARY_MMA_ON_HOST_H
#define AVIARY_MMA_ON_HOST_H

#include "on_host.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- bf16: the upper half of a float ---- */

struct __nv_bfloat16 {
  uint16_t bits;
};

static inline uint32_t on_host_bits(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float on_host_float(uint32_t bits)
{
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline __nv_bfloat16 __float2bfloat16(float x) /* to the nearest, ties to even */
{
  uint32_t bits = on_host_bits(x);
  if (x != x) return __nv_bfloat16{0x7fff};
  return __nv_bfloat16{(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

static inline float __bfloat162float(__nv_bfloat16 x) { return on_host_float((uint32_t)x.bits << 16); }

/* ---- fragments ---- */

namespace nvcuda
{
namespace wmma
{

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

namespace precision
{
struct tf32;
}

static inline float __float_to_tf32(float x) /* to the nearest of 10 bits, ties away from 0 */
{
  uint32_t bits = on_host_bits(x);
  return (bits >> 23 & 0xff) == 0xff ? x : on_host_float((bits + 0x1000) & ~0x1fffu);
}

/* How a number is kept, and what the product takes of it: of a tf32 the upper bits, rounded or not. */
template <class T> struct on_host_number {
  typedef T Kept;
};
template <> struct on_host_number<precision::tf32> {
  typedef float Kept;
};
template <class T> struct on_host_taken;
template <> struct on_host_taken<__nv_bfloat16> {
  static float of(__nv_bfloat16 x) { return __bfloat162float(x); }
};
template <> struct on_host_taken<precision::tf32> {
  static float of(float x) { return on_host_float(on_host_bits(x) & ~0x1fffu); }
};

template <class Use, int M, int N, int K> struct on_host_tile;
template <int M, int N, int K> struct on_host_tile<matrix_a, M, N, K> {
  enum { ROWS = M, COLUMNS = K };
};
template <int M, int N, int K> struct on_host_tile<matrix_b, M, N, K> {
  enum { ROWS = K, COLUMNS = N };
};
template <int M, int N, int K> struct on_host_tile<accumulator, M, N, K> {
  enum { ROWS = M, COLUMNS = N };
};

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
  typedef typename on_host_number<T>::Kept Kept;
  enum {
    ROWS = on_host_tile<Use, M, N, K>::ROWS,
    COLUMNS = on_host_tile<Use, M, N, K>::COLUMNS,
    num_elements = ROWS * COLUMNS / 32
  };
  Kept x[num_elements];
};

template <class Layout> struct on_host_columns {
  enum { FIRST = 0 };
};
template <> struct on_host_columns<col_major> {
  enum { FIRST = 1 };
};

static inline void on_host_aligned(const void *p, unsigned stride, size_t size)
{
  if ((uintptr_t)p % 32 == 0 && stride * size % 16 == 0) return;
  fprintf(stderr, "a tile at %p, a row every %u numbers of %zu bytes: expected multiples of 32 and of 16 bytes\n", p,
          stride, size);
  abort();
}

template <class F> static inline size_t on_host_place(int e, unsigned stride, bool columns_first)
{
  unsigned at = (unsigned)e * 32 + on_host_lane(), row = at / F::COLUMNS, column = at % F::COLUMNS;
  return columns_first ? (size_t)column * stride + row : (size_t)row * stride + column;
}

template <class Use, int M, int N, int K, class T, class Layout, class X>
static inline void fill_fragment(fragment<Use, M, N, K, T, Layout> &f, const X &x)
{
  for (int e = 0; e < f.num_elements; e++) f.x[e] = x;
}

template <class Use, int M, int N, int K, class T, class Layout>
static inline void load_matrix_sync(fragment<Use, M, N, K, T, Layout> &f,
                                    const typename fragment<Use, M, N, K, T, Layout>::Kept *p, unsigned stride)
{
  on_host_aligned(p, stride, sizeof *p);
  for (int e = 0; e < f.num_elements; e++)
    f.x[e] = p[on_host_place<fragment<Use, M, N, K, T, Layout>>(e, stride, on_host_columns<Layout>::FIRST)];
}

template <int M, int N, int K>
static inline void load_matrix_sync(fragment<accumulator, M, N, K, float> &f, const float *p, unsigned stride,
                                    layout_t layout)
{
  on_host_aligned(p, stride, sizeof *p);
  for (int e = 0; e < f.num_elements; e++)
    f.x[e] = p[on_host_place<fragment<accumulator, M, N, K, float>>(e, stride, layout == mem_col_major)];
}

template <int M, int N, int K>
static inline void store_matrix_sync(float *p, const fragment<accumulator, M, N, K, float> &f, unsigned stride,
                                     layout_t layout)
{
  on_host_aligned(p, stride, sizeof *p);
  for (int e = 0; e < f.num_elements; e++)
    p[on_host_place<fragment<accumulator, M, N, K, float>>(e, stride, layout == mem_col_major)] = f.x[e];
}

/* ---- the product ---- */

struct on_host_factors { /* of one warp; of two products in turn, so that one wait is enough */
  float a[2][256], b[2][256];
  unsigned turns[32];
};

static inline on_host_factors *on_host_warp(void)
{
  static on_host_factors warps[32];
  return &warps[(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32];
}

/* d = a b + c */
template <int M, int N, int K, class T, class LayoutA, class LayoutB>
static inline void mma_sync(fragment<accumulator, M, N, K, float> &d, const fragment<matrix_a, M, N, K, T, LayoutA> &a,
                            const fragment<matrix_b, M, N, K, T, LayoutB> &b,
                            const fragment<accumulator, M, N, K, float> &c)
{
  on_host_factors *warp = on_host_warp();
  unsigned lane = on_host_lane(), turn = warp->turns[lane]++ % 2;
  for (int e = 0; e < a.num_elements; e++) warp->a[turn][(unsigned)e * 32 + lane] = on_host_taken<T>::of(a.x[e]);
  for (int e = 0; e < b.num_elements; e++) warp->b[turn][(unsigned)e * 32 + lane] = on_host_taken<T>::of(b.x[e]);
  __syncwarp();
  for (int e = 0; e < d.num_elements; e++) {
    unsigned at = (unsigned)e * 32 + lane, row = at / N, column = at % N;
    float sum = c.x[e];
    for (unsigned k = 0; k < K; k++) sum += warp->a[turn][row * K + k] * warp->b[turn][k * N + column];
    d.x[e] = sum;
  }
}

} // namespace wmma
} // namespace nvcuda

#endif
