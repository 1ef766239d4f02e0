/* The sum of RWKV-1, a head at a time: the gradients by its curves are then summed in one place. */
#include "f_math.h"

enum { N_MAX = 256 }; /* of what stands on the stack; larger heads stay with the reference */

/* The weighted sum of pairs, and the sum of keys, that position t sees. */
INLINE void sums(const Wkv1 *q, size_t b, size_t t, size_t h, real *restrict pairs, real *restrict total)
{
  size_t N = q->N, C = q->H * N;
  const real *w = q->w + h * q->ctx + q->ctx - 1 - t, *alpha = q->alpha + h * q->ctx;
  real beta = q->beta[h * q->ctx + t];
  for (size_t j = 0; j < N; j++) pairs[j] = total[j] = 0;
  for (size_t u = 0; u <= t; u++) {
    const real *k = q->k + (b * q->U + u) * C + h * N, *v = q->v + (b * q->U + u) * C + h * N;
    real weight = w[u] * alpha[u] * beta;
    SIMD
    for (size_t j = 0; j < N; j++) pairs[j] += weight * k[j] * v[j], total[j] += k[j];
  }
}

JOB static void wkv1_forward(const void *arg, size_t from, size_t to)
{
  const Wkv1 *q = arg;
  real pairs[N_MAX], total[N_MAX];
  for (size_t i = from; i < to; i++) {
    size_t h = i % q->H, row = i / q->H, b = row / q->T;
    sums(q, b, q->U - q->T + row % q->T, h, pairs, total);
    real *y = q->y + (row * q->H + h) * q->N;
    for (size_t j = 0; j < q->N; j++) y[j] = pairs[j] / total[j];
  }
}

void f_wkv1(const Wkv1 *q)
{
  if (q->N > N_MAX) {
    fast_reference(OP_wkv1, q);
    return;
  }
  fast_flush();
  fast_for(q->B * q->T * q->H, pieces(HEAVY, at_least_1(q->U * q->N)), wkv1_forward, q);
}

INLINE void backward_position(const Wkv1Backward *op, size_t b, size_t t, size_t h)
{
  const Wkv1 *q = &op->forward;
  size_t N = q->N, C = q->H * N, first = q->U - q->T;
  real pairs[N_MAX], total[N_MAX], g[N_MAX], gy_y[N_MAX];
  const real *gy = op->gy + ((b * q->T + t - first) * q->H + h) * N;
  sums(q, b, t, h, pairs, total);
  for (size_t j = 0; j < N; j++) g[j] = gy[j] / total[j], gy_y[j] = g[j] * (pairs[j] / total[j]);
  for (size_t u = 0; u <= t; u++) {
    size_t at = (b * q->U + u) * C + h * N, distance = h * q->ctx + q->ctx - 1 - (t - u);
    const real *k = q->k + at, *v = q->v + at;
    real w = q->w[distance], a = q->alpha[h * q->ctx + u], be = q->beta[h * q->ctx + t], full = w * a * be, along = 0;
    SIMD_SUM(along)
    for (size_t j = 0; j < N; j++) along += g[j] * k[j] * v[j];
    real *restrict gk = op->gk ? op->gk + at : NULL, *restrict gv = op->gv ? op->gv + at : NULL;
    for (size_t j = 0; gk && j < N; j++) gk[j] += g[j] * full * v[j] - gy_y[j];
    for (size_t j = 0; gv && j < N; j++) gv[j] += g[j] * full * k[j];
    if (op->gw) op->gw[distance] += along * a * be;
    if (op->galpha) op->galpha[h * q->ctx + u] += along * w * be;
    if (op->gbeta) op->gbeta[h * q->ctx + t] += along * w * a;
  }
}

JOB static void wkv1_backward(const void *arg, size_t from, size_t to)
{
  const Wkv1Backward *op = arg;
  const Wkv1 *q = &op->forward;
  for (size_t h = from; h < to; h++)
    for (size_t b = 0; b < q->B; b++)
      for (size_t t = q->U - q->T; t < q->U; t++) backward_position(op, b, t, h);
}

void f_wkv1_backward(const Wkv1Backward *op)
{
  const Wkv1 *f = &op->forward;
  if (f->N > N_MAX) {
    fast_reference(OP_wkv1_backward, op);
    return;
  }
  fast_flush();
  fast_for(f->H, pieces(HEAVY, at_least_1(f->B * f->T * f->U * f->N)), wkv1_backward, op);
}
