/* Attention without a softmax: over the tokens themselves (the copy head), and over vectors. */
#include "kernels.h"

void k_copy_scores(real *y, const real *q, const real *k, const int *token, const int *batch, const int *limit,
                   size_t rows, size_t U, size_t D, size_t V)
{
  for (size_t i = 0; i < rows * V; i++) y[i] = 0;
  for (size_t i = 0; i < rows; i++)
    for (size_t u = 0; u < (size_t)limit[i]; u++) {
      size_t at = (size_t)batch[i] * U + u;
      acc dot = 0;
      for (size_t d = 0; d < D; d++) dot += (acc)q[i * D + d] * (acc)k[at * D + d];
      y[i * V + (size_t)token[at]] += (real)(dot / (acc)D);
    }
}

void k_copy_scores_backward(real *gq, real *gk, const real *g, const real *q, const real *k, const int *token,
                            const int *batch, const int *limit, size_t rows, size_t U, size_t D, size_t V)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t u = 0; u < (size_t)limit[i]; u++) {
      size_t at = (size_t)batch[i] * U + u;
      acc gdot = (acc)g[i * V + (size_t)token[at]] / (acc)D;
      for (size_t d = 0; d < D; d++) {
        if (gq) gq[i * D + d] += (real)(gdot * (acc)k[at * D + d]);
        if (gk) gk[at * D + d] += (real)(gdot * (acc)q[i * D + d]);
      }
    }
}

static acc dot(const real *a, const real *b, size_t n)
{
  acc sum = 0;
  for (size_t i = 0; i < n; i++) sum += (acc)a[i] * (acc)b[i];
  return sum;
}

void k_linear_attention(real *y, const real *q, const real *k, const real *v, size_t B, size_t T, size_t U,
                        size_t D, size_t C)
{
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++) {
        acc sum = 0;
        for (size_t u = 0; u <= U - T + t; u++)
          sum += dot(q + (b * T + t) * D, k + (b * U + u) * D, D) * (acc)v[(b * U + u) * C + c];
        y[(b * T + t) * C + c] = (real)sum;
      }
}

void k_linear_attention_backward(real *gq, real *gk, real *gv, const real *g, const real *q, const real *k,
                                 const real *v, size_t B, size_t T, size_t U, size_t D, size_t C)
{
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t u = 0; u <= U - T + t; u++) {
        size_t row = b * T + t, at = b * U + u;
        acc score = dot(q + row * D, k + at * D, D), gscore = dot(g + row * C, v + at * C, C);
        for (size_t c = 0; gv && c < C; c++) gv[at * C + c] += (real)(score * (acc)g[row * C + c]);
        for (size_t d = 0; gq && d < D; d++) gq[row * D + d] += (real)(gscore * (acc)k[at * D + d]);
        for (size_t d = 0; gk && d < D; d++) gk[at * D + d] += (real)(gscore * (acc)q[row * D + d]);
      }
}
