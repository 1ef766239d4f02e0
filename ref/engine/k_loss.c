/* Softmax cross-entropy over the scored rows, and the largest entry of a row. */
#include "k_loss.h"
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

void k_cross_entropy(const CrossEntropy *op)
{
  size_t rows = op->rows, V = op->V;
  size_t scored = count_scored(op->target, rows);
  acc total = 0;
  for (size_t i = 0; i < rows; i++) {
    const real *x = op->logits + i * V;
    acc top = x[largest(x, V)], sum = 0;
    for (size_t j = 0; j < V; j++) sum += m_exp((acc)x[j] - top);
    op->log_sum[i] = top + m_log(sum);
    if (op->target[i] >= 0) total += op->log_sum[i] - (acc)x[op->target[i]];
  }
  op->loss[0] = (real)(scored ? total / (acc)scored : 0);
}

void k_cross_entropy_backward(const CrossEntropyBackward *op)
{
  const CrossEntropy *f = &op->forward;
  size_t rows = f->rows, V = f->V;
  size_t scored = count_scored(f->target, rows);
  acc g = op->g[0];
  for (size_t i = 0; i < rows; i++) {
    if (f->target[i] < 0) continue;
    const real *x = f->logits + i * V;
    real *gx = op->glogits + i * V;
    for (size_t j = 0; j < V; j++) {
      acc p = m_exp((acc)x[j] - f->log_sum[i]);
      gx[j] += (real)(g * (p - ((size_t)f->target[i] == j)) / (acc)scored);
    }
    if (op->l2wrap > 0) { /* as the official trainers have it: whatever flows in as g */
      size_t m = largest(x, V);
      gx[m] += (real)(op->l2wrap * (acc)x[m] / (acc)scored);
    }
  }
}

void k_argmax(const Argmax *op)
{
  size_t n = op->n;
  for (size_t i = 0; i < op->rows; i++) op->best[i] = (int)largest(op->x + i * n, n);
}
