/* The chunked wkv7, forward: c_wkv7_chunks.h has the formulas. The state stays in shared memory, as `real` and as
   factors. Reads r w k v a b once, writes y, and the state before every chunk. A chunk at N = 64 takes 76 products of
   tiles, and for 256 N pairs of numbers of tokens 8 multiplications. */
#include "c_wkv7_chunks.h"

template <class Factor, int N> struct Forward {
  Chunk<Factor, N> chunk;
  alignas(32) real S[N][STRIDE(real, N)];
};

/* y of 16 columns, by a warp */
template <class Factor, int N>
DEVICE void read_columns(Chunk<Factor, N> &c, const Wkv7 &op, const Place &p, size_t from, int column)
{
  typedef Chunk<Factor, N> C;
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  tiles_product<AS_IT_STANDS, TURNED, C::LONG, C::LONG>(sums, &c.R[0][0], &c.state[column][0], N / SIDE);
  tiles_product<AS_IT_STANDS, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.RB[0][0], &c.U[0][column], 1);
  tiles_product<AS_IT_STANDS, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.RK[0][0], &c.V[0][column], 1);
  tile_store<C::REALS>(&c.x[0][column], sums);
  __syncwarp();
  for (int e = 0; e < SIDE / 2; e++) {
    size_t t = from + (size_t)tile_row(e);
    int i = column + tile_column();
    if (t < op.T) op.y[p.at + t * p.step + (size_t)i] = c.x[tile_row(e)][i];
  }
  __syncwarp();
}

template <class Factor, int N> static __global__ void __launch_bounds__(2 * N) wkv7_by_chunks(Wkv7 op)
{
  enum { THREADS = 2 * N };
  typedef Forward<Factor, N> Shared;
  DYNAMIC_SHARED(Shared, shared);
  Chunk<Factor, N> &c = shared->chunk;
  Place p = place(op);
  int rows = (int)threadIdx.x / WARP * SIDE;
  for (int n = (int)threadIdx.x; n < N * N; n += THREADS) {
    real s = op.S0[p.bh * N * N + (size_t)n];
    shared->S[n / N][n % N] = s;
    factor(&c.state[n / N][n % N], s);
  }
  NO_UNROLL
  for (size_t from = 0; from < op.T; from += SIDE) {
    load_chunk(c, op, p, from);
    __syncthreads();
    real *kept = op.segments ? op.segments + (p.bh * pieces(op.T, SIDE) + from / SIDE) * N * N : NULL;
    for (int n = (int)threadIdx.x; kept && n < N * N; n += THREADS) kept[n] = shared->S[n / N][n % N];
    fade_chunk(c);
    pair_chunk(c);
    __syncthreads();
    solve_columns(c, rows);
    read_columns(c, op, p, from, rows);
    fade_rows<Factor, N>(shared->S, c.state, c.fade, c.U, c.B, c.V, c.K, rows);
    __syncthreads();
  }
  __syncthreads();
  for (int n = (int)threadIdx.x; n < N * N; n += THREADS) op.S1[p.bh * N * N + (size_t)n] = shared->S[n / N][n % N];
}

template <class Factor> static bool launch(const Wkv7 *op)
{
  unsigned blocks = (unsigned)(op->B * op->H);
  if (op->N == 64) LAUNCH((wkv7_by_chunks<Factor, 64>), blocks, 128, sizeof(Forward<Factor, 64>), *op);
  else if (op->N == 32) LAUNCH((wkv7_by_chunks<Factor, 32>), blocks, 64, sizeof(Forward<Factor, 32>), *op);
  return op->N == 64 || op->N == 32;
}

bool wkv7_chunks(const Wkv7 *op, ProductsIn in)
{
#ifndef AVIARY_DOUBLE
  if (in == PRODUCTS_BF16) return launch<__nv_bfloat16>(op);
#endif
#ifndef __CUDACC__ /* in loops only for tests */
  if (in == PRODUCTS_FULL) return launch<real>(op);
#endif
  return false;
}
