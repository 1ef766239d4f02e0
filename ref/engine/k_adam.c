/* The optimiser's arithmetic. */
#include "k_adam.h"

#include <math.h>

void k_adamw(const Adamw *op)
{
  real *p = op->p, *m = op->m, *v = op->v;
  for (size_t i = 0; i < op->n; i++) {
    acc gi = op->scale * (acc)op->g[i];
    m[i] = (real)(op->beta1 * (acc)m[i] + (1 - op->beta1) * gi);
    v[i] = (real)(op->beta2 * (acc)v[i] + (1 - op->beta2) * gi * gi);
    acc mean = (acc)m[i] / op->unbias1, deviation = sqrt((acc)v[i] / op->unbias2);
    p[i] = (real)((acc)p[i] - op->lr * (op->decay * (acc)p[i] + mean / (deviation + op->eps)));
  }
}

void k_sum_squares(const SumSquares *op)
{
  acc sum = 0;
  for (size_t i = 0; i < op->n; i++) sum += (acc)op->x[i] * (acc)op->x[i];
  op->sum[0] += sum;
}
