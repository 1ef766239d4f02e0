/* Softmax cross-entropy over the scored rows, and the largest entry of a row. */
#include "kernels.h"
#include "elementary.h"

#include <math.h>

static size_t count_scored(const int *target, size_t rows)
{
  size_t n = 0;
  for (size_t i = 0; i < rows; i++) n += target[i] >= 0;
  return n;
}

static size_t largest(const real *x, size_t n)
{
  size_t best = 0;
  for (size_t j = 1; j < n; j++)
    if (x[j] > x[best]) best = j;
  return best;
}

void k_cross_entropy(real *loss, acc *log_sum, const real *logits, const int *target, size_t rows, size_t V)
{
  size_t scored = count_scored(target, rows);
  acc total = 0;
  for (size_t i = 0; i < rows; i++) {
    const real *x = logits + i * V;
    acc top = x[largest(x, V)], sum = 0;
    for (size_t j = 0; j < V; j++) sum += m_exp((acc)x[j] - top);
    log_sum[i] = top + m_log(sum);
    if (target[i] >= 0) total += log_sum[i] - (acc)x[target[i]];
  }
  loss[0] = (real)(scored ? total / (acc)scored : 0);
}

void k_cross_entropy_backward(real *glogits, acc g, const acc *log_sum, const real *logits,
                              const int *target, acc l2wrap, size_t rows, size_t V)
{
  size_t scored = count_scored(target, rows);
  for (size_t i = 0; i < rows; i++) {
    if (target[i] < 0) continue;
    const real *x = logits + i * V;
    real *gx = glogits + i * V;
    for (size_t j = 0; j < V; j++) {
      acc p = m_exp((acc)x[j] - log_sum[i]);
      gx[j] += (real)(g * (p - ((size_t)target[i] == j)) / (acc)scored);
    }
    if (l2wrap > 0) { /* as the official trainers have it: whatever flows in as g */
      size_t m = largest(x, V);
      gx[m] += (real)(l2wrap * (acc)x[m] / (acc)scored);
    }
  }
}

void k_argmax(int *best, const real *x, size_t rows, size_t n)
{
  for (size_t i = 0; i < rows; i++) best[i] = (int)largest(x + i * n, n);
}
