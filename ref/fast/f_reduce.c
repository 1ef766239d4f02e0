/* Sums down columns and over everything. */
#include "f_job.h"

#include <string.h>

/* ---- down the columns ---- */

enum { PARTS = 32 };

typedef struct {
  ColumnJob *job;
  const void *arg;
  real *out[SUMS];
  size_t rows, C, block, parts; /* rows of a part */
  acc *sum;                     /* [parts,SUMS,C] */
} Columns;

/* The rows of one part. */
static void column_part(const void *arg, size_t from, size_t to)
{
  const Columns *q = arg;
  acc tile[SUMS][TILE];
  for (size_t col0 = 0; col0 < q->C; col0 += TILE) {
    size_t col1 = smaller(q->C, col0 + TILE);
    memset(tile, 0, sizeof tile);
    q->job(q->arg, tile, from, to, col0, col1);
    for (int s = 0; s < SUMS; s++)
      if (q->out[s])
        memcpy(q->sum + (from / q->block * SUMS + (size_t)s) * q->C + col0, tile[s], (col1 - col0) * sizeof(acc));
  }
}

static void add_parts(const void *arg, size_t from, size_t to) /* channels */
{
  const Columns *q = arg;
  for (int s = 0; s < SUMS; s++)
    for (size_t c = from; q->out[s] && c < to; c++) {
      acc total = 0;
      for (size_t i = 0; i < q->parts; i++) total += q->sum[(i * SUMS + (size_t)s) * q->C + c];
      q->out[s][c] += (real)total;
    }
}

static void all_columns(const void *arg, size_t from, size_t to)
{
  const Columns *q = arg;
  fast_for(q->rows, q->block, column_part, q);
  add_parts(q, 0, q->C);
  (void)from, (void)to;
}

void fast_columns(OpId id, const void *op, real *const out[SUMS], size_t rows, size_t C, ColumnJob *job,
                  const void *arg, size_t arg_size)
{
  bool any = false;
  for (int s = 0; s < SUMS; s++) any |= out[s] != NULL;
  When when = fast_when(id, op);
  Columns q = {.job = job, .arg = arg, .rows = rows, .C = C};
  memcpy(q.out, out, sizeof q.out);
  size_t least = pieces(HEAVY, at_least_1(C));
  q.block = when == TILED ? rows / fast_tile_count() : larger(pieces(rows, PARTS), least);
  q.parts = pieces(rows, q.block);
  q.sum = fast_memory(q.parts * SUMS * C * sizeof(acc));
  if (when != NOW) q.arg = fast_keep(arg, arg_size);
  if (when == TILED) {
    fast_put(TILED, rows, 1, column_part, &q, sizeof q);
    if (any) fast_put(AFTER, C, HEAVY, add_parts, &q, sizeof q);
  } else {
    fast_put(when, rows, 0, all_columns, &q, sizeof q);
  }
}

/* ---- over everything ---- */

typedef struct {
  acc *sum;
  const real *x;
  size_t n, block;
  bool squares;
} Total;

JOB static void total_part(const void *arg, size_t from, size_t to)
{
  const Total *q = arg;
  for (size_t p = from; p < to; p++) {
    size_t end = smaller(q->n, (p + 1) * q->block);
    const real *x = q->x;
    acc sum = 0;
    if (q->squares) {
      SIMD_SUM(sum)
      for (size_t i = p * q->block; i < end; i++) sum += (acc)x[i] * (acc)x[i];
    } else {
      SIMD_SUM(sum)
      for (size_t i = p * q->block; i < end; i++) sum += (acc)x[i];
    }
    q->sum[p] = sum;
  }
}

acc fast_total(const real *x, size_t n, bool squares)
{
  acc sum[PARTS], all = 0;
  fast_flush();
  size_t block = pieces(n, PARTS);
  if (block < LIGHT) block = LIGHT;
  size_t parts = pieces(n, block);
  fast_for(parts, 1, total_part, &(Total){sum, x, n, block, squares});
  for (size_t p = 0; p < parts; p++) all += sum[p];
  return all;
}
