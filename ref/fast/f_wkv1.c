/* The sum of RWKV-1, a head at a time: the gradients by its curves are then summed in one place. */
#include "f_math.h"

enum { N_MAX = 256 }; /* of what stands on the stack; larger heads stay with the reference */

typedef struct {
  real *y;
  const Wkv1Grads *out;
  const real *gy, *w, *alpha, *beta, *k, *v;
  size_t B, T, U, H, N, ctx;
} Sum;

/* The weighted sum of pairs, and the sum of keys, that position t sees. */
INLINE void sums(const Sum *q, size_t b, size_t t, size_t h, real *restrict pairs, real *restrict total)
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
  const Sum *q = arg;
  real pairs[N_MAX], total[N_MAX];
  for (size_t i = from; i < to; i++) {
    size_t h = i % q->H, row = i / q->H, b = row / q->T;
    sums(q, b, q->U - q->T + row % q->T, h, pairs, total);
    real *y = q->y + (row * q->H + h) * q->N;
    for (size_t j = 0; j < q->N; j++) y[j] = pairs[j] / total[j];
  }
}

void f_wkv1(real *y, const real *w, const real *alpha, const real *beta, const real *k, const real *v,
            size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv1(y, w, alpha, beta, k, v, B, T, U, H, N, ctx);
    return;
  }
  Sum q = {.y = y, .w = w, .alpha = alpha, .beta = beta, .k = k, .v = v, .B = B, .T = T, .U = U, .H = H, .N = N,
           .ctx = ctx};
  fast_for(B * T * H, pieces(HEAVY, at_least_1(U * N)), wkv1_forward, &q);
}

INLINE void backward_position(const Sum *q, size_t b, size_t t, size_t h)
{
  size_t N = q->N, C = q->H * N, first = q->U - q->T;
  real pairs[N_MAX], total[N_MAX], g[N_MAX], gy_y[N_MAX];
  const real *gy = q->gy + ((b * q->T + t - first) * q->H + h) * N;
  sums(q, b, t, h, pairs, total);
  for (size_t j = 0; j < N; j++) g[j] = gy[j] / total[j], gy_y[j] = g[j] * (pairs[j] / total[j]);
  for (size_t u = 0; u <= t; u++) {
    size_t at = (b * q->U + u) * C + h * N, distance = h * q->ctx + q->ctx - 1 - (t - u);
    const real *k = q->k + at, *v = q->v + at;
    real w = q->w[distance], a = q->alpha[h * q->ctx + u], be = q->beta[h * q->ctx + t], full = w * a * be, along = 0;
    SIMD_SUM(along)
    for (size_t j = 0; j < N; j++) along += g[j] * k[j] * v[j];
    real *restrict gk = q->out->k ? q->out->k + at : NULL, *restrict gv = q->out->v ? q->out->v + at : NULL;
    for (size_t j = 0; gk && j < N; j++) gk[j] += g[j] * full * v[j] - gy_y[j];
    for (size_t j = 0; gv && j < N; j++) gv[j] += g[j] * full * k[j];
    if (q->out->w) q->out->w[distance] += along * a * be;
    if (q->out->alpha) q->out->alpha[h * q->ctx + u] += along * w * be;
    if (q->out->beta) q->out->beta[h * q->ctx + t] += along * w * a;
  }
}

JOB static void wkv1_backward(const void *arg, size_t from, size_t to)
{
  const Sum *q = arg;
  for (size_t h = from; h < to; h++)
    for (size_t b = 0; b < q->B; b++)
      for (size_t t = q->U - q->T; t < q->U; t++) backward_position(q, b, t, h);
}

void f_wkv1_backward(const Wkv1Grads *out, const real *gy, const real *w, const real *alpha, const real *beta,
                     const real *k, const real *v, size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv1_backward(out, gy, w, alpha, beta, k, v, B, T, U, H, N, ctx);
    return;
  }
  Sum q = {NULL, out, gy, w, alpha, beta, k, v, B, T, U, H, N, ctx};
  fast_for(H, pieces(HEAVY, at_least_1(B * T * U * N)), wkv1_backward, &q);
}
