/* Sums along one axis. */
#include "f_job.h"

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
  if (q->outer == 1 && q->inner == 1) q->y[0] = (real)(q->scale * fast_total(q->x, q->size, false));
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
