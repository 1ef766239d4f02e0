/* Axes in another order. y and x have as many numbers, and each of x is read once: a step is 0 only along an axis that
   is 1 long (t_permute, and the sizes of the op's table). So the way back adds to each of gx once. */
#include "each.h"
#include "walk.h"

static Walk<1> walk_x(const Permute *op)
{
  Walk<1> w = {};
  for (int d = 3; d >= 0; d--) walk_axis(&w, op->n[d], {op->step[d]});
  return w;
}

/* ---- where the innermost axis stays innermost: a thread has some numbers of y ---- */

struct FromX {
  const real *x;
  Walk<1> walk;
  __device__ real operator()(size_t i) const { return x[place_of(walk, i).at[0]]; }
};

struct FromY {
  const real *g;
  __device__ real operator()(size_t i) const { return g[i]; }
};

struct ToX {
  real *gx;
  Walk<1> walk;
  __device__ real *operator()(size_t i) const { return gx + place_of(walk, i).at[0]; }
};

/* ---- where it does not: tiles, so that both sides are read and written along their rows ---- */

enum { TILE = 32, TILE_ROWS = BLOCK / TILE };

typedef struct { /* matrices: y[r,c] = x[c,r]; rows of y lie row_y apart, those of x row_x */
  size_t rows, columns, row_y, row_x;
  Divisor tiles_down, tiles_across; /* of a matrix */
  Walk<2> matrix;                   /* where one begins, in y and in x */
} Turned;

/* Block: a tile of a matrix. Lanes have neighbouring c where y is, and neighbouring r where x is. */
template <bool BACKWARD> KERNEL turn(Turned t, real *to, const real *from)
{
  SHARED(real, tile, [TILE][TILE + 1]);
  size_t across = quotient(blockIdx.x, t.tiles_across), down = quotient(across, t.tiles_down);
  size_t c0 = (blockIdx.x - across * t.tiles_across.by) * TILE, r0 = (across - down * t.tiles_down.by) * TILE;
  Place<2> begin = place_of(t.matrix, down);
  real *y = (BACKWARD ? (real *)from : to) + begin.at[0], *x = (BACKWARD ? to : (real *)from) + begin.at[1];
  for (unsigned k = threadIdx.y; k < TILE; k += TILE_ROWS) {
    size_t r = BACKWARD ? r0 + k : r0 + threadIdx.x, c = BACKWARD ? c0 + threadIdx.x : c0 + k;
    if (r < t.rows && c < t.columns) tile[k][threadIdx.x] = BACKWARD ? y[r * t.row_y + c] : x[c * t.row_x + r];
  }
  __syncthreads();
  for (unsigned k = threadIdx.y; k < TILE; k += TILE_ROWS) {
    size_t r = BACKWARD ? r0 + threadIdx.x : r0 + k, c = BACKWARD ? c0 + k : c0 + threadIdx.x;
    if (r >= t.rows || c >= t.columns) continue;
    if (BACKWARD) x[c * t.row_x + r] += tile[threadIdx.x][k];
    else y[r * t.row_y + c] = tile[threadIdx.x][k];
  }
}

/* Whether tiles are worth it: x's innermost axis is another one than y's, and neither is short. */
static bool turned(const Walk<1> *w, Turned *t)
{
  enum { LEAST = 8 };
  int rows = 1;
  while (rows < w->axes && w->step[rows][0] != 1) rows++;
  if (rows >= w->axes || w->n[0].by < LEAST || w->n[rows].by < LEAST) return false;
  *t = {};
  t->columns = w->n[0].by, t->row_x = w->step[0][0], t->rows = w->n[rows].by;
  size_t step_y = t->columns;
  for (int d = 1; d < w->axes; step_y *= w->n[d++].by) {
    if (d == rows) t->row_y = step_y;
    else walk_axis(&t->matrix, w->n[d].by, {step_y, w->step[d][0]});
  }
  t->tiles_across = divisor(pieces(t->columns, TILE)), t->tiles_down = divisor(pieces(t->rows, TILE));
  return true;
}

static unsigned turn_blocks(const Turned *t)
{
  return (unsigned)(t->tiles_across.by * t->tiles_down.by * walk_size(&t->matrix));
}

/* ---- launching ---- */

static size_t permuted(const Permute *op) { return op->n[0] * op->n[1] * op->n[2] * op->n[3]; }

void c_permute(const Permute *op)
{
  size_t n = permuted(op);
  if (!n) return;
  Walk<1> w = walk_x(op);
  Turned t;
  if (turned(&w, &t)) LAUNCH(turn<false>, turn_blocks(&t), dim3(TILE, TILE_ROWS), 0, t, op->y, op->x);
  else write_each(op->y, FromX{op->x, w}, n);
}

void c_permute_backward(const PermuteBackward *op)
{
  size_t n = permuted(&op->forward);
  if (!n || !op->gx) return;
  Walk<1> w = walk_x(&op->forward);
  Turned t;
  if (turned(&w, &t)) LAUNCH(turn<true>, turn_blocks(&t), dim3(TILE, TILE_ROWS), 0, t, op->gx, op->g);
  else add_each(ToX{op->gx, w}, FromY{op->g}, n);
}
