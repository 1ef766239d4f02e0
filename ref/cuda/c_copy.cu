/* The copy head. A block has a tile of rows of one sequence, which see its first positions; rows and positions are
   taken in the order of copy_plan.h. (Attention over vectors, which stands beside it in ref/engine/k_copy.c, is in
   c_linear_attention.cu.) */
#include "copy_plan.h"
#include "tile.h"

/* y[i,token_u] += q_i.k_u / D: equal tokens stand side by side, and the first of them adds up the scores of all. */
TILE_KERNEL copy_scores(CopyScores op, CopyPlan plan)
{
  DYNAMIC_SHARED(real, q_room);
  real *room = q_room + TILE_ROOM, *w = room + TILE_ROOM;
  CopyTile t = plan.tile[blockIdx.x];
  const int *order = plan.order + t.first, *limit = plan.limit + t.first;
  Strip q = {op.q, op.D, (size_t)t.count, op.D, order};
  for (size_t u = 0; u < op.U; u += TILE) {
    const int *at = plan.grouped + t.b * op.U + u, *token = plan.of_grouped + t.b * op.U + u;
    int many = (int)smaller(TILE, op.U - u);
    Square s;
    tile_scores(s, q_room, room, q, {op.k + t.b * op.U * op.D, op.D, (size_t)many, op.D, at}, u > 0);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) {
        int row = TILE_Y + SIDE * i, column = TILE_X + SIDE * j;
        bool sees = row < t.count && column < many && at[column] < limit[row];
        w[row * TILE_ROW + column] = sees ? s.at[i][j] / (real)op.D : 0;
      }
    __syncthreads();
    for (int p = threadIdx.x; p < t.count * TILE; p += TILE_THREADS) {
      int row = p / TILE, first = p % TILE;
      if (first >= many || (first && token[first] == token[first - 1])) continue;
      real sum = w[row * TILE_ROW + first];
      for (int c = first + 1; c < many && token[c] == token[first]; c++) sum += w[row * TILE_ROW + c];
      op.y[order[row] * op.V + token[first]] += sum;
    }
  }
}

/* gq_i = sum_u gscore_iu k_u,  gscore_iu = g[i,token_u] / D: a block has a tile of rows, and one of columns. */
TILE_KERNEL copy_queries(CopyScoresBackward op, CopyPlan plan)
{
  DYNAMIC_SHARED(real, w);
  const CopyScores &f = op.forward;
  real *room = w + TILE_ROOM;
  size_t columns = pieces(f.D, TILE), first = blockIdx.x % columns * TILE;
  CopyTile t = plan.tile[blockIdx.x / columns];
  const int *order = plan.order + t.first, *limit = plan.limit + t.first;
  Square gq = {};
  for (int u = 0; u < limit[t.count - 1]; u += TILE) {
    const int *token = plan.token + t.b * f.U + u;
    Strip k = {f.k + (t.b * f.U + u) * f.D, f.D, smaller(TILE, f.U - u), f.D, NULL};
    Seen seen;
    Square s;
    for (int i = 0; i < 4; i++) {
      int row = TILE_Y + SIDE * i;
      seen.from[i] = 0, seen.to[i] = row < t.count ? limit[row] - u : 0;
      for (int j = 0; j < 4; j++)
        if (tile_sees(seen, i, TILE_X + SIDE * j))
          s.at[i][j] = op.g[order[row] * f.V + token[TILE_X + SIDE * j]] / (real)f.D;
    }
    __syncthreads();
    tile_put(w, s, seen);
    tile_load(room, k, first);
    __syncthreads();
    tile_add(gq, w, room, (unsigned)k.count, seen);
  }
  tile_write(op.gq + first, f.D, (size_t)t.count, f.D - first, gq, true, order);
}

/* The first of the rows begin .. end - 1 that sees position u. */
DEVICE int first_that_sees(const int *limit, int begin, int end, int u)
{
  while (begin < end) {
    int middle = begin + (end - begin) / 2;
    if (limit[middle] > u) end = middle;
    else begin = middle + 1;
  }
  return begin;
}

/* gk_u = sum_i gscore_iu q_i: a block has a tile of positions, and one of columns. */
TILE_KERNEL copy_keys(CopyScoresBackward op, CopyPlan plan)
{
  DYNAMIC_SHARED(real, w);
  const CopyScores &f = op.forward;
  real *room = w + TILE_ROOM;
  size_t columns = pieces(f.D, TILE), tiles = pieces(f.U, TILE), first = blockIdx.x % columns * TILE;
  size_t b = blockIdx.x / columns / tiles, u = blockIdx.x / columns % tiles * TILE, many = smaller(TILE, f.U - u);
  int end = plan.start[b + 1], begin = first_that_sees(plan.limit, plan.start[b], end, (int)u), own[4];
  const int *token = plan.token + b * f.U + u;
  for (int j = 0; j < 4; j++)
    own[j] = TILE_Y + SIDE * j < many ? first_that_sees(plan.limit, begin, end, (int)(u + TILE_Y + SIDE * j)) : end;
  Square gk = {};
  for (int row = begin; row < end; row += TILE) {
    Strip q = {f.q, f.D, smaller(TILE, (size_t)(end - row)), f.D, plan.order + row};
    Seen seen;
    Square s;
    for (int i = 0; i < 4; i++) {
      seen.from[i] = own[i] - row, seen.to[i] = (int)q.count;
      for (int j = 0; j < 4; j++)
        if (tile_sees(seen, i, TILE_X + SIDE * j))
          s.at[i][j] = op.g[q.order[TILE_X + SIDE * j] * f.V + token[TILE_Y + SIDE * i]] / (real)f.D;
    }
    __syncthreads();
    tile_put(w, s, seen);
    tile_load(room, q, first);
    __syncthreads();
    tile_add(gk, w, room, (unsigned)q.count, seen);
  }
  tile_write(op.gk + (b * f.U + u) * f.D + first, f.D, many, f.D - first, gk, true, NULL);
}

void c_copy_scores(const CopyScores *op)
{
  if (!op->rows || !op->V) return;
  device_check(cudaMemsetAsync(op->y, 0, op->rows * op->V * sizeof(real), device_stream), "zeros");
  CopyPlan plan = copy_plan(op, TILE);
  LAUNCH(copy_scores, (unsigned)plan.tiles, TILE_THREADS, TILE_BYTES(3), *op, plan);
}

void c_copy_scores_backward(const CopyScoresBackward *op)
{
  const CopyScores *f = &op->forward;
  size_t columns = pieces(f->D, TILE);
  if (!f->rows || !columns || (!op->gq && !op->gk)) return;
  CopyPlan plan = copy_plan(f, TILE);
  if (op->gq) LAUNCH(copy_queries, (unsigned)(plan.tiles * columns), TILE_THREADS, TILE_BYTES(2), *op, plan);
  if (op->gk)
    LAUNCH(copy_keys, (unsigned)(f->B * pieces(f->U, TILE) * columns), TILE_THREADS, TILE_BYTES(2), *op, plan);
}
