/* Attention without a softmax, over vectors (ref/engine/k_copy.c). Value and gradients are the same sum: */
#include "tile.h"

/* out_r = sum_o (a_r . b_o) x_o, over the others that row r sees: those up to r + lag, or (`later`) from r - lag on. A
   block has a tile of rows of one sequence and a tile of columns of out. It walks over the others, a tile at a time. */
typedef struct {
  real *out;           /* [B,rows,C] */
  const real *a;       /* [B,rows,D] */
  const real *b, *x;   /* [B,others,D], [B,others,C] */
  size_t rows, others; /* of a sequence */
  size_t D, C, B, lag;
  bool later, add;
} WeightedSum;

DEVICE Seen seen_by(const WeightedSum &op, size_t row, size_t other)
{
  Seen seen;
  for (int i = 0; i < 4; i++) {
    long r = (long)(row + TILE_Y + SIDE * i), last = r + (long)op.lag + 1, others = (long)op.others;
    seen.from[i] = (int)((op.later ? r - (long)op.lag : 0) - (long)other);
    seen.to[i] = (int)((op.later || last > others ? others : last) - (long)other);
  }
  return seen;
}

TILE_KERNEL weighted_sum(WeightedSum op)
{
  DYNAMIC_SHARED(real, a_room);
  real *b_room = a_room + TILE_ROOM, *w = b_room + TILE_ROOM;
  size_t columns = pieces(op.C, TILE), tiles = pieces(op.rows, TILE), rest = blockIdx.x / columns;
  size_t first = blockIdx.x % columns * TILE, b = rest % op.B, tile = rest / op.B;
  size_t row = (op.later ? tile : tiles - 1 - tile) * TILE, count = smaller(TILE, op.rows - row); /* long ones first */
  size_t from = op.later && row > op.lag ? (row - op.lag) / TILE * TILE : 0;
  size_t to = op.later ? op.others : smaller(op.others, row + count + op.lag);
  Strip rows = {op.a + (b * op.rows + row) * op.D, op.D, count, op.D, NULL};
  Square sum = {};
  for (size_t o = from; o < to; o += TILE) {
    size_t many = smaller(TILE, op.others - o), at = b * op.others + o;
    Seen seen = seen_by(op, row, o);
    Square s;
    tile_scores(s, a_room, b_room, rows, {op.b + at * op.D, op.D, many, op.D, NULL}, o > from);
    tile_put(w, s, seen);
    __syncthreads();
    tile_load(b_room, {op.x + at * op.C, op.C, many, op.C, NULL}, first);
    __syncthreads();
    tile_add(sum, w, b_room, (unsigned)many, seen);
  }
  tile_write(op.out + (b * op.rows + row) * op.C + first, op.C, count, op.C - first, sum, op.add, NULL);
}

static void sum_weighted(WeightedSum op)
{
  size_t blocks = op.B * pieces(op.rows, TILE) * pieces(op.C, TILE);
  if (op.out && blocks) LAUNCH(weighted_sum, (unsigned)blocks, TILE_THREADS, TILE_BYTES(3), op);
}

void c_linear_attention(const LinearAttention *op)
{
  sum_weighted({op->y, op->q, op->k, op->v, op->T, op->U, op->D, op->C, op->B, op->U - op->T, false, false});
}

/* gq_t = sum_u (g_t.v_u) k_u,  gk_u = sum_t (v_u.g_t) q_t,  gv_u = sum_t (k_u.q_t) g_t */
void c_linear_attention_backward(const LinearAttentionBackward *op)
{
  const LinearAttention *f = &op->forward;
  size_t T = f->T, U = f->U, D = f->D, C = f->C, lag = U - T;
  sum_weighted({op->gq, op->g, f->v, f->k, T, U, C, D, f->B, lag, false, true});
  sum_weighted({op->gk, f->v, op->g, f->q, U, T, C, D, f->B, lag, true, true});
  sum_weighted({op->gv, f->k, f->q, op->g, U, T, D, C, f->B, lag, true, true});
}
