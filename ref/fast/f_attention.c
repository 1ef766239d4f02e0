/* Softmax attention, a head at a time, four positions u at a time. Rows of k and v lie `step` apart. */
#include "f_math.h"

/* s_u = scale (x.k_u) */
INLINE void scores(real *s, acc scale, const real *x, const real *k, size_t seen, size_t step, size_t N)
{
  size_t u = 0;
  for (; u + 4 <= seen; u += 4) {
    const real *k_0 = k + u * step, *k_1 = k_0 + step, *k_2 = k_1 + step, *k_3 = k_2 + step;
    real s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    SIMD_SUM(s0, s1, s2, s3)
    for (size_t i = 0; i < N; i++) s0 += x[i] * k_0[i], s1 += x[i] * k_1[i], s2 += x[i] * k_2[i], s3 += x[i] * k_3[i];
    s[u] = (real)scale * s0, s[u + 1] = (real)scale * s1, s[u + 2] = (real)scale * s2, s[u + 3] = (real)scale * s3;
  }
  for (; u < seen; u++) {
    real sum = 0;
    SIMD_SUM(sum)
    for (size_t i = 0; i < N; i++) sum += x[i] * k[u * step + i];
    s[u] = (real)scale * sum;
  }
}

/* y += sum of p_u v_u */
INLINE void add_rows(real *restrict y, const real *p, const real *v, size_t seen, size_t step, size_t N)
{
  size_t u = 0;
  for (; u + 4 <= seen; u += 4) {
    const real *v_0 = v + u * step, *v_1 = v_0 + step, *v_2 = v_1 + step, *v_3 = v_2 + step;
    real p0 = p[u], p1 = p[u + 1], p2 = p[u + 2], p3 = p[u + 3];
    SIMD
    for (size_t i = 0; i < N; i++) y[i] += (p0 * v_0[i] + p1 * v_1[i]) + (p2 * v_2[i] + p3 * v_3[i]);
  }
  for (; u < seen; u++) {
    SIMD
    for (size_t i = 0; i < N; i++) y[i] += p[u] * v[u * step + i];
  }
}

/* every y_u += p_u x */
INLINE void add_to_rows(real *restrict y, const real *p, const real *x, size_t seen, size_t step, size_t N)
{
  for (size_t u = 0; u < seen; u++) {
    SIMD
    for (size_t i = 0; i < N; i++) y[u * step + i] += p[u] * x[i];
  }
}

/* Room for two rows of U numbers a head. */
typedef struct {
  Attention op;
  real *rows;
} Forward;

static real *rows_for(const Attention *a) { return fast_memory(a->B * a->H * 2 * a->U * sizeof(real)); }

INLINE void forward_head(const Forward *q, size_t bh, size_t N)
{
  const Attention *a = &q->op;
  size_t b = bh / a->H, h = bh % a->H, step = a->H * N, first = b * a->U * step + h * N;
  real *p = q->rows + bh * 2 * a->U;
  for (size_t t = 0; t < a->T; t++) {
    size_t row = (b * a->T + t) * a->H + h, seen = a->U - a->T + t + 1;
    scores(p, 1 / sqrt((acc)N), a->q + row * N, a->k + first, seen, step, N);
    acc top = p[0], sum = 0;
    for (size_t u = 1; u < seen; u++) top = fast_max(top, p[u]);
    SIMD_SUM(sum)
    for (size_t u = 0; u < seen; u++) {
      p[u] = fast_exp((real)((acc)p[u] - top));
      sum += (acc)p[u];
    }
    real share = (real)(1 / sum), *y = a->y + row * N;
    for (size_t u = 0; u < seen; u++) p[u] *= share;
    for (size_t i = 0; i < N; i++) y[i] = 0;
    add_rows(y, p, a->v + first, seen, step, N);
    if (a->log_sum) a->log_sum[row] = top + log(sum);
  }
}

JOB static void attention_forward(const void *arg, size_t from, size_t to)
{
  const Forward *a = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (a->op.N == 64) forward_head(a, bh, 64);
    else forward_head(a, bh, a->op.N);
  }
}

void f_attention(const Attention *a)
{
  fast_flush();
  Forward q = {*a, rows_for(a)};
  fast_for(a->B * a->H, pieces(HEAVY * 4, at_least_1(a->T * a->U * a->N)), attention_forward, &q);
}

/* ---- backward: the formulas of k_attention_backward ---- */

typedef struct {
  AttentionBackward op;
  real *rows;
} Backward;

INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  const AttentionBackward *op = &q->op;
  const Attention *a = &op->forward;
  size_t b = bh / a->H, h = bh % a->H, step = a->H * N, first = b * a->U * step + h * N;
  acc scale = 1 / sqrt((acc)N);
  real *p = q->rows + bh * 2 * a->U, *gs = p + a->U;
  for (size_t t = 0; t < a->T; t++) {
    size_t row = (b * a->T + t) * a->H + h, seen = a->U - a->T + t + 1;
    const real *qt = a->q + row * N, *g = op->g + row * N;
    scores(p, scale, qt, a->k + first, seen, step, N);
    scores(gs, 1, g, a->v + first, seen, step, N);
    acc log_sum = a->log_sum[row], sum = 0, mean = 0; /* sum: 1, but for the rounding of large scores */
    SIMD_SUM(sum, mean)
    for (size_t u = 0; u < seen; u++) {
      p[u] = fast_exp((real)((acc)p[u] - log_sum));
      sum += (acc)p[u];
      mean += (acc)p[u] * (acc)gs[u];
    }
    acc share = 1 / sum;
    SIMD
    for (size_t u = 0; u < seen; u++) {
      acc weight = (acc)p[u] * share;
      p[u] = (real)weight;
      gs[u] = (real)(scale * weight * ((acc)gs[u] - mean * share));
    }
    if (op->gq) add_rows(op->gq + row * N, gs, a->k + first, seen, step, N);
    if (op->gk) add_to_rows(op->gk + first, gs, qt, seen, step, N);
    if (op->gv) add_to_rows(op->gv + first, p, g, seen, step, N);
  }
}

JOB static void attention_backward(const void *arg, size_t from, size_t to)
{
  const Backward *a = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (a->op.forward.N == 64) backward_head(a, bh, 64);
    else backward_head(a, bh, a->op.forward.N);
  }
}

void f_attention_backward(const AttentionBackward *op)
{
  const Attention *f = &op->forward;
  fast_flush();
  Backward q = {*op, rows_for(f)};
  fast_for(f->B * f->H, pieces(HEAVY, at_least_1(f->T * f->U * f->N)), attention_backward, &q);
}
