/* Softmax cross-entropy over the scored rows, and the largest entry of a row. */
#include "k_loss.h"
#include "elementary.h"
#include "memory.h"

#include <math.h>

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
  size_t scored = k_scored(op->target, rows);
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
  size_t scored = k_scored(f->target, rows);
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

/* g = a row's logits, then d loss / d logits. Returns the row's loss, 0 if it is not scored. */
static acc head_row(const HeadLoss *op, size_t i, acc *g, size_t scored)
{
  size_t C = op->C, V = op->V, best = 0;
  acc sum = 0;
  for (size_t j = 0; j < V; j++) {
    g[j] = 0;
    for (size_t c = 0; c < C; c++)
      g[j] += packed_factor(op->factors, op->x[i * C + c]) * packed_factor(op->factors, op->w[j * C + c]);
    if (g[j] > g[best]) best = j;
  }
  acc top = g[best];
  op->best[i] = (int)best, op->largest[i] = (real)top;
  for (size_t j = 0; j < V; j++) sum += m_exp(g[j] - top);
  acc log_sum = top + m_log(sum), loss = op->target[i] < 0 ? 0 : log_sum - g[op->target[i]];
  for (size_t j = 0; j < V; j++)
    g[j] = op->target[i] < 0 ? 0 : (m_exp(g[j] - log_sum) - ((size_t)op->target[i] == j)) / (acc)scored;
  return loss;
}

void k_head_loss(const HeadLoss *op)
{
  size_t rows = op->rows, C = op->C, V = op->V, scored = k_scored(op->target, rows);
  acc total = 0, *g = rwkv_alloc(rows * V, sizeof *g, "logits"); /* [rows,V] */
  for (size_t i = 0; i < rows; i++) total += head_row(op, i, g + i * V, scored);
  op->loss[0] = (real)(scored ? total / (acc)scored : 0);
  for (size_t i = 0; op->gx && i < rows; i++) /* gx = g W */
    for (size_t c = 0; c < C; c++) {
      acc sum = 0;
      for (size_t j = 0; j < V; j++)
        sum += packed_factor(op->factors, g[i * V + j]) * packed_factor(op->factors, op->w[j * C + c]);
      op->gx[i * C + c] = (real)sum;
    }
  for (size_t j = 0; op->gw && j < V; j++) /* gW = g' x */
    for (size_t c = 0; c < C; c++) {
      acc sum = 0;
      for (size_t i = 0; i < rows; i++)
        sum += packed_factor(op->factors, g[i * V + j]) * packed_factor(op->factors, op->x[i * C + c]);
      op->gw[j * C + c] = (real)sum;
    }
  rwkv_release(g);
}

void k_head_loss_backward(const HeadLossBackward *op)
{
  const HeadLoss *f = &op->forward;
  size_t rows = f->rows, C = f->C, scored = k_scored(f->target, rows);
  acc g = op->g[0];
  for (size_t i = 0; op->gx && i < rows * C; i++) op->gx[i] += (real)(g * (acc)f->gx[i]);
  for (size_t i = 0; op->gw && i < f->V * C; i++) op->gw[i] += (real)(g * (acc)f->gw[i]);
  for (size_t i = 0; op->l2wrap > 0 && i < rows; i++) { /* as the official trainers have it: whatever flows in as g */
    if (f->target[i] < 0) continue;
    acc by = op->l2wrap * (acc)f->largest[i] / (acc)scored;
    size_t row = (size_t)f->best[i] * C;
    for (size_t c = 0; op->gx && c < C; c++) op->gx[i * C + c] += (real)(by * (acc)f->w[row + c]);
    for (size_t c = 0; op->gw && c < C; c++) op->gw[row + c] += (real)(by * (acc)f->x[i * C + c]);
  }
}

void k_argmax(const Argmax *op)
{
  size_t n = op->n;
  for (size_t i = 0; i < op->rows; i++) op->best[i] = (int)largest(op->x + i * n, n);
}
