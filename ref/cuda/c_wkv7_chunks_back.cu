/* The chunked wkv7, backward, from the last chunk on; c_wkv7_chunks.h has the forward formulas. With G the gradient
   by the state after the chunk, and g before a name for its gradient:

     gU = RB' gy + B G'    X = gU + AB' X, row by row from the last: the gradient by the S_{t-1} a_t
     gV = RK' gy + K G' + AK' X
     gAB = X U'   gAK = X V'   gRB = gy U'   gRK = gy V'     gA = X S   gR = gy S   gB = U G   gK = V G
     G <- G diag(E(15)) + X' A + gy' R

   From these a thread has a key j: what r, w, k, a, b get of every pair of tokens s, t, each once with its E(s,t).
   The gradient by w_u is the sum of all terms whose decay it is in, s < u <= t: they are added up, never subtracted.

   The state before the chunk is the one that was kept. Reads r w k v a b, gy and the states once, and all gradients
   once. A chunk at N = 64 takes 188 products of tiles, and for 256 N pairs of numbers of tokens 25 multiplications.
   */
#include "c_wkv7_chunks.h"

template <class Factor, int N> struct Backward {
  enum { LONG = STRIDE(Factor, N), REALS = STRIDE(real, N), PAIRS = STRIDE(real, SIDE) };
  Chunk<Factor, N> chunk;
  alignas(32) Factor gy[SIDE][LONG], X[SIDE][LONG];
  alignas(32) real G[N][REALS];
  alignas(32) Factor G_factors[N][LONG];
  alignas(32) real gA[SIDE][REALS], gR[SIDE][REALS], gB[SIDE][REALS], gK[SIDE][REALS];
  alignas(32) real gAB[SIDE][PAIRS], gAK[SIDE][PAIRS], gRB[SIDE][PAIRS], gRK[SIDE][PAIRS];
  real gfade[2][N]; /* of half the rows each */
};

/* X and gV of 16 columns, by a warp; U is there. */
template <class Factor, int N>
DEVICE void solve_back(Backward<Factor, N> &x, const Wkv7Backward &op, const Place &p, size_t from, int column)
{
  typedef Chunk<Factor, N> C;
  C &c = x.chunk;
  typename TileOf<Factor>::Sums sums;
  int lane = (int)threadIdx.x % WARP;
  tile_clear(sums);
  tiles_product<TURNED, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.RB[0][0], &x.gy[0][column], 1);
  tiles_product<AS_IT_STANDS, TURNED, C::LONG, C::LONG>(sums, &c.B[0][0], &x.G_factors[column][0], N / SIDE);
  tile_store<C::REALS>(&c.x[0][column], sums);
  __syncwarp();
  if (lane < SIDE) {
    real g[SIDE];
    UNROLL
    for (int t = SIDE - 1; t >= 0; t--) {
      g[t] = c.x[t][column + lane];
      UNROLL
      for (int s = SIDE - 1; s > t; s--) g[t] += c.AB[s][t] * g[s];
      factor(&x.X[t][column + lane], g[t]);
    }
  }
  __syncwarp();
  if (!op.gv) return;
  tile_clear(sums);
  tiles_product<TURNED, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.RK[0][0], &x.gy[0][column], 1);
  tiles_product<AS_IT_STANDS, TURNED, C::LONG, C::LONG>(sums, &c.K[0][0], &x.G_factors[column][0], N / SIDE);
  tiles_product<TURNED, AS_IT_STANDS, C::SHORT, C::LONG>(sums, &c.AK[0][0], &x.X[0][column], 1);
  tile_store<C::REALS>(&c.x[0][column], sums);
  __syncwarp();
  for (int e = 0; e < SIDE / 2; e++) {
    size_t t = from + (size_t)tile_row(e);
    int i = column + tile_column();
    if (t < op.forward.T) op.gv[p.at + t * p.step + (size_t)i] += c.x[tile_row(e)][i];
  }
  __syncwarp();
}

/* left right' of all N, 16 x 16, by a warp */
template <class Factor, int N>
DEVICE void pairs_back(real *to, const Factor (*left)[STRIDE(Factor, N)], const Factor (*right)[STRIDE(Factor, N)])
{
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  tiles_product<AS_IT_STANDS, TURNED, STRIDE(Factor, N), STRIDE(Factor, N)>(sums, &left[0][0], &right[0][0], N / SIDE);
  tile_store<STRIDE(real, SIDE)>(to, sums);
}

/* 16 columns of rows times a matrix, by a warp */
template <class Factor, int N>
DEVICE void rows_back_to(real (*to)[STRIDE(real, N)], const Factor (*rows)[STRIDE(Factor, N)],
                         const Factor (*matrix)[STRIDE(Factor, N)], int column)
{
  enum { LONG = STRIDE(Factor, N) };
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  tiles_product<AS_IT_STANDS, AS_IT_STANDS, LONG, LONG>(sums, &rows[0][0], &matrix[0][column], N / SIDE);
  tile_store<STRIDE(real, N)>(&to[0][column], sums);
}

/* What key j has of the pairs of tokens; `one` of them: */
struct Pair {
  real E, b, k, gb, gk, gw; /* E(s,t) of token s up to the one that is at hand */
};

/* All terms of a reader x, a or r, at one token: `old` x of the state before the chunk, and those of tokens s up to
   `last`, whose gradients by RB and RK, or AB and AK, are gb and gk. Returns what x gets of the tokens. In w_s is
   what stands before s. */
DEVICE real read_back(Pair (&pair)[SIDE], real x, real old, const real *gb, const real *gk, int last)
{
  real sum = 0, before = old * x;
  UNROLL
  for (int s = 0; s <= last; s++) {
    Pair &q = pair[s];
    real each = q.E * (gb[s] * q.b + gk[s] * q.k), xE = x * q.E;
    q.gw += before;
    before += x * each, sum += each;
    q.gb += xE * gb[s], q.gk += xE * gk[s];
  }
  return sum;
}

/* All of key j, from the first token on; the gradients by a and r come to stand in gA and gR. */
template <class Factor, int N> DEVICE void key_back(Backward<Factor, N> &x, Pair (&pair)[SIDE], int j)
{
  Chunk<Factor, N> &c = x.chunk;
  real all = 1;
  UNROLL
  for (int t = 0; t < SIDE; t++) {
    real decay = number(c.key[KEY_DECAY][t], j), old = x.gA[t][j] * all;
    x.gA[t][j] = old + read_back(pair, number(c.key[KEY_A][t], j), old, x.gAB[t], x.gAK[t], t - 1);
    UNROLL
    for (int s = 0; s < t; s++) pair[s].E *= decay;
    pair[t] = Pair{1, number(c.key[KEY_B][t], j), number(c.key[KEY_K][t], j), 0, 0, 0};
    all *= decay, old = x.gR[t][j] * all;
    x.gR[t][j] = old + read_back(pair, number(c.key[KEY_R][t], j), old, x.gRB[t], x.gRK[t], t);
  }
  real before = (x.gfade[0][j] + x.gfade[1][j]) * all;
  UNROLL
  for (int s = 0; s < SIDE; s++) {
    Pair &q = pair[s];
    q.gw += before;
    before += q.E * (x.gB[s][j] * q.b + x.gK[s][j] * q.k);
    q.gb += q.E * x.gB[s][j], q.gk += q.E * x.gK[s][j];
  }
}

template <class Factor, int N>
DEVICE void keys_back(Backward<Factor, N> &x, const Wkv7Backward &op, const Place &p, size_t from, int j)
{
  Pair pair[SIDE];
  real sum[SIDE];
  size_t at = p.at + from * p.step + (size_t)j;
  unsigned count = (unsigned)smaller(SIDE, op.forward.T - from);
  key_back(x, pair, j);
#define EACH_TOKEN(number) \
  UNROLL                   \
  for (int t = 0; t < SIDE; t++) sum[t] = number
  EACH_TOKEN(pair[t].gw);
  if (op.gw) column_add(op.gw + at, sum, p.step, count);
  EACH_TOKEN(pair[t].gk);
  if (op.gk) column_add(op.gk + at, sum, p.step, count);
  EACH_TOKEN(pair[t].gb);
  if (op.gb) column_add(op.gb + at, sum, p.step, count);
  EACH_TOKEN(x.gA[t][j]);
  if (op.ga) column_add(op.ga + at, sum, p.step, count);
  EACH_TOKEN(x.gR[t][j]);
  if (op.gr && op.gy) column_add(op.gr + at, sum, p.step, count);
}

template <class Factor, int N> static __global__ void __launch_bounds__(2 * N, 2) wkv7_back_by_chunks(Wkv7Backward op)
{
  enum { THREADS = 2 * N };
  typedef Backward<Factor, N> Shared;
  DYNAMIC_SHARED(Shared, shared);
  Shared &x = *shared;
  Chunk<Factor, N> &c = x.chunk;
  const Wkv7 &f = op.forward;
  Place p = place(f);
  int me = (int)threadIdx.x, rows = me / WARP * SIDE;
  for (int n = me; n < N * N; n += THREADS) {
    real g = op.gS1 ? op.gS1[p.bh * N * N + (size_t)n] : (real)0;
    x.G[n / N][n % N] = g;
    factor(&x.G_factors[n / N][n % N], g);
  }
  NO_UNROLL
  for (size_t chunk = pieces(f.T, SIDE); chunk-- > 0;) {
    size_t from = chunk * SIDE;
    const real *state = f.segments + (p.bh * pieces(f.T, SIDE) + chunk) * N * N;
    __syncthreads();
    load_chunk(c, f, p, from);
    rows_of<N>(x.gy, op.gy, p, from, f.T);
    real sum = 0;
    for (int i = me / N * (N / 2), n = 0; n < N / 2; n++) {
      real s = state[(i + n) * N + me % N];
      factor(&c.state[i + n][me % N], s);
      sum += s * x.G[i + n][me % N];
    }
    x.gfade[me / N][me % N] = sum;
    __syncthreads();
    fade_chunk(c);
    pair_chunk(c);
    __syncthreads();
    solve_columns(c, rows);
    solve_back(x, op, p, from, rows);
    __syncthreads();
    int warp = me / WARP;
    for (int n = warp; n < 4; n += N / SIDE)
      pairs_back<Factor, N>(n == 0   ? &x.gAB[0][0]
                            : n == 1 ? &x.gAK[0][0]
                            : n == 2 ? &x.gRB[0][0]
                                     : &x.gRK[0][0],
                            n < 2 ? x.X : x.gy, n % 2 ? c.V : c.U);
    rows_back_to<Factor, N>(x.gA, x.X, c.state, rows);
    rows_back_to<Factor, N>(x.gR, x.gy, c.state, rows);
    rows_back_to<Factor, N>(x.gB, c.U, x.G_factors, rows);
    rows_back_to<Factor, N>(x.gK, c.V, x.G_factors, rows);
    __syncthreads();
    fade_rows<Factor, N>(x.G, x.G_factors, c.fade, x.X, c.A, x.gy, c.R, rows);
    if (me < N) keys_back(x, op, p, from, me);
  }
  __syncthreads();
  for (int n = me; op.gS0 && n < N * N; n += THREADS) op.gS0[p.bh * N * N + (size_t)n] += x.G[n / N][n % N];
}

template <class Factor, int N> static bool launch(const Wkv7Backward *op)
{
  unsigned blocks = (unsigned)(op->forward.B * op->forward.H);
  if (sizeof(Backward<Factor, N>) > device_most_shared) return false; /* as sm_86 and sm_89: 99 KB */
  LAUNCH((wkv7_back_by_chunks<Factor, N>), blocks, 2 * N, sizeof(Backward<Factor, N>), *op);
  return true;
}

bool wkv7_chunks_backward(const Wkv7Backward *op, ProductsIn in)
{
  size_t N = op->forward.N;
#ifndef AVIARY_DOUBLE
  if (in == PRODUCTS_BF16 && N == 32) return launch<__nv_bfloat16, 32>(op);
  if (in == PRODUCTS_BF16 && N == 64) return launch<__nv_bfloat16, 64>(op);
#endif
#ifndef __CUDACC__ /* in loops only for tests; of 64 keys in float64 a block would need too much shared memory */
  if (in == PRODUCTS_FULL && N == 32) return launch<real, 32>(op);
  if (in == PRODUCTS_FULL && N == 64 && sizeof(real) == 4) return launch<real, 64>(op);
#endif
  return false;
}
