/* The way back through the chunked wkv6, chunk by chunk from the last; c_wkv6_chunks.h has its letters. S is the
   state before the chunk, as it was kept, G the gradient by the one after it. For each key j, with V_sq = v_s gy_q:

     X_q = S_j gy_q     Z_s = G_j v_s     P = S_j G_j
     gr_q = E(0,q) X_q + sum_{s<q} E(s+1,q) k_s V_sq + u k_q V_qq
     gk_s = E(s+1,16) Z_s + sum_{q>s} E(s+1,q) r_q V_sq + u r_s V_ss
     gw_t = E(0,16) P + sum_{s<t} E(s+1,16) k_s Z_s + sum_{q>t} r_q (E(0,q) X_q + sum_{s<t} E(s+1,q) k_s V_sq)
     gv_s = sum_j E(s+1,16) k_s G_j + sum_{q>=s} A_qs gy_q
     G <- E(0,16) G + sum_q (E(0,q) r_q) gy_q'

   gw_t is the sum over all pairs s < t < q of what the decay at t stands between: nothing is subtracted, so that
   nothing cancels. V, X, Z, gv and G are products of tiles; the rest is done by two threads for each key, 5
   instructions a pair of tokens. A block has a head of a sequence and 4 N threads: half of its warps have 16
   columns of G each, the others the keys. It reads r, w, k, v, gy and the kept states once. */
#include "c_wkv6_chunks.h"

template <class Factor, int N> struct Backward {
  enum { REALS = STRIDE(real, N), LONG = STRIDE(Factor, N), V_LONG = STRIDE(real, SIDE) };
  Chunk<Factor, N> chunk;
  alignas(32) real G[N][REALS];
  alignas(32) Factor gradient[N][LONG], state[N][LONG]; /* G, S */
  alignas(32) Factor v[SIDE][LONG];
  alignas(32) Factor gy[SIDE][LONG];
  alignas(32) real X[SIDE][REALS];
  alignas(32) real Z[SIDE][REALS];
  alignas(32) real gv[SIDE][REALS];
  alignas(32) real V[SIDE][V_LONG];
  real P[N];
  acc gu[N], gw[N]; /* over the chunks so far */
};

/* S, a row by 16 lanes, and P. */
template <class Factor, int N> DEVICE void load_state(Backward<Factor, N> &x, const real *kept)
{
  int lane = (int)threadIdx.x % SIDE;
  for (int j = (int)threadIdx.x / SIDE; j < N; j += 4 * N / SIDE) {
    real sum = 0;
    UNROLL
    for (int i = lane; i < N; i += SIDE) {
      real s = kept[j * N + i];
      factor(&x.state[j][i], s);
      sum += s * x.G[j][i];
    }
    for (int other = SIDE / 2; other; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
    if (!lane) x.P[j] = sum;
  }
}

/* out = A B', of N columns: a tile, by a warp */
template <class Factor, int N, int LONG_OUT> DEVICE void product_of_rows(real *out, const Factor *A, const Factor *B)
{
  enum { LONG = STRIDE(Factor, N) };
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  for (int i = 0; i < N; i += SIDE) tile_product<AS_IT_STANDS, TURNED, LONG, LONG>(sums, A + i, B + i);
  tile_store<LONG_OUT>(out, sums);
}

/* V, X and Z: a tile of 16 keys a warp. */
template <class Factor, int N> DEVICE void products(Backward<Factor, N> &x, int warp)
{
  typedef Backward<Factor, N> B;
  int j = warp % (N / SIDE) * SIDE;
  if (warp < N / SIDE) product_of_rows<Factor, N, B::REALS>(&x.X[0][j], &x.gy[0][0], &x.state[j][0]);
  else product_of_rows<Factor, N, B::REALS>(&x.Z[0][j], &x.v[0][0], &x.gradient[j][0]);
  if (!warp) product_of_rows<Factor, N, B::V_LONG>(&x.V[0][0], &x.v[0][0], &x.gy[0][0]);
}

/* gv of 16 columns, by a warp */
template <class Factor, int N> DEVICE void values_back(Backward<Factor, N> &x, int column)
{
  typedef Backward<Factor, N> B;
  typename TileOf<Factor>::Sums sums;
  tile_clear(sums);
  for (int j = 0; j < N; j += SIDE)
    tile_product<AS_IT_STANDS, AS_IT_STANDS, B::LONG, B::LONG>(sums, &x.chunk.keys[0][j], &x.gradient[j][column]);
  tile_product<TURNED, AS_IT_STANDS, Chunk<Factor, N>::SHORT, B::LONG>(sums, &x.chunk.A[0][0], &x.gy[0][column]);
  tile_store<B::REALS>(&x.gv[0][column], sums);
  __syncwarp();
}

/* gr, gk, gw of a key, in the places of its r, k and decay, which nobody else reads any more; by two neighbouring
   lanes, of which one has the even q and the other the odd ones. read[q] is what r_q reads of all before t; `over`,
   what goes from before t to beyond the chunk. */
template <class Factor, int N> DEVICE void key_back(Backward<Factor, N> &x, int pair, size_t count)
{
  int j = pair / 2, odd = pair % 2;
  real read[SIDE / 2], E = odd ? number(x.chunk.decay[0], j) : 1, gu = 0, gw = 0;
  real u = number(x.chunk.u, j), over = odd ? x.chunk.fade[j] * x.P[j] : 0;
  UNROLL
  for (int i = 0; i < SIDE / 2; i++) {
    read[i] = E * x.X[2 * i + odd][j];
    if (i + 1 < SIDE / 2) E *= number(x.chunk.decay[2 * i + odd], j) * number(x.chunk.decay[2 * i + odd + 1], j);
  }
  UNROLL
  for (int t = 0; t < SIDE; t++) {
    real &r_t = number(x.chunk.r[t], j), &k_t = number(x.chunk.k[t], j), &e_t = number(x.chunk.decay[t], j);
    real r = r_t, k = k_t, own = x.V[t][t], gk = 0, g = over;
    E = t + 1 < SIDE && (t + 1) % 2 != odd ? number(x.chunk.decay[t + 1], j) : 1; /* E(t+1,q), and at last E(t+1,16) */
    UNROLL
    for (int i = t / 2; i < SIDE / 2; i++) {
      int q = 2 * i + odd;
      if (q <= t) continue;
      real r_q = number(x.chunk.r[q], j), part = E * x.V[t][q];
      g += r_q * read[i];
      gk += r_q * part;
      read[i] += k * part;
      E *= number(x.chunk.decay[q], j);
      if (i + 1 < SIDE / 2) E *= number(x.chunk.decay[q + 1], j);
    }
    if (odd) gk += E * x.Z[t][j], over += k * (E * x.Z[t][j]);
    gk += __shfl_xor_sync(0xffffffffu, gk, 1);
    g += __shfl_xor_sync(0xffffffffu, g, 1);
    gu += r * k * own;
    if ((size_t)t < count) gw += g; /* beyond the last token nothing decays, but G S is not 0 */
    __syncwarp();                   /* both have read r_t and k_t */
    if (t % 2 == odd) r_t = read[t / 2] + u * k * own;
    if (!odd) k_t = gk + u * r * own, e_t = g;
  }
  if (!odd) x.gu[j] += (acc)gu, x.gw[j] += (acc)gw;
}

template <int N, class Factor>
DEVICE void give_chunk(const Wkv6Backward &op, Backward<Factor, N> &x, const Head &head, size_t from)
{
  const Wkv6 &f = op.forward;
  for (int at = (int)threadIdx.x; at < SIDE * N; at += 4 * N) {
    int n = at / N, j = at % N;
    if (from + (size_t)n >= f.T) break;
    size_t to = token_at(f, head, from + (size_t)n) + (size_t)j;
    if (op.gr) op.gr[to] += number(x.chunk.r[n], j);
    if (op.gk) op.gk[to] += number(x.chunk.k[n], j);
    if (op.gw && f.decay_rows > 1) op.gw[to] += number(x.chunk.decay[n], j);
    if (op.gv) op.gv[to] += x.gv[n][j];
  }
}

template <class Factor, int N> DEVICE void start_back(Backward<Factor, N> &x, const Wkv6Backward &op, const Head &head)
{
  for (int at = (int)threadIdx.x; at < N * N; at += 4 * N) {
    real g = op.gS1 ? op.gS1[head.bh * N * N + (size_t)at] : 0;
    x.G[at / N][at % N] = g;
    factor(&x.gradient[at / N][at % N], g);
  }
  int j = (int)threadIdx.x;
  if (j < N) number(x.chunk.u, j) = op.forward.u[head.h * N + (size_t)j], x.gu[j] = x.gw[j] = 0;
  __syncthreads();
}

/* part [2,B,H,N]: gu and gw of each sequence, or NULL */
template <class Factor, int N>
KERNEL __launch_bounds__(4 * N, sizeof(real) == 8 ? 1
                                : N == 64         ? 2
                                                  : 4) chunks_back(Wkv6Backward op, acc *part)
{
  typedef Backward<Factor, N> Shared;
  DYNAMIC_SHARED(Shared, shared);
  Shared &x = *shared;
  const Wkv6 &f = op.forward;
  Head head = head_of(blockIdx.x, f.H);
  int warp = (int)threadIdx.x / WARP, column = warp * SIDE, pair = (int)threadIdx.x - 2 * N;
  start_back(x, op, head);
  NO_UNROLL
  for (size_t s = pieces(f.T, SIDE); s-- > 0;) {
    size_t from = s * SIDE;
    load_chunk(x.chunk, f, head, from);
    load_tokens<N>(f.v, f, head, from, [&](int n, int i, real v) { factor(&x.v[n][i], v); });
    load_tokens<N>(op.gy, f, head, from, [&](int n, int i, real g) { factor(&x.gy[n][i], g); });
    load_state(x, f.segments + kept_state(f, head, s));
    __syncthreads();
    products(x, warp);
    fade_chunk(x.chunk);
    pair_chunk<4 * N>(x.chunk);
    __syncthreads();
    if (column < N) {
      values_back(x, column);
      fade_columns<Factor, N>(x.G, x.gradient, x.chunk.fade, x.chunk.reads, x.gy, column);
    } else key_back(x, pair, f.T - from);
    __syncthreads();
    give_chunk<N>(op, x, head, from); /* a thread overwrites next only what it gives here */
  }
  for (int at = (int)threadIdx.x; op.gS0 && at < N * N; at += 4 * N)
    op.gS0[head.bh * N * N + (size_t)at] += x.G[at / N][at % N];
  int j = (int)threadIdx.x;
  if (!part || j >= N) return;
  part[(head.b * f.H + head.h) * N + (size_t)j] = x.gu[j];
  part[((f.B + head.b) * f.H + head.h) * N + (size_t)j] = x.gw[j];
}

template <class Factor> static bool launch(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  unsigned blocks = (unsigned)(f->B * f->H);
  if (f->N != 64 && f->N != 32) return false;
  acc *part = wkv6_parts(op);
  if (f->N == 64) LAUNCH((chunks_back<Factor, 64>), blocks, 256, sizeof(Backward<Factor, 64>), *op, part);
  else LAUNCH((chunks_back<Factor, 32>), blocks, 128, sizeof(Backward<Factor, 32>), *op, part);
  wkv6_add_parts(op, part);
  return true;
}

bool wkv6_chunks_backward(const Wkv6Backward *op, ProductsIn in)
{
#ifndef AVIARY_DOUBLE
  if (in == PRODUCTS_BF16) return launch<__nv_bfloat16>(op);
#endif
  return in == PRODUCTS_FULL && launch<real>(op);
}
