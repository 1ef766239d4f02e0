/* Causal softmax attention, a tile of scores after the other, so that no row of them is ever held. A block has a tile
   of queries (or keys) of one head, and a tile of columns of what it writes. */
#include "tile.h"

/* What a block has. */
typedef struct {
  size_t b, h, first, tile; /* first: of its columns */
} Place;

DEVICE Place place_of(const Attention &op)
{
  size_t columns = pieces(op.N, TILE), rest = blockIdx.x / columns, bh = rest % (op.B * op.H);
  return {bh / op.H, bh % op.H, blockIdx.x % columns * TILE, rest / (op.B * op.H)};
}

static unsigned blocks_for(const Attention *op, size_t rows)
{
  return (unsigned)(op->B * op->H * pieces(op->N, TILE) * pieces(rows, TILE));
}

/* Rows of [B,size,H,N] from position `at` on. */
DEVICE Strip strip_of(const real *x, size_t size, size_t at, const Attention &op, const Place &p)
{
  return {x + ((p.b * size + at) * op.H + p.h) * op.N, op.H * op.N, smaller(TILE, size - at), op.N, NULL};
}

/* Which keys from u on the queries from t on see. */
DEVICE Seen keys_seen(const Attention &op, size_t t, size_t u)
{
  Seen seen;
  for (int i = 0; i < 4; i++) {
    long last = (long)smaller(op.U, op.U - op.T + t + TILE_Y + SIDE * i + 1);
    seen.from[i] = 0, seen.to[i] = (int)(last - (long)u);
  }
  return seen;
}

/* ---- forward ---- */

/* What is known of a thread's queries, of the keys so far: the largest score, the sum of e^(score - largest) over the
   keys of this thread, and the sums of values weighted by them. */
typedef struct {
  real top[4], total[4];
  Square y;
} Online;

/* Takes up a square of q.k, and leaves e^(score - largest) in its place. */
DEVICE void take_scores(Online &o, Square &s, real scale, const Seen &seen)
{
  for (int i = 0; i < 4; i++) {
    real best = o.top[i];
    for (int j = 0; j < 4; j++) {
      s.at[i][j] = tile_sees(seen, i, TILE_X + SIDE * j) ? scale * s.at[i][j] : -INFINITY;
      best = fmax(best, s.at[i][j]);
    }
    best = tile_row_max(best);
    real base = best == -INFINITY ? 0 : best, fade = exp(o.top[i] - base);
    o.top[i] = best, o.total[i] *= fade;
    for (int j = 0; j < 4; j++) {
      s.at[i][j] = exp(s.at[i][j] - base);
      o.total[i] += s.at[i][j];
      o.y.at[i][j] *= fade;
    }
  }
}

/* y_t = sum_u p_tu v_u / sum_u p_tu,  p_tu = e^{s_tu - top_t},  s_tu = q_t.k_u / sqrt N */
TILE_KERNEL attention(Attention op, real scale)
{
  DYNAMIC_SHARED(real, q_room);
  real *room = q_room + TILE_ROOM, *w = room + TILE_ROOM;
  Place p = place_of(op);
  size_t t = (pieces(op.T, TILE) - 1 - p.tile) * TILE; /* those that see most begin first */
  Strip q = strip_of(op.q, op.T, t, op, p);
  Online o;
  o.y = Square();
  for (int i = 0; i < 4; i++) o.top[i] = -INFINITY, o.total[i] = 0;
  for (size_t u = 0; u < op.U - op.T + t + q.count; u += TILE) {
    Strip k = strip_of(op.k, op.U, u, op, p);
    Seen seen = keys_seen(op, t, u);
    Square s;
    tile_scores(s, q_room, room, q, k, u > 0);
    take_scores(o, s, scale, seen);
    tile_put(w, s, seen);
    __syncthreads();
    tile_load(room, strip_of(op.v, op.U, u, op, p), p.first);
    __syncthreads();
    tile_add(o.y, w, room, (unsigned)k.count, seen);
  }
  size_t row = (p.b * op.T + t) * op.H + p.h;
  for (int i = 0; i < 4; i++) {
    real total = tile_row_sum(o.total[i]);
    for (int c = 0; c < 4; c++) o.y.at[i][c] /= total;
    if (op.log_sum && p.first == 0 && TILE_X == 0 && TILE_Y + SIDE * i < q.count)
      op.log_sum[row + (TILE_Y + SIDE * i) * op.H] = (acc)o.top[i] + log((acc)total);
  }
  tile_write(op.y + row * op.N + p.first, q.step, q.count, op.N - p.first, o.y, false, NULL);
}

void c_attention(const Attention *op)
{
  unsigned blocks = blocks_for(op, op->T);
  if (blocks) LAUNCH(attention, blocks, TILE_THREADS, TILE_BYTES(3), *op, (real)(1 / sqrt((acc)op->N)));
}

/* ---- backward ----

   p_tu = e^{s_tu - L_t} is formed once more, from the logarithm L_t of the sum:

     gp_tu = g_t.v_u,  gs_tu = p_tu (gp_tu - mean_t) / sqrt N,  mean_t = sum_u p_tu gp_tu
     gq_t = sum_u gs_tu k_u,  gk_u = sum_t gs_tu q_t,  gv_u = sum_t p_tu g_t

   Large scores are rounded, so the p_tu of a row do not quite sum up to 1. Where one of them is nearly 1, the
   difference from the mean lives on that: so L_t is corrected by the logarithm of their sum. */

typedef struct {
  AttentionBackward op;
  real *mean, *excess; /* [B,T,H] of a query: its mean, and the logarithm of the sum of its p */
  real scale;
} Back;

/* In two parts, so that nothing of it is lost. */
typedef struct {
  real high, low;
} LogSum;

DEVICE LogSum log_sum_of(acc L)
{
  real high = (real)L;
  return {high, high - high == 0 ? (real)(L - (acc)high) : 0};
}

DEVICE real probability(real s, const LogSum &L) { return exp(s - L.high - L.low); }

/* Mean and excess: a block has a tile of queries of one head. */
TILE_KERNEL attention_means(Back back)
{
  DYNAMIC_SHARED(real, q_room);
  const AttentionBackward &op = back.op;
  const Attention &f = op.forward;
  real *g_room = q_room + TILE_ROOM, *room = g_room + TILE_ROOM;
  size_t bh = blockIdx.x % (f.B * f.H), tile = pieces(f.T, TILE) - 1 - blockIdx.x / (f.B * f.H);
  Place p = {bh / f.H, bh % f.H, 0, tile};
  size_t t = p.tile * TILE, row = (p.b * f.T + t) * f.H + p.h;
  Strip q = strip_of(f.q, f.T, t, f, p), g = strip_of(op.g, f.T, t, f, p);
  real mean[4] = {0, 0, 0, 0}, total[4] = {0, 0, 0, 0};
  for (size_t u = 0; u < f.U - f.T + t + q.count; u += TILE) {
    Seen seen = keys_seen(f, t, u);
    Square s, gp;
    tile_scores(gp, g_room, room, g, strip_of(f.v, f.U, u, f, p), u > 0);
    tile_scores(s, q_room, room, q, strip_of(f.k, f.U, u, f, p), u > 0);
    for (int i = 0; i < 4; i++) {
      LogSum L = log_sum_of(f.log_sum[row + smaller(TILE_Y + SIDE * i, q.count - 1) * f.H]);
      for (int j = 0; j < 4; j++)
        if (tile_sees(seen, i, TILE_X + SIDE * j)) {
          real share = probability(back.scale * s.at[i][j], L);
          total[i] += share, mean[i] += share * gp.at[i][j];
        }
    }
  }
  for (int i = 0; i < 4; i++) {
    size_t of = row + (TILE_Y + SIDE * i) * f.H;
    real sum = tile_row_sum(total[i]), weighted = tile_row_sum(mean[i]);
    if (TILE_X == 0 && TILE_Y + SIDE * i < q.count) back.mean[of] = weighted / sum, back.excess[of] = log(sum);
  }
}

/* By queries: over the keys that they see, for gq. */
TILE_KERNEL attention_queries(Back back)
{
  DYNAMIC_SHARED(real, q_room);
  const AttentionBackward &op = back.op;
  const Attention &f = op.forward;
  real *g_room = q_room + TILE_ROOM, *room = g_room + TILE_ROOM, *w = room + TILE_ROOM;
  Place p = place_of(f);
  size_t t = (pieces(f.T, TILE) - 1 - p.tile) * TILE, row = (p.b * f.T + t) * f.H + p.h;
  Strip q = strip_of(f.q, f.T, t, f, p), g = strip_of(op.g, f.T, t, f, p);
  Square gq = {};
  for (size_t u = 0; u < f.U - f.T + t + q.count; u += TILE) {
    Strip k = strip_of(f.k, f.U, u, f, p);
    Seen seen = keys_seen(f, t, u);
    Square s, gs;
    tile_scores(gs, g_room, room, g, strip_of(f.v, f.U, u, f, p), u > 0);
    tile_scores(s, q_room, room, q, k, u > 0);
    for (int i = 0; i < 4; i++) {
      size_t of = row + smaller(TILE_Y + SIDE * i, q.count - 1) * f.H;
      LogSum L = log_sum_of(f.log_sum[of]);
      L.low += back.excess[of];
      for (int j = 0; j < 4; j++)
        gs.at[i][j] = back.scale * probability(back.scale * s.at[i][j], L) * (gs.at[i][j] - back.mean[of]);
    }
    tile_put(w, gs, seen);
    __syncthreads();
    if (f.N > TILE) tile_load(room, k, p.first);
    __syncthreads();
    tile_add(gq, w, room, (unsigned)k.count, seen);
  }
  tile_write(op.gq + row * f.N + p.first, q.step, q.count, f.N - p.first, gq, true, NULL);
}

/* By keys: over the queries that see them, for gk and gv. Rows of its squares are keys, columns queries. */
TILE_KERNEL attention_keys(Back back)
{
  DYNAMIC_SHARED(real, k_room);
  const AttentionBackward &op = back.op;
  const Attention &f = op.forward;
  real *v_room = k_room + TILE_ROOM, *q_room = v_room + TILE_ROOM, *g_room = q_room + TILE_ROOM,
       *w = g_room + TILE_ROOM;
  Place at = place_of(f);
  size_t u = at.tile * TILE, lag = f.U - f.T, from = u > lag ? (u - lag) / TILE * TILE : 0;
  Strip k = strip_of(f.k, f.U, u, f, at), v = strip_of(f.v, f.U, u, f, at);
  Square gk = {}, gv = {};
  for (size_t t = from; t < f.T; t += TILE) {
    Strip q = strip_of(f.q, f.T, t, f, at), g = strip_of(op.g, f.T, t, f, at);
    Seen seen;
    Square p, gs;
    for (int i = 0; i < 4; i++)
      seen.from[i] = (int)((long)(u + TILE_Y + SIDE * i) - (long)(lag + t)), seen.to[i] = (int)q.count;
    tile_scores(gs, v_room, g_room, v, g, t > from);
    tile_scores(p, k_room, q_room, k, q, t > from);
    for (int j = 0; j < 4; j++) {
      size_t of = (at.b * f.T + t + smaller(TILE_X + SIDE * j, q.count - 1)) * f.H + at.h;
      LogSum L = log_sum_of(f.log_sum[of]);
      L.low += back.excess[of];
      for (int i = 0; i < 4; i++) {
        p.at[i][j] = probability(back.scale * p.at[i][j], L);
        gs.at[i][j] = back.scale * p.at[i][j] * (gs.at[i][j] - back.mean[of]);
      }
    }
    tile_put(w, p, seen);
    __syncthreads();
    if (f.N > TILE) tile_load(g_room, g, at.first), tile_load(q_room, q, at.first);
    __syncthreads();
    if (op.gv) tile_add(gv, w, g_room, (unsigned)q.count, seen);
    __syncthreads();
    tile_put(w, gs, seen);
    __syncthreads();
    if (op.gk) tile_add(gk, w, q_room, (unsigned)q.count, seen);
  }
  size_t row = ((at.b * f.U + u) * f.H + at.h) * f.N + at.first;
  if (op.gk) tile_write(op.gk + row, k.step, k.count, f.N - at.first, gk, true, NULL);
  if (op.gv) tile_write(op.gv + row, k.step, k.count, f.N - at.first, gv, true, NULL);
}

void c_attention_backward(const AttentionBackward *op)
{
  const Attention *f = &op->forward;
  size_t rows = f->B * f->T * f->H;
  if (!rows || !f->N) return;
  real *room = (real *)device_scratch(2 * rows * sizeof(real));
  Back back = {*op, room, room + rows, (real)(1 / sqrt((acc)f->N))};
  LAUNCH(attention_means, (unsigned)(f->B * f->H * pieces(f->T, TILE)), TILE_THREADS, TILE_BYTES(3), back);
  if (op->gq) LAUNCH(attention_queries, blocks_for(f, f->T), TILE_THREADS, TILE_BYTES(4), back);
  if (op->gk || op->gv) LAUNCH(attention_keys, blocks_for(f, f->U), TILE_THREADS, TILE_BYTES(5), back);
}
