/* Sums, and the optimiser. */
#include "f_inside.h"

#include <math.h>
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

void fast_columns(OpId id, const void *op, real *const out[SUMS], size_t rows, size_t C, ColumnJob *job, const void *arg,
                  size_t arg_size)
{
  bool any = false;
  for (int s = 0; s < SUMS; s++) any |= out[s] != NULL;
  Place place = fast_place(id, op);
  Columns q = {.job = job, .arg = arg, .rows = rows, .C = C};
  memcpy(q.out, out, sizeof q.out);
  size_t least = pieces(HEAVY, at_least_1(C));
  q.block = place == TILED ? rows / fast_tile_count() : larger(pieces(rows, PARTS), least);
  q.parts = pieces(rows, q.block);
  q.sum = fast_memory(q.parts * SUMS * C * sizeof(acc));
  if (place != NOW) q.arg = fast_keep(arg, arg_size);
  if (place == TILED) {
    fast_put(TILED, rows, 1, column_part, &q, sizeof q);
    if (any) fast_put(AFTER, C, HEAVY, add_parts, &q, sizeof q);
  } else {
    fast_put(place, rows, 0, all_columns, &q, sizeof q);
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

static acc total(const real *x, size_t n, bool squares)
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

void f_sum_squares(const SumSquares *q) { q->sum[0] += total(q->x, q->n, true); }

/* ---- along an axis ---- */

JOB static void sum_rows(const void *arg, size_t from, size_t to) /* inner = 1 */
{
  const Sum *q = arg;
  for (size_t o = from; o < to; o++) {
    const real *x = q->x + o * q->size;
    acc sum = 0;
    SIMD_SUM(sum)
    for (size_t s = 0; s < q->size; s++) sum += (acc)x[s];
    q->y[o] = (real)(q->scale * sum);
  }
}

JOB static void sum_columns(const void *arg, size_t from, size_t to)
{
  const Sum *q = arg;
  for (size_t o = from; o < to; o++)
    for (size_t i0 = 0; i0 < q->inner; i0 += TILE) {
      acc sum[TILE];
      size_t n = smaller(TILE, q->inner - i0);
      for (size_t i = 0; i < n; i++) sum[i] = 0;
      for (size_t s = 0; s < q->size; s++) {
        const real *x = q->x + (o * q->size + s) * q->inner + i0;
        for (size_t i = 0; i < n; i++) sum[i] += (acc)x[i];
      }
      for (size_t i = 0; i < n; i++) q->y[o * q->inner + i0 + i] = (real)(q->scale * sum[i]);
    }
}

static size_t sum_grain(const Sum *q) { return pieces(LIGHT, at_least_1(q->size * q->inner)); }

void f_sum(const Sum *q)
{
  if (q->outer == 1 && q->inner == 1) q->y[0] = (real)(q->scale * total(q->x, q->size, false));
  else RUN(sum, q, q->outer, sum_grain(q), q->inner == 1 ? sum_rows : sum_columns, *q);
}

JOB static void sum_back(const void *arg, size_t from, size_t to)
{
  const SumBackward *q = arg;
  const Sum *f = &q->forward;
  real scale = (real)f->scale;
  for (size_t o = from; o < to; o++)
    for (size_t s = 0; s < f->size; s++) {
      real *gx = q->gx + (o * f->size + s) * f->inner;
      const real *g = q->g + o * f->inner;
      for (size_t i = 0; i < f->inner; i++) gx[i] += scale * g[i];
    }
}

JOB static void sum_rows_back(const void *arg, size_t from, size_t to)
{
  const SumBackward *q = arg;
  const Sum *f = &q->forward;
  for (size_t o = from; o < to; o++) {
    real *gx = q->gx + o * f->size, g = (real)(f->scale * (acc)q->g[o]);
    for (size_t s = 0; s < f->size; s++) gx[s] += g;
  }
}

void f_sum_backward(const SumBackward *q)
{
  const Sum *f = &q->forward;
  RUN(sum_backward, q, f->outer, sum_grain(f), f->inner == 1 ? sum_rows_back : sum_back, *q);
}

/* ---- AdamW: every element by itself; the reference computes in double, this in `real` ---- */

#ifdef AVIARY_DOUBLE
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

JOB static void adam(const void *arg, size_t from, size_t to)
{
  const Adamw *s = arg;
  real *restrict p = s->p, *restrict m = s->m, *restrict v = s->v;
  const real *restrict g = s->g;
  const real scale = (real)s->scale, beta1 = (real)s->beta1, beta2 = (real)s->beta2, rest1 = (real)(1 - s->beta1),
             rest2 = (real)(1 - s->beta2), eps = (real)fmax(s->eps * sqrt(s->unbias2), 1e-37), /* > 0 in float */
             rate = (real)(s->lr * sqrt(s->unbias2) / s->unbias1), keep = (real)(s->lr * s->decay);
  SIMD
  for (size_t i = from; i < to; i++) {
    real gi = scale * g[i];
    m[i] = beta1 * m[i] + rest1 * gi;
    v[i] = beta2 * v[i] + rest2 * gi * gi;
    p[i] -= keep * p[i] + rate * m[i] / (SQRT(v[i]) + eps);
  }
}

void f_adamw(const Adamw *q) { RUN(adamw, q, q->n, HEAVY, adam, *q); }
