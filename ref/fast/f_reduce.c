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

void fast_columns(real *const out[SUMS], size_t rows, size_t C, ColumnJob *job, const void *arg, size_t arg_size,
                  const Use *use, size_t uses)
{
  Use all[12];
  size_t n = uses;
  memcpy(all, use, uses * sizeof *use);
  for (int s = 0; s < SUMS; s++)
    if (out[s]) all[n++] = (Use)WRITES_ALL(out[s]);
  Place place = fast_place(rows, all, n);
  Columns q = {.job = job, .arg = arg, .rows = rows, .C = C};
  memcpy(q.out, out, sizeof q.out);
  size_t least = pieces(HEAVY, at_least_1(C));
  q.block = place == TILED ? rows / fast_tile_count() : larger(pieces(rows, PARTS), least);
  q.parts = pieces(rows, q.block);
  q.sum = fast_memory(q.parts * SUMS * C * sizeof(acc));
  if (place != NOW) q.arg = fast_keep(arg, arg_size);
  if (place == TILED) {
    fast_put(TILED, rows, 1, column_part, &q, sizeof q);
    if (n > uses) fast_put(AFTER, C, HEAVY, add_parts, &q, sizeof q);
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
  fast_settle();
  size_t block = pieces(n, PARTS);
  if (block < LIGHT) block = LIGHT;
  size_t parts = pieces(n, block);
  fast_for(parts, 1, total_part, &(Total){sum, x, n, block, squares});
  for (size_t p = 0; p < parts; p++) all += sum[p];
  return all;
}

acc f_sum_squares(const real *x, size_t n) { return total(x, n, true); }

/* ---- along an axis ---- */

typedef struct {
  real *out;
  const real *in;
  acc scale;
  size_t size, inner;
} Sum;

JOB static void sum_rows(const void *arg, size_t from, size_t to) /* inner = 1 */
{
  const Sum *q = arg;
  for (size_t o = from; o < to; o++) {
    const real *x = q->in + o * q->size;
    acc sum = 0;
    SIMD_SUM(sum)
    for (size_t s = 0; s < q->size; s++) sum += (acc)x[s];
    q->out[o] = (real)(q->scale * sum);
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
        const real *x = q->in + (o * q->size + s) * q->inner + i0;
        for (size_t i = 0; i < n; i++) sum[i] += (acc)x[i];
      }
      for (size_t i = 0; i < n; i++) q->out[o * q->inner + i0 + i] = (real)(q->scale * sum[i]);
    }
}

void f_sum(real *y, const real *x, acc scale, size_t outer, size_t size, size_t inner)
{
  Sum q = {y, x, scale, size, inner};
  if (outer == 1 && inner == 1)
    y[0] = (real)(scale * total(x, size, false));
  else
    RUN(outer, pieces(LIGHT, at_least_1(size * inner)), inner == 1 ? sum_rows : sum_columns, q,
        READS(x, outer * size * inner), WRITES(y, outer * inner));
}

JOB static void sum_back(const void *arg, size_t from, size_t to)
{
  const Sum *q = arg;
  real scale = (real)q->scale;
  for (size_t o = from; o < to; o++)
    for (size_t s = 0; s < q->size; s++) {
      real *gx = q->out + (o * q->size + s) * q->inner;
      const real *g = q->in + o * q->inner;
      for (size_t i = 0; i < q->inner; i++) gx[i] += scale * g[i];
    }
}

JOB static void sum_rows_back(const void *arg, size_t from, size_t to)
{
  const Sum *q = arg;
  for (size_t o = from; o < to; o++) {
    real *gx = q->out + o * q->size, g = (real)(q->scale * (acc)q->in[o]);
    for (size_t s = 0; s < q->size; s++) gx[s] += g;
  }
}

void f_sum_backward(real *gx, const real *g, acc scale, size_t outer, size_t size, size_t inner)
{
  Sum q = {gx, g, scale, size, inner};
  RUN(outer, pieces(LIGHT, at_least_1(size * inner)), inner == 1 ? sum_rows_back : sum_back, q,
      READS(g, outer * inner), WRITES(gx, outer * size * inner));
}

/* ---- AdamW: every element by itself; the reference computes in double, this in `real` ---- */

#ifdef AVIARY_DOUBLE
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

typedef struct {
  real *p, *m, *v;
  const real *g;
  acc scale;
  AdamStep step;
} Adam;

JOB static void adam(const void *arg, size_t from, size_t to)
{
  const Adam *q = arg;
  real *restrict p = q->p, *restrict m = q->m, *restrict v = q->v;
  const real *restrict g = q->g;
  const AdamStep *s = &q->step;
  const real scale = (real)q->scale, beta1 = (real)s->beta1, beta2 = (real)s->beta2, rest1 = (real)(1 - s->beta1),
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

void f_adamw(real *p, real *m, real *v, const real *g, acc scale, const AdamStep *step, size_t n)
{
  Adam q = {p, m, v, g, scale, *step};
  RUN(n, HEAVY, adam, q, READS(g, n), WRITES(p, n), WRITES(m, n), WRITES(v, n));
}
