/* The chunked wkv6: c_wkv6_chunks.h has the formulas. A block has a head of a sequence and 2 N threads; a warp has 16
   columns of the state, which stays in shared memory, as `real` and as factors. It reads r, w, k, v once and
   writes y. A chunk at N = 64 takes 36 products of tiles, and 120 N pairs of tokens for A. */
#include "c_wkv6_chunks.h"

template <class Factor, int N> struct Forward {
  Chunk<Factor, N> chunk;
  alignas(32) real S[N][STRIDE(real, N)];
  alignas(32) Factor state[N][STRIDE(Factor, N)];
  alignas(32) Factor v[SIDE][STRIDE(Factor, N)];
  alignas(32) real y[SIDE][STRIDE(real, N)];
};

/* y of 16 columns, by a warp */
template <class Factor, int N>
DEVICE void read_columns(Forward<Factor, N> &x, const Wkv6 &op, const Head &head, size_t from, int column)
{
  typedef Chunk<Factor, N> C;
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  for (int j = 0; j < N; j += SIDE)
    tile_product<AS_IT_STANDS, AS_IT_STANDS, C::LONG, C::LONG>(sums, &x.chunk.reads[0][j], &x.state[j][column]);
  tile_product<AS_IT_STANDS, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &x.chunk.A[0][0], &x.v[0][column]);
  tile_store<STRIDE(real, N)>(&x.y[0][column], sums);
  __syncwarp();
  for (int e = 0; e < SIDE / 2; e++) {
    size_t t = from + (size_t)tile_row(e);
    if (t < op.T)
      op.y[token_at(op, head, t) + (size_t)(column + tile_column())] = x.y[tile_row(e)][column + tile_column()];
  }
}

template <class Factor, int N> KERNEL __launch_bounds__(2 * N, sizeof(real) == 8 ? 1 : N == 64 ? 4 : 8) chunks(Wkv6 op)
{
  enum { THREADS = 2 * N };
  typedef Forward<Factor, N> Shared;
  DYNAMIC_SHARED(Shared, shared);
  Shared &x = *shared;
  Head head = head_of(blockIdx.x, op.H);
  int warp = (int)threadIdx.x / WARP, me = (int)threadIdx.x;
  for (int at = me; at < N * N; at += THREADS) {
    real s = op.S0[head.bh * N * N + (size_t)at];
    x.S[at / N][at % N] = s;
    factor(&x.state[at / N][at % N], s);
  }
  if (me < N) number(x.chunk.u, me) = op.u[head.h * N + (size_t)me];
  NO_UNROLL
  for (size_t from = 0; from < op.T; from += SIDE) {
    load_chunk(x.chunk, op, head, from);
    load_tokens<N>(op.v, op, head, from, [&](int n, int i, real v) { factor(&x.v[n][i], v); });
    __syncthreads();
    if (op.segments) {
      real *kept = op.segments + kept_state(op, head, from / SIDE);
      for (int at = me; at < N * N; at += THREADS) kept[at] = x.S[at / N][at % N];
    }
    fade_chunk(x.chunk);
    pair_chunk<THREADS>(x.chunk);
    __syncthreads();
    if (warp < N / SIDE) {
      read_columns(x, op, head, from, warp * SIDE);
      fade_columns<Factor, N>(x.S, x.state, x.chunk.fade, x.chunk.keys, x.v, warp * SIDE);
    }
    __syncthreads();
  }
  __syncthreads();
  for (int at = me; at < N * N; at += THREADS) op.S1[head.bh * N * N + (size_t)at] = x.S[at / N][at % N];
}

template <class Factor> static bool launch(const Wkv6 *op)
{
  unsigned blocks = (unsigned)(op->B * op->H);
  if (op->N == 64) LAUNCH((chunks<Factor, 64>), blocks, 128, sizeof(Forward<Factor, 64>), *op);
  else if (op->N == 32) LAUNCH((chunks<Factor, 32>), blocks, 64, sizeof(Forward<Factor, 32>), *op);
  return op->N == 64 || op->N == 32;
}

bool wkv6_chunks(const Wkv6 *op, ProductsIn in)
{
#ifndef AVIARY_DOUBLE
  if (in == PRODUCTS_BF16) return launch<__nv_bfloat16>(op);
#endif
  return in == PRODUCTS_FULL && launch<real>(op);
}
