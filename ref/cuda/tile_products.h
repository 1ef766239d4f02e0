/* Products of 16x16 tiles by a warp, in two kinds of arithmetic, which a kernel takes as a parameter: factors are
   kept as bf16 and multiplied on tensor cores, or as `real` and multiplied in loops. These show that the kernel is
   right; those are fast. Tiles stand in shared memory, at multiples of 32 bytes; a row there has LONG numbers. Sums
   are `real`. */
#ifndef AVIARY_CUDA_TILE_PRODUCTS_H
#define AVIARY_CUDA_TILE_PRODUCTS_H

#include "tensor_cores.h"

enum { SIDE = 16 }; /* of a tile */

/* How long a row of n numbers is in shared memory: so that rows stand in different banks, and tiles where they may. */
#define STRIDE(Type, n) ((n) + 16 / (int)sizeof(Type))

/* A tile of sums: each lane holds 8 of them. */
struct LoopSums {
  real x[SIDE * SIDE / WARP];
};
template <class Factor> struct TileOf {
  typedef LoopSums Sums;
};

/* Whether a factor stands by rows, or by columns: turned. */
enum Turned { AS_IT_STANDS, TURNED };

DEVICE void factor(real *to, real x) { *to = x; }
DEVICE void tile_clear(LoopSums &sums) { sums = LoopSums(); }

DEVICE int tile_row(int e) { return 2 * e + (int)threadIdx.x % WARP / SIDE; }
DEVICE int tile_column(void) { return (int)threadIdx.x % SIDE; }

template <int LONG> DEVICE void tile_load(LoopSums &sums, const real *from)
{
  for (int e = 0; e < SIDE * SIDE / WARP; e++) sums.x[e] = from[tile_row(e) * LONG + tile_column()];
}
template <int LONG> DEVICE void tile_store(real *to, const LoopSums &sums)
{
  for (int e = 0; e < SIDE * SIDE / WARP; e++) to[tile_row(e) * LONG + tile_column()] = sums.x[e];
}

/* sums += A B */
template <Turned A_TURNED, Turned B_TURNED, int LONG_A, int LONG_B>
DEVICE void tile_product(LoopSums &sums, const real *A, const real *B)
{
  for (int e = 0; e < SIDE * SIDE / WARP; e++)
    for (int k = 0, row = tile_row(e), column = tile_column(); k < SIDE; k++)
      sums.x[e] += (A_TURNED ? A[k * LONG_A + row] : A[row * LONG_A + k]) *
                   (B_TURNED ? B[column * LONG_B + k] : B[k * LONG_B + column]);
}

#ifndef AVIARY_DOUBLE
namespace wmma = nvcuda::wmma;
typedef wmma::fragment<wmma::accumulator, SIDE, SIDE, SIDE, float> TensorSums;
template <> struct TileOf<__nv_bfloat16> {
  typedef TensorSums Sums;
};
template <Turned T> struct LayoutOf {
  typedef wmma::row_major Layout;
};
template <> struct LayoutOf<TURNED> {
  typedef wmma::col_major Layout;
};

DEVICE void factor(__nv_bfloat16 *to, float x) { *to = __float2bfloat16(x); }
DEVICE void tile_clear(TensorSums &sums) { wmma::fill_fragment(sums, 0.0f); }
template <int LONG> DEVICE void tile_load(TensorSums &sums, const float *from)
{
  wmma::load_matrix_sync(sums, from, LONG, wmma::mem_row_major);
}
template <int LONG> DEVICE void tile_store(float *to, const TensorSums &sums)
{
  wmma::store_matrix_sync(to, sums, LONG, wmma::mem_row_major);
}

template <Turned A_TURNED, Turned B_TURNED, int LONG_A, int LONG_B>
DEVICE void tile_product(TensorSums &sums, const __nv_bfloat16 *A, const __nv_bfloat16 *B)
{
  wmma::fragment<wmma::matrix_a, SIDE, SIDE, SIDE, __nv_bfloat16, typename LayoutOf<A_TURNED>::Layout> a;
  wmma::fragment<wmma::matrix_b, SIDE, SIDE, SIDE, __nv_bfloat16, typename LayoutOf<B_TURNED>::Layout> b;
  wmma::load_matrix_sync(a, A, LONG_A);
  wmma::load_matrix_sync(b, B, LONG_B);
  wmma::mma_sync(sums, a, b, sums);
}
#endif

#endif
