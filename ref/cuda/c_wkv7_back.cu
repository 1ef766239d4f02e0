/* The recurrence of RWKV-7, backward. G_t is the gradient by S_t, the read-out of token t included. Three kernels,
   one after the other for each slab of segments, from the last one on:

     wkv7_again     the states of every segment once more, from the one that was kept: S a of every token. As the
                    forward kernel, but segments side by side: T / 16 times as many blocks.
     wkv7_back_rows G, token by token from the last one: G_{t-1} = G_t diag(e^w) + (G_t b) a', and gv = G_t k. A thread
                    has rows of G, as c_wkv7.h says. Keeps G after every segment, and G b of every token.
     wkv7_back_keys the sums down the columns, segments side by side, a thread a column j. Given S a and G b, a number
                    (i,j) of S and G needs no other: for 4 rows at a time (1 in float64) the thread makes the 16 states
                    of the segment anew, in registers, goes back through them with G, and adds to its 5 x 16 sums
                      gr = S_t' gy, gw = e^w sum(G_t S_{t-1}), gk = G_t' v, gb = G_t' (S a), ga = S_{t-1}' (G b).

   No state is divided by a decay. A slab is as large as 256 MB of kept G allow. At B 8, H 64, T 4096, N 64 in float32
   there are 4 + 5 + 11 multiply-adds for each of 8.6e9 numbers of states, and 2.1 GB of states and of G are read or
   written four times. */
#include "c_wkv7_chunks.h"
#include "c_wkv7_columns.h"

typedef struct {
  size_t first, count; /* segments */
  real *sa, *gsa;      /* [B H, count, WKV_SEGMENT, N] S a, and G b */
  real *G;             /* [B H, count, N, N] after each segment */
  real *carried;       /* [B H, N, N] from a slab to the one before it */
} Slab;

/* ---- S a ---- */

template <int P, int E, int R> KERNEL wkv7_again(Wkv7 op, RowLaunch l, Slab slab)
{
  enum { M = P * E };
  DYNAMIC_SHARED(real, keys);           /* [tokens, KEYS, M] */
  real *v = keys + l.tokens * KEYS * M; /* [tokens, rows] */
  size_t T = op.T, H = op.H, N = op.N, bh = blockIdx.x / l.blocks, row0 = blockIdx.x % l.blocks * l.rows;
  size_t segment = slab.first + blockIdx.y, first = segment * WKV_SEGMENT, end = smaller(T, first + WKV_SEGMENT);
  unsigned lane = threadIdx.x % P, mine = threadIdx.x / P * R;
  TokenVectors from = {{NULL, op.w, op.k, op.a, op.b}, op.v, H * N, N};
  real S[R][E];
  rows_load<P, E, R>(S, op.segments + (bh * pieces(T, WKV_SEGMENT) + segment) * N * N, row0 + mine, lane, N);
  for (size_t t0 = first; t0 < end; t0 += l.tokens) {
    unsigned count = (unsigned)smaller(l.tokens, end - t0);
    __syncthreads();
    tokens_load<M>(keys, v, &from, ((bh / H * T + t0) * H + bh % H) * N, count, row0, l.rows);
    __syncthreads();
    for (unsigned t = 0; t < count; t++) {
      real sa[R], vs[R];
      UNROLL
      for (int r = 0; r < R; r++) vs[r] = v[t * l.rows + mine + (unsigned)r];
      rows_step<P, E, R>(S, sa, keys + t * KEYS * M, vs, lane);
      real *to = slab.sa + ((bh * slab.count + blockIdx.y) * WKV_SEGMENT + (t0 - first + t)) * N + row0 + mine;
      UNROLL
      for (int r = 0; r < R; r++)
        if (lane == 0 && row0 + mine + (size_t)r < N) to[r] = sa[r];
    }
  }
}

/* ---- rows of G ---- */

/* One token: G_t without its read-out -> G_{t-1} without its own; G_t k and G_t b. */
template <int P, int E, int R>
DEVICE void rows_back(real (&G)[R][E], real (&gv)[R], real (&gsa)[R], const real *keys, const real (&gy)[R],
                      unsigned lane)
{
  enum { M = P * E };
  UNROLL
  for (int e = 0; e < E; e += 4) {
    Four q = *(const Four *)(keys + KEY_R * M + column_of<P>(lane, e));
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int n = 0; n < 4; n++) G[r][e + n] += gy[r] * q.x[n];
  }
  rows_times<P, E, R>(gv, G, keys + KEY_K * M, lane);
  rows_times<P, E, R>(gsa, G, keys + KEY_B * M, lane);
  UNROLL
  for (int e = 0; e < E; e += 4) {
    Four w = *(const Four *)(keys + KEY_DECAY * M + column_of<P>(lane, e));
    Four a = *(const Four *)(keys + KEY_A * M + column_of<P>(lane, e));
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int n = 0; n < 4; n++) G[r][e + n] = G[r][e + n] * w.x[n] + gsa[r] * a.x[n];
  }
}

template <int P, int E, int R> KERNEL wkv7_back_rows(Wkv7Backward op, RowLaunch l, Slab slab)
{
  enum { M = P * E };
  DYNAMIC_SHARED(real, keys);            /* [tokens, KEYS, M] */
  real *gy = keys + l.tokens * KEYS * M; /* [tokens, rows]; when a token is done, its gv */
  size_t T = op.forward.T, H = op.forward.H, N = op.forward.N;
  size_t bh = blockIdx.x / l.blocks, row0 = blockIdx.x % l.blocks * l.rows;
  size_t at = (bh / H * T * H + bh % H) * N, all = pieces(T, WKV_SEGMENT);
  unsigned lane = threadIdx.x % P, mine = threadIdx.x / P * R;
  TokenVectors from = {
      {op.gy ? op.forward.r : NULL, op.forward.w, op.forward.k, op.forward.a, op.forward.b}, op.gy, H * N, N};
  const real *G_before = slab.first + slab.count < all ? slab.carried : op.gS1;
  real G[R][E];
  rows_load<P, E, R>(G, G_before ? G_before + bh * N * N : NULL, row0 + mine, lane, N);
  for (size_t s = slab.count; s-- > 0;) {
    size_t first = (slab.first + s) * WKV_SEGMENT, end = smaller(T, first + WKV_SEGMENT);
    rows_store<P, E, R>(slab.G + (bh * slab.count + s) * N * N, G, row0 + mine, lane, N);
    for (size_t parts = pieces(end - first, l.tokens); parts-- > 0;) {
      size_t t0 = first + parts * l.tokens;
      unsigned count = (unsigned)smaller(l.tokens, end - t0);
      __syncthreads();
      tokens_load<M>(keys, gy, &from, at + t0 * H * N, count, row0, l.rows);
      __syncthreads();
      for (unsigned t = count; t-- > 0;) {
        real gys[R], gv[R], gsa[R], *my_gy = gy + t * l.rows + mine;
        real *to = slab.gsa + ((bh * slab.count + s) * WKV_SEGMENT + (t0 - first + t)) * N + row0 + mine;
        UNROLL
        for (int r = 0; r < R; r++) gys[r] = my_gy[r];
        rows_back<P, E, R>(G, gv, gsa, keys + t * KEYS * M, gys, lane);
        UNROLL
        for (int r = 0; r < R; r++) {
          if (lane == 0) my_gy[r] = gv[r]; /* which its lanes have read: the sums above are theirs */
          if (lane == 0 && row0 + mine + (size_t)r < N) to[r] = gsa[r];
        }
      }
      __syncthreads();
      for (unsigned x = threadIdx.x; op.gv && x < count * l.rows; x += blockDim.x)
        if (row0 + x % l.rows < N) op.gv[at + (t0 + x / l.rows) * H * N + row0 + x % l.rows] += gy[x];
    }
  }
  if (slab.first) rows_store<P, E, R>(slab.carried + bh * N * N, G, row0 + mine, lane, N);
  else if (op.gS0) rows_add<P, E, R>(op.gS0 + bh * N * N, G, row0 + mine, lane, N);
}

/* ---- sums down columns ---- */

template <int SUMS>
static __global__ void __launch_bounds__(COLUMNS) wkv7_back_keys(Wkv7Backward op, Slab slab, unsigned column_blocks)
{
  enum { AHEAD = sizeof(real) == 4 }; /* rows are loaded before they are needed, where there are registers for it */
  SHARED(real, keys, [KEYS][WKV_SEGMENT][COLUMNS]);
  SHARED(RowVectors, rows, [STAGED / AT_ONCE]);
  const Wkv7 &f = op.forward;
  unsigned N = (unsigned)f.N, column0 = blockIdx.x % column_blocks * COLUMNS, j = column0 + threadIdx.x;
  size_t T = f.T, H = f.H, bh = blockIdx.x / column_blocks, segment = slab.first + blockIdx.y, step = H * N;
  size_t t0 = segment * WKV_SEGMENT, at = ((bh / H * T + t0) * H + bh % H) * N, here = bh * slab.count + blockIdx.y;
  unsigned count = (unsigned)smaller(WKV_SEGMENT, T - t0);
  TokenVectors from = {{op.gy ? f.r : NULL, f.w, f.k, f.a, f.b}, NULL, step, N};
  const real *S = f.segments + (bh * pieces(T, WKV_SEGMENT) + segment) * N * N, *G = slab.G + here * N * N;
  real sum[KEYS][WKV_SEGMENT] = {};
  RowNumbers S_next, G_next;
  if (AHEAD) S_next = column_load(S, 0, j, N), G_next = column_load(G, 0, j, N);
  keys_load(keys, &from, at, count, column0);
  NO_UNROLL
  for (unsigned row0 = 0; row0 < N; row0 += STAGED) {
    __syncthreads();
    vector_load(rows, ROW_V, f.v + at, step, count, row0, N);
    vector_load(rows, ROW_SA, slab.sa + here * WKV_SEGMENT * N, N, count, row0, N);
    vector_load(rows, ROW_GY, op.gy ? op.gy + at : NULL, step, count, row0, N);
    vector_load(rows, ROW_GSA, slab.gsa + here * WKV_SEGMENT * N, N, count, row0, N);
    __syncthreads();
    NO_UNROLL
    for (unsigned i = 0; i < STAGED; i += AT_ONCE) {
      RowNumbers S_now = S_next, G_now = G_next;
      unsigned next = row0 + i + (AHEAD ? AT_ONCE : 0);
      S_next = column_load(S, next, j, N), G_next = column_load(G, next, j, N);
      if (!AHEAD) S_now = S_next, G_now = G_next;
      column_back<SUMS>(sum, S_now, G_now, keys, rows[i / AT_ONCE], threadIdx.x);
    }
  }
  if (j >= N) return;
  UNROLL
  for (int t = 0; t < WKV_SEGMENT; t++) sum[KEY_DECAY][t] *= keys[KEY_DECAY][t][threadIdx.x];
  if (SUMS >> KEY_R & 1 && op.gr && op.gy) column_add(op.gr + at + j, sum[KEY_R], step, count);
  if (SUMS >> KEY_DECAY & 1 && op.gw) column_add(op.gw + at + j, sum[KEY_DECAY], step, count);
  if (SUMS >> KEY_K & 1 && op.gk) column_add(op.gk + at + j, sum[KEY_K], step, count);
  if (SUMS >> KEY_B & 1 && op.gb) column_add(op.gb + at + j, sum[KEY_B], step, count);
  if (SUMS >> KEY_A & 1 && op.ga) column_add(op.ga + at + j, sum[KEY_A], step, count);
}

/* ---- launching ---- */

template <int P, int E, int R> static void back(const Wkv7Backward *op, const Slab *slab)
{
  const Wkv7 *f = &op->forward;
  RowLaunch l = row_launch(f->N, P, E, R);
  unsigned heads = (unsigned)(f->B * f->H), column_blocks = (unsigned)pieces(f->N, COLUMNS);
  dim3 rows(heads * l.blocks, (unsigned)slab->count), columns(heads * column_blocks, (unsigned)slab->count);
  LAUNCH((wkv7_again<P, E, R>), rows, l.threads, l.bytes, *f, l, *slab);
  LAUNCH((wkv7_back_rows<P, E, R>), heads * l.blocks, l.threads, l.bytes, *op, l, *slab);
#ifdef AVIARY_DOUBLE
  LAUNCH(wkv7_back_keys<SUMS_OF_S>, columns, COLUMNS, 0, *op, *slab, column_blocks);
  LAUNCH(wkv7_back_keys<SUMS_OF_G>, columns, COLUMNS, 0, *op, *slab, column_blocks);
#else
  LAUNCH(wkv7_back_keys<SUMS_OF_S | SUMS_OF_G>, columns, COLUMNS, 0, *op, *slab, column_blocks);
#endif
}

#define SIZE(most, P, E, R) \
  if (N <= most) return back<P, E, R>;
typedef void Back(const Wkv7Backward *op, const Slab *slab);
static Back *back_for(size_t N)
{
  WKV7_SIZES(SIZE)
  device_fail("wkv7: a head of %zu: expected 2048 at most", N);
}

size_t wkv7_slab_bytes = (size_t)256 << 20;

void c_wkv7_backward(const Wkv7Backward *op)
{
  enum { MOST_SEGMENTS = 1024 };
  const Wkv7 *f = &op->forward;
  size_t heads = f->B * f->H, N = f->N, numbers = heads * N * N, all = pieces(f->T, WKV_SEGMENT);
  if (!numbers) return;
  if (wkv7_in_chunks(f->T) && wkv7_chunks_backward(op, products_in)) return;
  size_t each = smaller(larger(all, 1), larger(1, smaller(MOST_SEGMENTS, wkv7_slab_bytes / (numbers * sizeof(real)))));
  Slab slab = {};
  slab.sa = (real *)device_scratch(heads * each * WKV_SEGMENT * N * sizeof(real));
  slab.gsa = (real *)device_scratch(heads * each * WKV_SEGMENT * N * sizeof(real));
  slab.G = (real *)device_scratch(each * numbers * sizeof(real));
  slab.carried = (real *)device_scratch(numbers * sizeof(real));
  Back *back = back_for(N);
  for (size_t n = pieces(all, each); n-- > 0;) {
    slab.first = n * each, slab.count = smaller(each, all - slab.first);
    back(op, &slab);
  }
}
