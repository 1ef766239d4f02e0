/* The recurrence of RWKV-2 and RWKV-3: the loop over channels goes inside, the one over time outside. A
   piece is a few channels of all sequences, so that the gradients by w and u are summed in one place. */
#include "f_math.h"

enum { LANE = 16 }; /* channels of one piece */

typedef struct {
  real *y, *a1, *b1, *trace;
  const real *w, *u, *e, *v, *a0, *b0;
  real eps;
  size_t B, T, C;
} Forward;

INLINE void forward_lanes(const Forward *q, size_t bi, size_t c0, size_t n)
{
  real a[LANE], b[LANE], lambda[LANE], U[LANE];
  size_t C = q->C;
  for (size_t i = 0; i < n; i++) {
    a[i] = q->a0[bi * C + c0 + i], b[i] = q->b0[bi * C + c0 + i];
    lambda[i] = fast_exp(q->w[c0 + i]), U[i] = fast_exp(q->u[c0 + i]);
  }
  for (size_t t = 0; t < q->T; t++) {
    size_t row = bi * q->T + t;
    if (q->trace)
      for (size_t i = 0; i < n; i++)
        q->trace[row * 2 * C + c0 + i] = a[i], q->trace[(row * 2 + 1) * C + c0 + i] = b[i];
    const real *e = q->e + row * C + c0, *v = q->v + row * C + c0;
    real *restrict y = q->y + row * C + c0;
    SIMD
    for (size_t i = 0; i < n; i++) {
      real now = U[i] * e[i];
      y[i] = (a[i] + now * v[i]) / (b[i] + now + q->eps);
      a[i] = lambda[i] * a[i] + e[i] * v[i];
      b[i] = lambda[i] * b[i] + e[i];
    }
  }
  for (size_t i = 0; i < n; i++) q->a1[bi * C + c0 + i] = a[i], q->b1[bi * C + c0 + i] = b[i];
}

JOB static void wkv2_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  size_t across = pieces(q->C, LANE);
  for (size_t i = from; i < to; i++) {
    size_t c0 = i % across * LANE;
    if (c0 + LANE <= q->C) forward_lanes(q, i / across, c0, LANE);
    else forward_lanes(q, i / across, c0, q->C - c0);
  }
}

void f_wkv2(real *y, real *a1, real *b1, real *trace, const real *w, const real *u, const real *e,
            const real *v, const real *a0, const real *b0, acc eps, size_t B, size_t T, size_t C)
{
  Forward q = {y, a1, b1, trace, w, u, e, v, a0, b0, (real)eps, B, T, C};
  fast_for(B * pieces(C, LANE), pieces(HEAVY, at_least_1(T * LANE)), wkv2_forward, &q);
}

typedef struct {
  const Wkv2Grads *out;
  const real *gy, *ga1, *gb1, *trace, *w, *u, *e, *v;
  real eps;
  size_t B, T, C;
} Backward;

INLINE void backward_lanes(const Backward *q, size_t c0, size_t n)
{
  static const real zeros[LANE];
  acc glambda[LANE] = {0}, gU[LANE] = {0};
  real lambda[LANE], U[LANE], ga[LANE], gb[LANE], ge[LANE], gv[LANE];
  size_t C = q->C;
  for (size_t i = 0; i < n; i++) lambda[i] = fast_exp(q->w[c0 + i]), U[i] = fast_exp(q->u[c0 + i]);
  for (size_t bi = 0; bi < q->B; bi++) {
    for (size_t i = 0; i < n; i++) {
      ga[i] = q->ga1 ? q->ga1[bi * C + c0 + i] : 0;
      gb[i] = q->gb1 ? q->gb1[bi * C + c0 + i] : 0;
    }
    for (size_t t = q->T; t-- > 0;) {
      size_t row = bi * q->T + t, at = row * C + c0;
      const real *a = q->trace + row * 2 * C + c0, *b = a + C, *e = q->e + at, *v = q->v + at;
      const real *gy = q->gy ? q->gy + at : zeros;
      SIMD
      for (size_t i = 0; i < n; i++) {
        real by_e = ga[i] * v[i] + gb[i], by_v = ga[i] * e[i], fade = ga[i] * a[i] + gb[i] * b[i];
        real now = U[i] * e[i], inverse = 1 / (b[i] + now + q->eps);
        real y = (a[i] + now * v[i]) * inverse, g = gy[i] * inverse, by_now = g * (v[i] - y);
        glambda[i] += (acc)fade;
        gU[i] += (acc)(by_now * e[i]);
        ge[i] = by_e + by_now * U[i];
        gv[i] = by_v + g * now;
        ga[i] = ga[i] * lambda[i] + g;
        gb[i] = gb[i] * lambda[i] - g * y;
      }
      for (size_t i = 0; q->out->e && i < n; i++) q->out->e[at + i] += ge[i];
      for (size_t i = 0; q->out->v && i < n; i++) q->out->v[at + i] += gv[i];
    }
    for (size_t i = 0; q->out->a0 && i < n; i++) q->out->a0[bi * C + c0 + i] += ga[i];
    for (size_t i = 0; q->out->b0 && i < n; i++) q->out->b0[bi * C + c0 + i] += gb[i];
  }
  for (size_t i = 0; q->out->w && i < n; i++) q->out->w[c0 + i] += (real)(glambda[i] * (acc)lambda[i]);
  for (size_t i = 0; q->out->u && i < n; i++) q->out->u[c0 + i] += (real)(gU[i] * (acc)U[i]);
}

JOB static void wkv2_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t i = from; i < to; i++) {
    size_t c0 = i * LANE;
    if (c0 + LANE <= q->C) backward_lanes(q, c0, LANE);
    else backward_lanes(q, c0, q->C - c0);
  }
}

void f_wkv2_backward(const Wkv2Grads *out, const real *gy, const real *ga1, const real *gb1, const real *trace,
                     const real *w, const real *u, const real *e, const real *v, acc eps, size_t B, size_t T,
                     size_t C)
{
  Backward q = {out, gy, ga1, gb1, trace, w, u, e, v, (real)eps, B, T, C};
  fast_for(pieces(C, LANE), pieces(HEAVY, at_least_1(B * T * LANE)), wkv2_backward, &q);
}
