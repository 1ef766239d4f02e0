/* The optimiser's arithmetic. */
#include "kernels.h"

#include <math.h>

void k_adamw(real *p, real *m, real *v, const real *g, acc scale, const AdamStep *s, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    acc gi = scale * (acc)g[i];
    m[i] = (real)(s->beta1 * (acc)m[i] + (1 - s->beta1) * gi);
    v[i] = (real)(s->beta2 * (acc)v[i] + (1 - s->beta2) * gi * gi);
    acc mean = (acc)m[i] / s->unbias1, deviation = sqrt((acc)v[i] / s->unbias2);
    p[i] = (real)((acc)p[i] - s->lr * (s->decay * (acc)p[i] + mean / (deviation + s->eps)));
  }
}

acc k_sum_squares(const real *x, size_t n)
{
  acc sum = 0;
  for (size_t i = 0; i < n; i++) sum += (acc)x[i] * (acc)x[i];
  return sum;
}
