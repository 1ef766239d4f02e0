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

typedef struct {
  real *y, *gq, *gk;
  const real *g, *q, *k;
  const int *token, *batch, *limit;
  size_t rows, U, D, V;
} Copy;

JOB static void copy_rows(const void *arg, size_t from, size_t to)
{
  const Copy *c = arg;
  for (size_t i = from; i < to; i++) {
    real *y = c->y + i * c->V;
    for (size_t j = 0; j < c->V; j++) y[j] = 0;
    for (size_t u = 0; u < (size_t)c->limit[i]; u++) {
      size_t at = (size_t)c->batch[i] * c->U + u;
      y[c->token[at]] += dot(c->q + i * c->D, c->k + at * c->D, c->D) / (real)c->D;
    }
  }
}

void f_copy_scores(real *y, const real *q, const real *k, const int *token, const int *batch, const int *limit,
                   size_t rows, size_t U, size_t D, size_t V)
{
  fast_settle();
  Copy c = {y, NULL, NULL, NULL, q, k, token, batch, limit, rows, U, D, V};
  fast_for(rows, pieces(LIGHT, at_least_1(U * D + V)), copy_rows, &c);
}

JOB static void copy_sequences_backward(const void *arg, size_t from, size_t to)
{
  const Copy *c = arg;
  size_t D = c->D;
  for (size_t i = 0; i < c->rows; i++) {
    size_t b = (size_t)c->batch[i];
    if (b < from || b >= to) continue;
    for (size_t u = 0; u < (size_t)c->limit[i]; u++) {
      size_t at = b * c->U + u;
      real gdot = c->g[i * c->V + (size_t)c->token[at]] / (real)D;
      if (c->gq) add_scaled(c->gq + i * D, gdot, c->k + at * D, D);
      if (c->gk) add_scaled(c->gk + at * D, gdot, c->q + i * D, D);
    }
  }
}

void f_copy_scores_backward(real *gq, real *gk, const real *g, const real *q, const real *k, const int *token,
                            const int *batch, const int *limit, size_t rows, size_t U, size_t D, size_t V)
{
  fast_settle();
  Copy c = {NULL, gq, gk, g, q, k, token, batch, limit, rows, U, D, V};
  size_t sequences = 0;
  for (size_t i = 0; i < rows; i++)
    if ((size_t)batch[i] >= sequences) sequences = (size_t)batch[i] + 1;
  fast_for(sequences, 1, copy_sequences_backward, &c);
}

/* ---- over vectors ---- */

typedef struct {
  real *y, *gq, *gk, *gv;
  const real *g, *q, *k, *v;
  size_t T, U, D, C;
} Attention;

JOB static void attention_rows(const void *arg, size_t from, size_t to)
{
  const Attention *a = arg;
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

void f_linear_attention(real *y, const real *q, const real *k, const real *v, size_t B, size_t T, size_t U,
                        size_t D, size_t C)
{
  fast_settle();
  Attention a = {y, NULL, NULL, NULL, NULL, q, k, v, T, U, D, C};
  fast_for(B * T, pieces(LIGHT, at_least_1(U * (D + C))), attention_rows, &a);
}

JOB static void attention_sequences_backward(const void *arg, size_t from, size_t to)
{
  const Attention *a = arg;
  size_t D = a->D, C = a->C;
  for (size_t row = from * a->T; row < to * a->T; row++) {
    size_t b = row / a->T, seen = a->U - a->T + row % a->T + 1;
    const real *g = a->g + row * C, *q = a->q + row * D;
    for (size_t u = 0; u < seen; u++) {
      size_t at = b * a->U + u;
      real by_score = dot(g, a->v + at * C, C);
      if (a->gv) add_scaled(a->gv + at * C, dot(q, a->k + at * D, D), g, C);
      if (a->gq) add_scaled(a->gq + row * D, by_score, a->k + at * D, D);
      if (a->gk) add_scaled(a->gk + at * D, by_score, q, D);
    }
  }
}

void f_linear_attention_backward(real *gq, real *gk, real *gv, const real *g, const real *q, const real *k,
                                 const real *v, size_t B, size_t T, size_t U, size_t D, size_t C)
{
  fast_settle();
  Attention a = {NULL, gq, gk, gv, g, q, k, v, T, U, D, C};
  fast_for(B, 1, attention_sequences_backward, &a);
}
