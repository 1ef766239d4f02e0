/* Attention without a softmax, a sequence at a time. */
#include "f_math.h"

INLINE real dot(const real *a, const real *b, size_t n)
{
  real sum = 0;
  SIMD_SUM(sum)
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

INLINE void add_scaled(real *restrict y, real scale, const real *x, size_t n)
{
  SIMD
  for (size_t i = 0; i < n; i++) y[i] += scale * x[i];
}

/* ---- the copy head ---- */

JOB static void copy_rows(const void *arg, size_t from, size_t to)
{
  const CopyScores *c = arg;
  for (size_t i = from; i < to; i++) {
    real *y = c->y + i * c->V;
    for (size_t j = 0; j < c->V; j++) y[j] = 0;
    for (size_t u = 0; u < (size_t)c->limit[i]; u++) {
      size_t at = (size_t)c->batch[i] * c->U + u;
      y[c->token[at]] += dot(c->q + i * c->D, c->k + at * c->D, c->D) / (real)c->D;
    }
  }
}

void f_copy_scores(const CopyScores *c)
{
  fast_flush();
  fast_for(c->rows, pieces(LIGHT, at_least_1(c->U * c->D + c->V)), copy_rows, c);
}

JOB static void copy_sequences_backward(const void *arg, size_t from, size_t to)
{
  const CopyScoresBackward *op = arg;
  const CopyScores *c = &op->forward;
  size_t D = c->D;
  for (size_t i = 0; i < c->rows; i++) {
    size_t b = (size_t)c->batch[i];
    if (b < from || b >= to) continue;
    for (size_t u = 0; u < (size_t)c->limit[i]; u++) {
      size_t at = b * c->U + u;
      real gdot = op->g[i * c->V + (size_t)c->token[at]] / (real)D;
      if (op->gq) add_scaled(op->gq + i * D, gdot, c->k + at * D, D);
      if (op->gk) add_scaled(op->gk + at * D, gdot, c->q + i * D, D);
    }
  }
}

void f_copy_scores_backward(const CopyScoresBackward *op)
{
  fast_flush();
  fast_for(op->forward.B, 1, copy_sequences_backward, op);
}

/* ---- over vectors ---- */

JOB static void attention_rows(const void *arg, size_t from, size_t to)
{
  const LinearAttention *a = arg;
  for (size_t row = from; row < to; row++) {
    size_t b = row / a->T, seen = a->U - a->T + row % a->T + 1;
    real *y = a->y + row * a->C;
    for (size_t c = 0; c < a->C; c++) y[c] = 0;
    for (size_t u = 0; u < seen; u++) {
      size_t at = b * a->U + u;
      add_scaled(y, dot(a->q + row * a->D, a->k + at * a->D, a->D), a->v + at * a->C, a->C);
    }
  }
}

void f_linear_attention(const LinearAttention *a)
{
  fast_flush();
  fast_for(a->B * a->T, pieces(LIGHT, at_least_1(a->U * (a->D + a->C))), attention_rows, a);
}

JOB static void attention_sequences_backward(const void *arg, size_t from, size_t to)
{
  const LinearAttentionBackward *op = arg;
  const LinearAttention *a = &op->forward;
  size_t D = a->D, C = a->C;
  for (size_t row = from * a->T; row < to * a->T; row++) {
    size_t b = row / a->T, seen = a->U - a->T + row % a->T + 1;
    const real *g = op->g + row * C, *q = a->q + row * D;
    for (size_t u = 0; u < seen; u++) {
      size_t at = b * a->U + u;
      real by_score = dot(g, a->v + at * C, C);
      if (op->gv) add_scaled(op->gv + at * C, dot(q, a->k + at * D, D), g, C);
      if (op->gq) add_scaled(op->gq + row * D, by_score, a->k + at * D, D);
      if (op->gk) add_scaled(op->gk + at * D, by_score, q, D);
    }
  }
}

void f_linear_attention_backward(const LinearAttentionBackward *op)
{
  fast_flush();
  fast_for(op->forward.B, 1, attention_sequences_backward, op);
}
