/* The sum of RWKV-1 [v1.4], for the last T of U positions (lag = U - T): sums down each channel first, then, a tile of
   positions by a tile of earlier ones, the weights of a head, by which rows of k v are summed. */
#include "tile.h"

/* What is made on the way, in scratch. */
typedef struct {
  real *kv;    /* [B,U,H,N] */
  real *total; /* [B,T,H,N] the sum of k up to each position */
  real *y;     /* [B,T,H,N] */
} Sums;

enum { AHEAD = 8 }; /* positions that are read together, so that memory is waited for once */

/* k v, and the running sum of k: a thread has a channel of a sequence, a warp has channels side by side. */
KERNEL wkv1_sums(Wkv1 op, Sums sums)
{
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, C = op.H * op.N, lag = op.U - op.T, b = i / C, c = i % C;
  if (i >= op.B * C) return;
  acc total = 0;
  for (size_t u = 0; u < op.U; u += AHEAD) {
    real k[AHEAD], v[AHEAD];
    for (int s = 0; s < AHEAD; s++) {
      size_t at = (b * op.U + smaller(u + s, op.U - 1)) * C + c;
      k[s] = op.k[at], v[s] = op.v[at];
    }
    for (int s = 0; s < AHEAD && u + s < op.U; s++) {
      total += (acc)k[s];
      sums.kv[(b * op.U + u + s) * C + c] = k[s] * v[s];
      if (u + s >= lag) sums.total[(b * op.T + u + s - lag) * C + c] = (real)total;
    }
  }
}

/* What a block has: a tile of positions of one head, and one of its columns. */
typedef struct {
  size_t b, h, first, tile;
} Place;

DEVICE Place place_of(const Wkv1 &op)
{
  size_t columns = pieces(op.N, TILE), rest = blockIdx.x / columns, bh = rest % (op.B * op.H);
  return {bh / op.H, bh % op.H, blockIdx.x % columns * TILE, rest / (op.B * op.H)};
}

static unsigned blocks_for(const Wkv1 *op, size_t rows)
{
  return (unsigned)(op->B * op->H * pieces(op->N, TILE) * pieces(rows, TILE));
}

/* Rows of [B,size,H,N] from `at` on. */
DEVICE Strip strip_of(const real *x, size_t size, size_t at, const Wkv1 &op, size_t b, size_t h)
{
  return {x + ((b * size + at) * op.H + h) * op.N, op.H * op.N, smaller(TILE, size - at), op.N, NULL};
}

DEVICE real fading(const Wkv1 &op, size_t h, size_t distance) { return op.w[h * op.ctx + op.ctx - 1 - distance]; }

/* y_t = beta_t sum_{u<=t} w[t-u] alpha_u k_u v_u / total_t */
TILE_KERNEL wkv1(Wkv1 op, Sums sums)
{
  DYNAMIC_SHARED(real, w);
  real *room = w + TILE_ROOM;
  Place p = place_of(op);
  size_t row = (pieces(op.T, TILE) - 1 - p.tile) * TILE, count = smaller(TILE, op.T - row), t = op.U - op.T + row;
  Square y = {};
  for (size_t u = 0; u < t + count; u += TILE) {
    Strip kv = strip_of(sums.kv, op.U, u, op, p.b, p.h);
    Seen seen;
    Square s;
    for (int i = 0; i < 4; i++) {
      size_t own = t + TILE_Y + SIDE * i;
      seen.from[i] = 0, seen.to[i] = TILE_Y + SIDE * i < count ? (int)((long)own + 1 - (long)u) : 0;
      for (int j = 0; j < 4; j++) {
        size_t other = u + TILE_X + SIDE * j;
        if (tile_sees(seen, i, TILE_X + SIDE * j))
          s.at[i][j] = fading(op, p.h, own - other) * op.alpha[p.h * op.ctx + other];
      }
    }
    __syncthreads();
    tile_put(w, s, seen);
    tile_load(room, kv, p.first);
    __syncthreads();
    tile_add(y, w, room, (unsigned)kv.count, seen);
  }
  size_t at = ((p.b * op.T + row) * op.H + p.h) * op.N + p.first, step = op.H * op.N;
  for (int i = 0; i < 4; i++)
    for (int c = 0; c < 4; c++) {
      size_t own = TILE_Y + SIDE * i, column = 4 * TILE_X + c;
      if (own < count && p.first + column < op.N)
        y.at[i][c] *= op.beta[p.h * op.ctx + t + own] / sums.total[at + own * step + column];
    }
  tile_write(sums.y + at, step, count, op.N - p.first, y, false, NULL);
}

static Sums room_for(const Wkv1 *op, real *y)
{
  size_t BUC = op->B * op->U * op->H * op->N, BTC = op->B * op->T * op->H * op->N;
  real *room = (real *)device_scratch((BUC + (y ? 1 : 2) * BTC) * sizeof(real));
  return {room, room + BUC, y ? y : room + BUC + BTC};
}

static void forward(const Wkv1 *op, Sums sums)
{
  LAUNCH(wkv1_sums, (unsigned)pieces(op->B * op->H * op->N, WARP), WARP, 0, *op, sums);
  LAUNCH(wkv1, blocks_for(op, op->T), TILE_THREADS, TILE_BYTES(2), *op, sums);
}

void c_wkv1(const Wkv1 *op)
{
  if (blocks_for(op, op->T)) forward(op, room_for(op, op->y));
}

/* ---- backward ----

   With g_t = gy_t / total_t, full_tu = w[t-u] alpha_u beta_t, and for each head P_tu = sum over b, n of g_t k_u v_u:

     gk_u = v_u sum_{t>=u} full_tu g_t - sum_{t>=u} g_t y_t
     gv_u = k_u sum_{t>=u} full_tu g_t
     gw[d] = sum_{t-u=d} alpha_u beta_t P_tu
     galpha_u = sum_t w[t-u] beta_t P_tu,  gbeta_t = sum_u w[t-u] alpha_u P_tu */

typedef struct {
  Wkv1Backward op;
  Sums sums;
  real *g, *later; /* [B,T,H,N] g, and the sum of g y from each position on */
  real *part;      /* [parts,H,T tiles,U tiles,4 TILE] what blocks leave for gw (2 TILE), galpha and gbeta */
  size_t parts;    /* of the sequences */
} Back;

KERNEL wkv1_later(Back back)
{
  const Wkv1 &f = back.op.forward;
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, C = f.H * f.N, b = i / C, c = i % C;
  if (i >= f.B * C) return;
  acc later = 0;
  for (size_t left = f.T; left; left -= smaller(left, AHEAD)) {
    real g[AHEAD], y[AHEAD];
    for (int s = 0; s < AHEAD; s++) {
      size_t at = (b * f.T + left - smaller(left, 1 + s)) * C + c;
      g[s] = back.op.gy[at] / back.sums.total[at], y[s] = back.sums.y[at];
    }
    for (int s = 0; s < AHEAD && left > (size_t)s; s++) {
      size_t at = (b * f.T + left - 1 - s) * C + c;
      later += (acc)g[s] * (acc)y[s];
      back.g[at] = g[s], back.later[at] = (real)later;
    }
  }
}

/* gk and gv: a block has a tile of positions u. */
TILE_KERNEL wkv1_pairs(Back back)
{
  DYNAMIC_SHARED(real, w);
  const Wkv1Backward &op = back.op;
  const Wkv1 &f = op.forward;
  real *room = w + TILE_ROOM;
  Place p = place_of(f);
  size_t u = p.tile * TILE, many = smaller(TILE, f.U - u), lag = f.U - f.T,
         from = u > lag ? (u - lag) / TILE * TILE : 0;
  Square sum = {};
  for (size_t row = from; row < f.T; row += TILE) {
    Strip g = strip_of(back.g, f.T, row, f, p.b, p.h);
    Seen seen;
    Square s;
    for (int i = 0; i < 4; i++) {
      size_t own = u + TILE_Y + SIDE * i;
      seen.from[i] = (int)((long)own - (long)(lag + row)), seen.to[i] = (int)g.count;
      for (int j = 0; j < 4; j++) {
        size_t t = lag + row + TILE_X + SIDE * j;
        if (tile_sees(seen, i, TILE_X + SIDE * j)) s.at[i][j] = fading(f, p.h, t - own) * f.beta[p.h * f.ctx + t];
      }
    }
    __syncthreads();
    tile_put(w, s, seen);
    tile_load(room, g, p.first);
    __syncthreads();
    tile_add(sum, w, room, (unsigned)g.count, seen);
  }
  for (int i = 0; i < 4; i++)
    for (int c = 0; c < 4; c++) {
      size_t own = u + TILE_Y + SIDE * i, column = p.first + 4 * TILE_X + c;
      if (own >= u + many || column >= f.N) continue;
      size_t at = ((p.b * f.U + own) * f.H + p.h) * f.N + column, t = own > lag ? own - lag : 0;
      real full = f.alpha[p.h * f.ctx + own] * sum.at[i][c];
      real later = back.later[((p.b * f.T + t) * f.H + p.h) * f.N + column];
      if (op.gk) op.gk[at] += full * f.v[at] - later;
      if (op.gv) op.gv[at] += full * f.k[at];
    }
}

/* ---- the gradients by w, alpha and beta ---- */

/* Whether some position of tile i (of T) sees some of tile j (of U). */
DEVICE bool tiles_meet(const Wkv1 &f, size_t i, size_t j)
{
  return j * TILE < f.U - f.T + smaller(f.T, (i + 1) * TILE);
}

/* P of a tile of T by a tile of U of one head, over some of the sequences, and its sums along diagonals, columns and
   rows. */
TILE_KERNEL wkv1_scores(Back back)
{
  DYNAMIC_SHARED(real, g_room);
  const Wkv1 &f = back.op.forward;
  real *room = g_room + TILE_ROOM, *w = room + TILE_ROOM, *part = back.part + blockIdx.x * (size_t)(4 * TILE);
  size_t tiles = pieces(f.U, TILE), rest = blockIdx.x / tiles, j = blockIdx.x % tiles;
  size_t i = rest % pieces(f.T, TILE), h = rest / pieces(f.T, TILE) % f.H, which = rest / pieces(f.T, TILE) / f.H;
  size_t each = pieces(f.B, back.parts), u = j * TILE, t = f.U - f.T + i * TILE, many = smaller(TILE, f.U - u);
  const real *alpha = f.alpha + h * f.ctx + u, *beta = f.beta + h * f.ctx + t;
  if (!tiles_meet(f, i, j)) return;
  Square sum = {};
  for (size_t b = which * each; b < smaller(f.B, (which + 1) * each); b++) {
    Square s;
    tile_scores(s, g_room, room, strip_of(back.g, f.T, i * TILE, f, b, h), strip_of(back.sums.kv, f.U, u, f, b, h),
                false);
    for (int k = 0; k < 16; k++) sum.at[k / 4][k % 4] += s.at[k / 4][k % 4];
  }
  Seen seen;
  int count = (int)smaller(TILE, f.U - t);
  for (int k = 0; k < 4; k++) {
    int row = TILE_Y + SIDE * k;
    seen.from[k] = 0, seen.to[k] = row < count ? (int)smaller(many, t + row + 1 > u ? t + row + 1 - u : 0) : 0;
  }
  tile_put(w, sum, seen);
  __syncthreads();
  for (int k = threadIdx.x; k < 4 * TILE; k += TILE_THREADS) {
    int column = k - 2 * TILE, row = k - 3 * TILE;
    real x = 0;
    if (k < 2 * TILE) { /* t - u of the diagonal, less that of the tiles' first ones, is k - (TILE - 1) */
      for (int r = 0; r < count; r++) {
        int c = r - (k - (TILE - 1));
        if (c >= 0 && c < (int)many && t + r >= u + c) x += alpha[c] * beta[r] * w[r * TILE_ROW + c];
      }
    } else if (k < 3 * TILE) {
      for (int r = 0; r < count && column < (int)many; r++)
        if (t + r >= u + column) x += fading(f, h, t + r - u - column) * beta[r] * w[r * TILE_ROW + column];
    } else {
      for (int c = 0; c < (int)many && row < count; c++)
        if (t + row >= u + c) x += fading(f, h, t + row - u - c) * alpha[c] * w[row * TILE_ROW + c];
    }
    part[k] = x;
  }
}

/* Number n of all three is one thread's: they may be the same memory. */
KERNEL wkv1_weights(Back back)
{
  const Wkv1Backward &op = back.op;
  const Wkv1 &f = op.forward;
  size_t T_tiles = pieces(f.T, TILE), U_tiles = pieces(f.U, TILE), lag = f.U - f.T;
  EACH(at, f.H * f.ctx) {
    size_t h = at / f.ctx, n = at % f.ctx;
    long distance = (long)(f.ctx - 1 - n);
    real gw = 0, galpha = 0, gbeta = 0;
    for (size_t p = 0; p < back.parts; p++)
      for (size_t i = 0; i < T_tiles; i++)
        for (size_t j = 0; j < U_tiles && tiles_meet(f, i, j); j++) {
          const real *part = back.part + (((p * f.H + h) * T_tiles + i) * U_tiles + j) * 4 * TILE;
          long diagonal = distance - (long)(lag + i * TILE) + (long)(j * TILE) + TILE - 1;
          if (diagonal >= 0 && diagonal < 2 * TILE - 1) gw += part[diagonal];
          if (n / TILE == j) galpha += part[2 * TILE + n % TILE];
          if (n >= lag && (n - lag) / TILE == i) gbeta += part[3 * TILE + (n - lag) % TILE];
        }
    if (op.gw) op.gw[at] += gw;
    if (op.galpha) op.galpha[at] += galpha;
    if (op.gbeta) op.gbeta[at] += gbeta;
  }
}

void c_wkv1_backward(const Wkv1Backward *op)
{
  enum { ENOUGH = 1024 }; /* blocks */
  const Wkv1 *f = &op->forward;
  size_t BTC = f->B * f->T * f->H * f->N, squares = f->H * pieces(f->T, TILE) * pieces(f->U, TILE);
  if (!BTC) return;
  size_t parts = smaller(pieces(f->B, 2), pieces(ENOUGH, squares));
  real *room = (real *)device_scratch((2 * BTC + parts * squares * 4 * TILE) * sizeof(real));
  Back back = {*op, room_for(f, NULL), room, room + BTC, room + 2 * BTC, parts};
  forward(f, back.sums);
  LAUNCH(wkv1_later, (unsigned)pieces(f->B * f->H * f->N, WARP), WARP, 0, back);
  if (op->gk || op->gv) LAUNCH(wkv1_pairs, blocks_for(f, f->U), TILE_THREADS, TILE_BYTES(2), back);
  if (!op->gw && !op->galpha && !op->gbeta) return;
  LAUNCH(wkv1_scores, (unsigned)(parts * squares), TILE_THREADS, TILE_BYTES(3), back);
  LAUNCH(wkv1_weights, BLOCKS_FOR(f->H * f->ctx), BLOCK, 0, back);
}
