/* Attention without a softmax: over the tokens themselves (the copy head), and over vectors. */
#include "k_copy.h"

void k_copy_scores(const CopyScores *op)
{
  size_t rows = op->rows, D = op->D, V = op->V;
  for (size_t i = 0; i < rows * V; i++) op->y[i] = 0;
  for (size_t i = 0; i < rows; i++)
    for (size_t u = 0; u < (size_t)op->limit[i]; u++) {
      size_t at = (size_t)op->batch[i] * op->U + u;
      acc dot = 0;
      for (size_t d = 0; d < D; d++) dot += (acc)op->q[i * D + d] * (acc)op->k[at * D + d];
      op->y[i * V + (size_t)op->token[at]] += (real)(dot / (acc)D);
    }
}

void k_copy_scores_backward(const CopyScoresBackward *op)
{
  const CopyScores *f = &op->forward;
  size_t D = f->D;
  for (size_t i = 0; i < f->rows; i++)
    for (size_t u = 0; u < (size_t)f->limit[i]; u++) {
      size_t at = (size_t)f->batch[i] * f->U + u;
      acc gdot = (acc)op->g[i * f->V + (size_t)f->token[at]] / (acc)D;
      for (size_t d = 0; d < D; d++) {
        if (op->gq) op->gq[i * D + d] += (real)(gdot * (acc)f->k[at * D + d]);
        if (op->gk) op->gk[at * D + d] += (real)(gdot * (acc)f->q[i * D + d]);
      }
    }
}

static acc dot(const real *a, const real *b, size_t n)
{
  acc sum = 0;
  for (size_t i = 0; i < n; i++) sum += (acc)a[i] * (acc)b[i];
  return sum;
}

void k_linear_attention(const LinearAttention *op)
{
  size_t T = op->T, U = op->U, D = op->D, C = op->C;
  for (size_t b = 0; b < op->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++) {
        acc sum = 0;
        for (size_t u = 0; u <= U - T + t; u++)
          sum += dot(op->q + (b * T + t) * D, op->k + (b * U + u) * D, D) * (acc)op->v[(b * U + u) * C + c];
        op->y[(b * T + t) * C + c] = (real)sum;
      }
}

void k_linear_attention_backward(const LinearAttentionBackward *op)
{
  const LinearAttention *f = &op->forward;
  size_t T = f->T, U = f->U, D = f->D, C = f->C;
  for (size_t b = 0; b < f->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t u = 0; u <= U - T + t; u++) {
        size_t row = b * T + t, at = b * U + u;
        acc score = dot(f->q + row * D, f->k + at * D, D), gscore = dot(op->g + row * C, f->v + at * C, C);
        for (size_t c = 0; op->gv && c < C; c++) op->gv[at * C + c] += (real)(score * (acc)op->g[row * C + c]);
        for (size_t d = 0; op->gq && d < D; d++) op->gq[row * D + d] += (real)(gscore * (acc)f->k[at * D + d]);
        for (size_t d = 0; op->gk && d < D; d++) op->gk[at * D + d] += (real)(gscore * (acc)f->q[row * D + d]);
      }
}
