/* What both ways of the chunked wkv7 share. A chunk is a segment of 16 tokens t, before which the state is S. With
   E(s,t) = e^{w_{s+1}} .. e^{w_t}, a product of decays for each key, and E(t) that of all since the chunk began, the
   rows of tokens are

     A_t = a_t E(t-1)    R_t = r_t E(t)    B_s = b_s E(s,15)    K_s = k_s E(s,15)
     AB_ts = sum_j a_t E(s,t-1) b_s, AK with k_s, for s < t     RB_ts = sum_j r_t E(s,t) b_s, RK with k_s, for s <= t

   and with U_t = S_{t-1} a_t, what is taken out of the state,

     U = A S' + AB U + AK V, a triangular system     y = R S' + RB U + RK V     S <- S diag(E(15)) + U' B + V' K

   No E is ever divided by another: they are multiplied up, so that any decay will do, e^-inf too. The four matrices
   of pairs are made number by number and U row by row, all else are products of tiles. Tokens beyond the last have a
   = b = k = r = v = 0 and a decay of 1. Unlike in the plain kernels, a NaN also reaches tokens of its chunk before
   it: 0 NaN is NaN. A block has a head of a sequence and 2 N threads; a warp has 16 rows i of the state, so 16
   columns of U, V, y. */
#ifndef AVIARY_CUDA_WKV7_CHUNKS_H
#define AVIARY_CUDA_WKV7_CHUNKS_H

#include "blas.h"
#include "c_wkv7.h"
#include "tile_products.h"

/* Each false if it has no kernel for the size. */
extern "C" {
bool wkv7_chunks(const Wkv7 *op, ProductsIn in);
bool wkv7_chunks_backward(const Wkv7Backward *op, ProductsIn in);
}
/* Whether chunks are what is wanted: otherwise the plain kernels do it, also where these have none. */
static inline bool wkv7_in_chunks(size_t T) { return products_in == PRODUCTS_BF16 && T >= WKV_SEGMENT; }

template <class Factor, int N> struct Chunk {
  enum { LONG = STRIDE(Factor, N), SHORT = STRIDE(Factor, SIDE), REALS = STRIDE(real, N), THREADS = 2 * N };
  alignas(32) Factor A[SIDE][LONG], R[SIDE][LONG], B[SIDE][LONG], K[SIDE][LONG], V[SIDE][LONG], U[SIDE][LONG];
  alignas(32) Factor AK[SIDE][SHORT], RB[SIDE][SHORT], RK[SIDE][SHORT];
  alignas(32) Factor state[N][LONG];
  alignas(32) real x[SIDE][REALS]; /* sums over tiles: a warp's 16 columns are its own */
  alignas(32) real AB[SIDE][SIDE];
  alignas(32) Four key[KEYS][SIDE][N / 4];
  real fade[N]; /* E(15) */
};

DEVICE real &number(Four *x, int i) { return x[i / 4].x[i % 4]; }

typedef struct {
  size_t bh, at, step; /* which head of which sequence; its first token; from a token to the next */
} Place;
DEVICE Place place(const Wkv7 &op)
{
  size_t bh = blockIdx.x, step = op.H * op.N;
  return Place{bh, (bh / op.H * op.T * op.H + bh % op.H) * op.N, step};
}

/* 16 rows of x [B,T,H,N], from token `from` on; 0 beyond the last, or all where x is NULL. */
template <int N, int LONG, class Factor>
DEVICE void rows_of(Factor (*to)[LONG], const real *x, const Place &p, size_t from, size_t T)
{
  for (int n = (int)threadIdx.x; n < SIDE * N; n += 2 * N) {
    size_t t = from + (size_t)(n / N);
    factor(&to[n / N][n % N], x && t < T ? x[p.at + t * p.step + (size_t)(n % N)] : (real)0);
  }
}

template <class Factor, int N> DEVICE void load_chunk(Chunk<Factor, N> &c, const Wkv7 &op, const Place &p, size_t from)
{
  const real *key[KEYS] = {op.r, op.w, op.k, op.a, op.b};
  UNROLL
  for (int q = 0; q < KEYS; q++)
    for (int n = (int)threadIdx.x; n < SIDE * N; n += 2 * N) {
      size_t t = from + (size_t)(n / N);
      real x = t < op.T ? key[q][p.at + t * p.step + (size_t)(n % N)] : (real)0;
      number(c.key[q][n / N], n % N) = q == KEY_DECAY ? exp(x) : x;
    }
  rows_of<N>(c.V, op.v, p, from, op.T);
}

/* A and R by the first N threads, a key each; B and K by the next. */
template <class Factor, int N> DEVICE void fade_chunk(Chunk<Factor, N> &c)
{
  int j = (int)threadIdx.x % N;
  real E = 1;
  if ((int)threadIdx.x < N) {
    for (int t = 0; t < SIDE; t++) {
      factor(&c.A[t][j], number(c.key[KEY_A][t], j) * E);
      E *= number(c.key[KEY_DECAY][t], j);
      factor(&c.R[t][j], number(c.key[KEY_R][t], j) * E);
    }
    c.fade[j] = E;
  } else
    for (int s = SIDE; s-- > 0;) {
      factor(&c.B[s][j], number(c.key[KEY_B][s], j) * E);
      factor(&c.K[s][j], number(c.key[KEY_K][s], j) * E);
      E *= number(c.key[KEY_DECAY][s], j);
    }
}

/* Sums over PARTS neighbouring lanes of 4 numbers each: to the lane `part` goes the sum of number part % 4. */
template <int PARTS> DEVICE real quarter_sum(const real (&x)[4], int part)
{
  bool upper = part & 2, odd = part & 1;
  real first = __shfl_xor_sync(0xffffffffu, upper ? x[0] : x[2], 2) + (upper ? x[2] : x[0]);
  real second = __shfl_xor_sync(0xffffffffu, upper ? x[1] : x[3], 2) + (upper ? x[3] : x[1]);
  real sum = __shfl_xor_sync(0xffffffffu, odd ? first : second, 1) + (odd ? second : first);
  UNROLL
  for (int other = 4; other < PARTS; other *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
  return sum;
}

/* AB, AK, RB, RK: a thread has a token s and some keys, four side by side, and goes through the tokens after it. */
template <class Factor, int N> DEVICE void pair_chunk(Chunk<Factor, N> &c)
{
  enum { PARTS = 2 * N / SIDE, FOURS = N / 4 / PARTS };
  int s = (int)threadIdx.x / PARTS, part = (int)threadIdx.x % PARTS;
  Four b[FOURS], k[FOURS], E[FOURS];
  UNROLL
  for (int q = 0; q < FOURS; q++)
    b[q] = c.key[KEY_B][s][q * PARTS + part], k[q] = c.key[KEY_K][s][q * PARTS + part], E[q] = Four{{1, 1, 1, 1}};
  for (int t = 0; t < SIDE; t++) {
    real sum[4] = {0, 0, 0, 0};
    UNROLL
    for (int q = 0; t >= s && q < FOURS; q++) {
      Four a = c.key[KEY_A][t][q * PARTS + part], r = c.key[KEY_R][t][q * PARTS + part];
      Four e = c.key[KEY_DECAY][t][q * PARTS + part];
      UNROLL
      for (int n = 0; n < 4; n++) {
        real &x = E[q].x[n];
        if (t > s) sum[0] += a.x[n] * x * b[q].x[n], sum[1] += a.x[n] * x * k[q].x[n], x *= e.x[n];
        sum[2] += r.x[n] * x * b[q].x[n], sum[3] += r.x[n] * x * k[q].x[n];
      }
    }
    real mine = quarter_sum<PARTS>(sum, part);
    if (part == 0) c.AB[t][s] = mine;
    if (part == 1) factor(&c.AK[t][s], mine);
    if (part == 2) factor(&c.RB[t][s], mine);
    if (part == 3) factor(&c.RK[t][s], mine);
  }
}

/* sums += A B over `length` tiles; A, B: where the first ones begin. */
template <Turned A_TURNED, Turned B_TURNED, int LONG_A, int LONG_B, class Sums, class Factor>
DEVICE void tiles_product(Sums &sums, const Factor *A, const Factor *B, int length)
{
  UNROLL
  for (int k = 0; k < length; k++)
    tile_product<A_TURNED, B_TURNED, LONG_A, LONG_B>(sums, A + k * SIDE * (A_TURNED ? LONG_A : 1),
                                                     B + k * SIDE * (B_TURNED ? 1 : LONG_B));
}

/* 16 columns of U, by a warp: the right side by tiles, then row after row. */
template <class Factor, int N> DEVICE void solve_columns(Chunk<Factor, N> &c, int column)
{
  typedef Chunk<Factor, N> C;
  typename TileOf<Factor>::Sums sums;
  int lane = (int)threadIdx.x % WARP;
  tile_clear(sums);
  tiles_product<AS_IT_STANDS, TURNED, C::LONG, C::LONG>(sums, &c.A[0][0], &c.state[column][0], N / SIDE);
  tiles_product<AS_IT_STANDS, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.AK[0][0], &c.V[0][column], 1);
  tile_store<C::REALS>(&c.x[0][column], sums);
  __syncwarp();
  if (lane < SIDE) {
    real u[SIDE];
    UNROLL
    for (int t = 0; t < SIDE; t++) {
      u[t] = c.x[t][column + lane];
      UNROLL
      for (int s = 0; s < t; s++) u[t] += c.AB[t][s] * u[s];
      factor(&c.U[t][column + lane], u[t]);
    }
  }
  __syncwarp();
}

/* 16 rows of X [N,N], by a warp: X <- X diag(fade) + left' right, twice; and their factors. */
template <class Factor, int N>
DEVICE void fade_rows(real (*X)[STRIDE(real, N)], Factor (*factors)[STRIDE(Factor, N)], const real *fade,
                      const Factor (*left)[STRIDE(Factor, N)], const Factor (*right)[STRIDE(Factor, N)],
                      const Factor (*left2)[STRIDE(Factor, N)], const Factor (*right2)[STRIDE(Factor, N)], int row)
{
  enum { LONG = STRIDE(Factor, N), REALS = STRIDE(real, N) };
  int lane = (int)threadIdx.x % WARP;
  for (int i = row; i < row + SIDE; i++)
    for (int j = lane; j < N; j += WARP) X[i][j] *= fade[j];
  __syncwarp();
  for (int j = 0; j < N; j += SIDE) {
    typename TileOf<Factor>::Sums sums;
    tile_load<REALS>(sums, &X[row][j]);
    tile_product<TURNED, AS_IT_STANDS, LONG, LONG>(sums, &left[0][row], &right[0][j]);
    tile_product<TURNED, AS_IT_STANDS, LONG, LONG>(sums, &left2[0][row], &right2[0][j]);
    tile_store<REALS>(&X[row][j], sums);
  }
  __syncwarp();
  for (int i = row; i < row + SIDE; i++)
    for (int j = lane; j < N; j += WARP) factor(&factors[i][j], X[i][j]);
}

#endif
