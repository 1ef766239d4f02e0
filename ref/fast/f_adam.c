/* AdamW: every element by itself; the reference computes in double, this in `real`. And the norm of a gradient. */
#include "f_job.h"

#include <math.h>

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

void f_sum_squares(const SumSquares *q) { q->sum[0] += fast_total(q->x, q->n, true); }
