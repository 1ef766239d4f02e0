/* The way back through wkv6, token by token from the last: with G, the gradient by the state after token t,

     gv_i = sum_j (G_ji + gy_i r_j u_j) k_j
     gr_j = sum_i gy_i (S_ji + u_j k_j v_i)      gu_j = sum_i gy_i r_j k_j v_i
     gk_j = sum_i (G_ji + gy_i r_j u_j) v_i      gw_j = e^w_j sum_i G_ji S_ji
     G_ji <- e^w_j G_ji + gy_i r_j

   Two kernels, each with G once more. `back_columns` has a column i a thread, as the way forward, and gives gv and
   gS0: it reads r, w, k, gy. `back_rows` has a row j in four neighbouring lanes, and gives what is a sum over i. It
   reads r, w, k, v, gy and the kept states. States are made again from those, never divided by a decay: those of
   tokens 0, 4, 8, 12 of a segment stay in registers, and from each come the next three. Sums over tokens (gu, and
   gw where all have one decay) are taken by sequence first, and then over the sequences in their order. The one
   costs 4 instructions a token and number of the state, the other 11, and holds 8 numbers for each of its columns
   in registers. */
#include "c_wkv6_columns.h"
#include "parts.h"

template <int ROWS, int COLUMNS>
KERNEL __launch_bounds__(COLUMNS, sizeof(real) == 4 ? 6 : 2) back_columns(Wkv6Backward op)
{
  SHARED(Keys<ROWS>, shared, [1]);
  SHARED(real, gy, [WKV_SEGMENT][COLUMNS]);
  SHARED(real, gv, [WKV_SEGMENT][COLUMNS]);
  const Wkv6 &f = op.forward;
  Keys<ROWS> &keys = shared[0];
  Head head = head_of(blockIdx.x, f.H);
  size_t N = f.N, i = blockIdx.y * (size_t)COLUMNS + threadIdx.x;
  for (size_t j0 = 0; j0 < N; j0 += ROWS) {
    real G[ROWS];
    load_column<ROWS>(G, op.gS1 ? op.gS1 + head.bh * N * N : NULL, op.gS1 ? N : 0, j0, i);
    NO_UNROLL
    for (size_t s = pieces(f.T, WKV_SEGMENT); s-- > 0;) {
      size_t from = s * WKV_SEGMENT;
      int count = (int)smaller(WKV_SEGMENT, f.T - from);
      UNROLL
      for (int n = 0; n < WKV_SEGMENT; n++)
        gy[n][threadIdx.x] = op.gy && i < N && n < count ? op.gy[token_at(f, head, from + (size_t)n) + i] : 0;
      load_keys<ROWS, COLUMNS>(keys, f, head, from, count, j0);
      NO_UNROLL
      for (int n = count; n-- > 0;) {
        Four sum = {};
        real g = gy[n][threadIdx.x];
        UNROLL
        for (int q = 0; q < ROWS / 4; q++) {
          Four r = keys.r[n][q], k = keys.k[n][q], e = keys.decay[n][q];
          UNROLL
          for (int x = 0; x < 4; x++) {
            sum.x[x] += G[4 * q + x] * k.x[x];
            G[4 * q + x] = e.x[x] * G[4 * q + x] + g * r.x[x];
          }
        }
        gv[n][threadIdx.x] = (sum.x[0] + sum.x[1]) + (sum.x[2] + sum.x[3]) + g * keys.own[n];
      }
      UNROLL
      for (int n = 0; n < WKV_SEGMENT; n++)
        if (op.gv && i < N && n < count) op.gv[token_at(f, head, from + (size_t)n) + i] += gv[n][threadIdx.x];
      __syncthreads();
    }
    if (op.gS0) store_column<ROWS, true>(op.gS0 + head.bh * N * N, G, N, j0, i);
  }
}

/* ---- rows ---- */

enum { LANES = 4, STEPS = 4 }; /* that share a row; tokens from one state in registers to the next */

/* Of the tokens of a segment; 0 beyond the last of rows, columns and tokens, and there a decay of 1. */
template <int TILE> struct RowsOf {
  Four v[WKV_SEGMENT][TILE / 4], gy[WKV_SEGMENT][TILE / 4];                  /* of TILE columns */
  real r[WKV_SEGMENT][TILE], k[WKV_SEGMENT][TILE], decay[WKV_SEGMENT][TILE]; /* of TILE rows */
  real gyS[WKV_SEGMENT][TILE], Gv[WKV_SEGMENT][TILE], GS[WKV_SEGMENT][TILE]; /* sums over the columns */
  real gyv[WKV_SEGMENT];
  acc sums[2][LANES][TILE];
};

template <int TILE>
DEVICE void load_rows(RowsOf<TILE> &x, const Wkv6Backward &op, const Head &head, size_t from, size_t j0, size_t i0)
{
  const Wkv6 &f = op.forward;
  int n = (int)threadIdx.x / TILE, c = (int)threadIdx.x % TILE;
  bool row = j0 + (size_t)c < f.N, column = i0 + (size_t)c < f.N;
  UNROLL
  for (int m = 0; m < WKV_SEGMENT; m += LANES) {
    size_t t = from + (size_t)(n + m), at = token_at(f, head, t);
    bool there = t < f.T;
    x.r[n + m][c] = there && row ? f.r[at + j0 + (size_t)c] : 0;
    x.k[n + m][c] = there && row ? f.k[at + j0 + (size_t)c] : 0;
    x.decay[n + m][c] = there && row ? exp(decay_at(f, head, t)[j0 + (size_t)c]) : 1;
    x.v[n + m][c / 4].x[c % 4] = there && column ? f.v[at + i0 + (size_t)c] : 0;
    x.gy[n + m][c / 4].x[c % 4] = there && column && op.gy ? op.gy[at + i0 + (size_t)c] : 0;
  }
  __syncthreads();
  sums_of_tokens<LANES>(x.gyv, TILE, [&](int m, int i) { return x.gy[m][i / 4].x[i % 4] * x.v[m][i / 4].x[i % 4]; });
}

/* S1 = diag(e^w) S + k v', of a lane's columns */
template <int COLUMNS, int TILE> DEVICE void next_state(real *S1, const real *S, const RowsOf<TILE> &x, int n, int row)
{
  real e = x.decay[n][row], k = x.k[n][row];
  UNROLL
  for (int q = 0; q < COLUMNS / 4; q++) {
    Four v = x.v[n][q * LANES + (int)threadIdx.x % LANES];
    UNROLL
    for (int c = 0; c < 4; c++) S1[4 * q + c] = e * S[4 * q + c] + k * v.x[c];
  }
}

/* One token back; S is the state before it. */
template <int COLUMNS, int TILE> DEVICE void step_back(real *G, const real *S, RowsOf<TILE> &x, int n, int row)
{
  real e = x.decay[n][row], r = x.r[n][row], gyS = 0, Gv = 0, GS = 0;
  UNROLL
  for (int q = 0; q < COLUMNS / 4; q++) {
    Four v = x.v[n][q * LANES + (int)threadIdx.x % LANES], g = x.gy[n][q * LANES + (int)threadIdx.x % LANES];
    UNROLL
    for (int c = 0; c < 4; c++) {
      gyS += g.x[c] * S[4 * q + c];
      Gv += G[4 * q + c] * v.x[c];
      GS += G[4 * q + c] * S[4 * q + c];
      G[4 * q + c] = e * G[4 * q + c] + g.x[c] * r;
    }
  }
  UNROLL
  for (int other = 1; other < LANES; other *= 2) {
    gyS += __shfl_xor_sync(0xffffffffu, gyS, other);
    Gv += __shfl_xor_sync(0xffffffffu, Gv, other);
    GS += __shfl_xor_sync(0xffffffffu, GS, other);
  }
  if (threadIdx.x % LANES == 0) x.gyS[n][row] = gyS, x.Gv[n][row] = Gv, x.GS[n][row] = GS;
}

/* A segment back: the states once more, and then token by token from its end. ck: the states before every STEPS tokens,
   the last one of them at the end. */
template <int COLUMNS, int TILE> DEVICE void segment_back(real *G, real (*ck)[COLUMNS], RowsOf<TILE> &x, int row)
{
  NO_UNROLL
  for (int n = 0; n + STEPS < WKV_SEGMENT; n += STEPS) {
    UNROLL
    for (int c = 0; c < COLUMNS; c++) ck[0][c] = ck[1][c], ck[1][c] = ck[2][c], ck[2][c] = ck[3][c];
    UNROLL
    for (int m = 0; m < STEPS; m++) next_state<COLUMNS>(ck[3], ck[3], x, n + m, row);
  }
  NO_UNROLL
  for (int n = WKV_SEGMENT - STEPS; n >= 0; n -= STEPS) {
    real S[STEPS - 1][COLUMNS];
    UNROLL
    for (int m = 0; m + 1 < STEPS; m++) next_state<COLUMNS>(S[m], m ? S[m - 1] : ck[3], x, n + m, row);
    UNROLL
    for (int m = STEPS; m-- > 0;) step_back<COLUMNS>(G, m ? S[m - 1] : ck[3], x, n + m, row);
    UNROLL
    for (int c = 0; c < COLUMNS; c++) ck[3][c] = ck[2][c], ck[2][c] = ck[1][c], ck[1][c] = ck[0][c];
  }
}

/* What a segment gives, with the tokens' own pairs; a thread has a row and every LANES-th token. */
template <int TILE>
DEVICE void give_rows(const Wkv6Backward &op, const Head &head, const RowsOf<TILE> &x, size_t from, size_t j0, acc *gu,
                      acc *gw)
{
  const Wkv6 &f = op.forward;
  int n = (int)threadIdx.x / TILE, row = (int)threadIdx.x % TILE;
  size_t j = j0 + (size_t)row;
  if (j >= f.N) return;
  real u = f.u[head.h * f.N + j];
  UNROLL
  for (int m = n; m < WKV_SEGMENT; m += LANES) {
    size_t at = token_at(f, head, from + (size_t)m) + j;
    if (from + (size_t)m >= f.T) break;
    real r = x.r[m][row], k = x.k[m][row], gyv = x.gyv[m], g = x.decay[m][row] * x.GS[m][row];
    if (op.gr) op.gr[at] += x.gyS[m][row] + u * k * gyv;
    if (op.gk) op.gk[at] += x.Gv[m][row] + r * u * gyv;
    if (op.gw && f.decay_rows > 1) op.gw[at] += g;
    *gu += (acc)(r * k * gyv), *gw += (acc)g;
  }
}

/* A lane's columns of row j of S [N,N], in the tile that begins at column i0; 0 beyond the last. */
template <int COLUMNS> DEVICE void load_row(real *row, const real *S, size_t N, size_t j, size_t i0)
{
  UNROLL
  for (int c = 0; c < COLUMNS; c++) {
    size_t i = i0 + 4 * (size_t)(c / 4 * LANES + (int)threadIdx.x % LANES) + (size_t)(c % 4);
    row[c] = S && j < N && i < N ? S[j * N + i] : 0;
  }
}

/* A block: a head of a sequence, TILE rows; all columns, TILE of them at a time, through all tokens. part [2,B,H,N]: gu
   and gw of each sequence, or NULL. */
template <int COLUMNS> KERNEL __launch_bounds__(COLUMNS *LANES *LANES, 1) back_rows(Wkv6Backward op, acc *part)
{
  enum { TILE = COLUMNS * LANES };
  DYNAMIC_SHARED(RowsOf<TILE>, shared);
  RowsOf<TILE> &x = *shared;
  const Wkv6 &f = op.forward;
  Head head = head_of(blockIdx.x, f.H);
  int row = (int)threadIdx.x / LANES;
  size_t N = f.N, j0 = blockIdx.y * (size_t)TILE, j = j0 + (size_t)row;
  acc gu = 0, gw = 0;
  for (size_t i0 = 0; i0 < N; i0 += TILE) {
    real G[COLUMNS], ck[STEPS][COLUMNS] = {};
    load_row<COLUMNS>(G, op.gS1 ? op.gS1 + head.bh * N * N : NULL, N, j, i0);
    NO_UNROLL
    for (size_t s = pieces(f.T, WKV_SEGMENT); s-- > 0;) {
      load_row<COLUMNS>(ck[STEPS - 1], f.segments + kept_state(f, head, s), N, j, i0);
      load_rows<TILE>(x, op, head, s * WKV_SEGMENT, j0, i0);
      segment_back<COLUMNS>(G, ck, x, row);
      __syncthreads();
      give_rows<TILE>(op, head, x, s * WKV_SEGMENT, j0, &gu, &gw);
      __syncthreads();
    }
  }
  if (!part) return;
  int of = (int)threadIdx.x / TILE, at = (int)threadIdx.x % TILE;
  x.sums[0][of][at] = gu, x.sums[1][of][at] = gw;
  __syncthreads();
  if (of < 2 && j0 + (size_t)at < N) {
    acc sum = 0;
    for (int n = 0; n < LANES; n++) sum += x.sums[of][n][at];
    part[(((size_t)of * f.B + head.b) * f.H + head.h) * N + j0 + (size_t)at] = sum;
  }
}

acc *wkv6_parts(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  bool wanted = op->gu || (op->gw && f->decay_rows == 1);
  return wanted ? (acc *)device_scratch(f->B * 2 * f->H * f->N * sizeof(acc)) : NULL;
}

void wkv6_add_parts(const Wkv6Backward *op, const acc *part)
{
  const Wkv6 *f = &op->forward;
  size_t C = f->H * f->N;
  if (part) add_parts<acc>({op->gu, part, f->B, C}, {f->decay_rows == 1 ? op->gw : NULL, part + f->B * C, f->B, C});
}

enum { MOST_COLUMNS = sizeof(real) == 4 ? 16 : 8 }; /* of a lane */

static void rows_back(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  acc *part = wkv6_parts(op);
  size_t columns = f->N <= 16 ? 4 : f->N <= 32 ? 8 : MOST_COLUMNS, tile = columns * LANES;
  dim3 blocks((unsigned)(f->B * f->H), (unsigned)pieces(f->N, tile));
  unsigned threads = (unsigned)(tile * LANES);
  if (columns == 4) LAUNCH(back_rows<4>, blocks, threads, sizeof(RowsOf<16>), *op, part);
  else if (columns == 8) LAUNCH(back_rows<8>, blocks, threads, sizeof(RowsOf<32>), *op, part);
  else LAUNCH(back_rows<MOST_COLUMNS>, blocks, threads, sizeof(RowsOf<MOST_COLUMNS * LANES>), *op, part);
  wkv6_add_parts(op, part);
}

void c_wkv6_backward(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  if (!f->B || !f->H || !f->N) return;
  if (products_in == PRODUCTS_BF16 && wkv6_chunks_backward(op, products_in)) return;
  if (op->gv || op->gS0) LAUNCH_COLUMNS(back_columns, f, *op);
  if (op->gr || op->gk || op->gw || op->gu) rows_back(op);
}
