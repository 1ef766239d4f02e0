/* What both ways of the chunked wkv6 share. A chunk is a segment of 16 tokens n, before which the state is S. With
   E(a,b) = e^{w_a} .. e^{w_{b-1}}, a product of decays, for each key j:

     y_n = sum_j r_n E(0,n) S_j + sum_{s<=n} A_ns v_s       A_ns = sum_j r_n E(s+1,n) k_s,  A_nn = sum_j r_n u k_n
     S <- E(0,16) S + sum_s (E(s+1,16) k_s) v_s'

   No E is ever divided by another: they are multiplied up, so that any decay will do, e^-inf too. A is made number
   by number, all else are products of tiles. Tokens beyond the last have r = k = v = 0 and a decay of 1. Unlike in
   the plain kernel, a NaN in v also reaches the tokens of its chunk before it: 0 NaN is NaN. */
#ifndef AVIARY_C_WKV6_CHUNKS_H
#define AVIARY_C_WKV6_CHUNKS_H

#include "c_wkv6.h"
#include "tile_products.h"

/* Of the tokens of a chunk, and N keys. */
template <class Factor, int N> struct Chunk {
  enum { LONG = STRIDE(Factor, N), SHORT = STRIDE(Factor, SIDE) };
  alignas(32) Factor reads[SIDE][LONG]; /* r_n E(0,n) */
  alignas(32) Factor keys[SIDE][LONG];  /* k_s E(s+1,16) */
  alignas(32) Factor A[SIDE][SHORT];
  alignas(32) Four r[SIDE][N / 4], k[SIDE][N / 4], decay[SIDE][N / 4];
  Four u[N / 4];
  real fade[N]; /* E(0,16) */
};

DEVICE real &number(Four *x, int i) { return x[i / 4].x[i % 4]; }

/* Rows of 16 tokens from x [B,T,H,N]; 0 beyond the last token, or all where x is NULL. `put(n, j, x)` takes them. */
template <int N, class Put>
DEVICE void load_tokens(const real *x, const Wkv6 &op, const Head &head, size_t from, Put put)
{
  for (int at = (int)threadIdx.x; at < SIDE * N; at += (int)blockDim.x) {
    size_t t = from + (size_t)(at / N), j = (size_t)(at % N);
    put(at / N, at % N, x && t < op.T ? x[token_at(op, head, t) + j] : 0);
  }
}

template <class Factor, int N>
DEVICE void load_chunk(Chunk<Factor, N> &c, const Wkv6 &op, const Head &head, size_t from)
{
  load_tokens<N>(op.r, op, head, from, [&](int n, int j, real x) { number(c.r[n], j) = x; });
  load_tokens<N>(op.k, op, head, from, [&](int n, int j, real x) { number(c.k[n], j) = x; });
  for (int at = (int)threadIdx.x; at < SIDE * N; at += (int)blockDim.x) {
    size_t t = from + (size_t)(at / N);
    number(c.decay[at / N], at % N) = t < op.T ? exp(decay_at(op, head, t)[at % N]) : 1;
  }
}

/* The reads by the first N threads, a key each; the keys by the next N. */
template <class Factor, int N> DEVICE void fade_chunk(Chunk<Factor, N> &c)
{
  int j = (int)threadIdx.x % N;
  real E = 1;
  if ((int)threadIdx.x < N) {
    for (int n = 0; n < SIDE; n++) factor(&c.reads[n][j], number(c.r[n], j) * E), E *= number(c.decay[n], j);
    c.fade[j] = E;
  } else if ((int)threadIdx.x < 2 * N)
    for (int n = SIDE; n-- > 0;) factor(&c.keys[n][j], number(c.k[n], j) * E), E *= number(c.decay[n], j);
}

/* A, by all THREADS: a thread has a token s and some of the keys, four side by side. The parts of a token are
   neighbouring lanes; each step gives half of the sums to the lane that keeps them. */
template <int THREADS, class Factor, int N> DEVICE void pair_chunk(Chunk<Factor, N> &c)
{
  enum { PARTS = THREADS / SIDE };
  int s = (int)threadIdx.x / PARTS, part = (int)threadIdx.x % PARTS, first = 0;
  real sum[SIDE] = {};
  for (int q = part; q < N / 4; q += PARTS) {
    Four k = c.k[s][q], u = c.u[q];
    UNROLL
    for (int n = 0; n < SIDE; n++) {
      Four r = c.r[n][q], e = c.decay[n][q];
      UNROLL
      for (int x = 0; x < 4; x++) {
        if (n == s) sum[n] += r.x[x] * u.x[x] * k.x[x];
        if (n > s) sum[n] += r.x[x] * k.x[x], k.x[x] *= e.x[x];
      }
    }
  }
  UNROLL
  for (int step = 1; step < PARTS; step *= 2) {
    const int other = PARTS / 2 / step, half = SIDE / 2 / step;
    bool upper = part & other;
    UNROLL
    for (int n = 0; n < half; n++) {
      real give = upper ? sum[n] : sum[n + half], keep = upper ? sum[n + half] : sum[n];
      sum[n] = keep + __shfl_xor_sync(0xffffffffu, give, other);
    }
    if (upper) first += half;
  }
  UNROLL
  for (int n = 0; n < SIDE / PARTS; n++) factor(&c.A[first + n][s], sum[n]);
}

/* 16 columns of X [N,N], from `column` on, by a warp: X <- diag(fade) X + rows' values, and the factors of them. */
template <class Factor, int N>
DEVICE void fade_columns(real (*X)[STRIDE(real, N)], Factor (*factors)[STRIDE(Factor, N)], const real *fade,
                         const Factor (*rows)[STRIDE(Factor, N)], const Factor (*values)[STRIDE(Factor, N)], int column)
{
  typedef typename TileOf<Factor>::Sums Sums;
  enum { LONG = STRIDE(Factor, N), REALS = STRIDE(real, N) };
  for (int j = 0; j < N; j += 2)
    X[j + (int)threadIdx.x % WARP / SIDE][column + tile_column()] *= fade[j + (int)threadIdx.x % WARP / SIDE];
  __syncwarp();
  for (int j = 0; j < N; j += SIDE) {
    Sums sums;
    tile_load<REALS>(sums, &X[j][column]);
    tile_product<TURNED, AS_IT_STANDS, LONG, LONG>(sums, &rows[0][j], &values[0][column]);
    tile_store<REALS>(&X[j][column], sums);
  }
  __syncwarp();
  for (int j = (int)threadIdx.x % WARP / SIDE; j < N; j += 2)
    factor(&factors[j][column + tile_column()], X[j][column + tile_column()]);
}

#endif
