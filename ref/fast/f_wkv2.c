/* The recurrence of RWKV-2 and RWKV-3: the loop over channels goes inside, the one over time outside. */
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
  real a[LANE], b[LANE], lambda[LANE], U[LANE], eps = q->eps;
  size_t C = q->C;
  for (size_t i = 0; i < n; i++) {
    a[i] = q->a0[bi * C + c0 + i], b[i] = q->b0[bi * C + c0 + i];
    lambda[i] = fast_exp(q->w[c0 + i]), U[i] = fast_exp(q->u[c0 + i]);
  }
  for (size_t t = 0; t < q->T; t++) {
    size_t row = bi * q->T + t;
    real *tr = q->trace ? q->trace + row * 2 * C + c0 : NULL;
    for (size_t i = 0; tr && i < n; i++) tr[i] = a[i], tr[C + i] = b[i];
    const real *e = q->e + row * C + c0, *v = q->v + row * C + c0;
    real *y = q->y + row * C + c0;
    SIMD
    for (size_t i = 0; i < n; i++) {
      y[i] = (a[i] + U[i] * e[i] * v[i]) / (b[i] + U[i] * e[i] + eps); /* [v2.4] */
      a[i] = lambda[i] * a[i] + e[i] * v[i];                           /* [v2.5] */
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
    forward_lanes(q, i / across, c0, smaller(LANE, q->C - c0));
  }
}

void f_wkv2(real *y, real *a1, real *b1, real *trace, const real *w, const real *u, const real *e, const real *v,
            const real *a0, const real *b0, acc eps, size_t B, size_t T, size_t C)
{
  fast_settle();
  Forward q = {y, a1, b1, trace, w, u, e, v, a0, b0, (real)eps, B, T, C};
  fast_for(B * pieces(C, LANE), pieces(LIGHT, at_least_1(T * LANE)), wkv2_forward, &q);
}

/* ---- backward ---- */

typedef struct {
  const Wkv2Grads *out;
  const real *gy, *ga1, *gb1, *trace, *w, *u, *e, *v;
  acc eps;
  size_t B, T, C;
} Backward;

typedef struct {
  acc a[LANE], b[LANE], lambda[LANE], U[LANE]; /* gradients by the state after the token, e^w and e^u */
} Lanes;

/* As k_wkv2_backward. lambda, U: e^w, e^u */
INLINE void token_back(const Backward *q, Lanes *g, const acc *lambda, const acc *U, size_t row, size_t c0, size_t n)
{
  size_t C = q->C, at = row * C + c0;
  const real *tr = q->trace + row * 2 * C + c0, *e = q->e + at, *v = q->v + at;
  const real *gy = q->gy ? q->gy + at : NULL;
  acc ge[LANE], gv[LANE], eps = q->eps;
  SIMD
  for (size_t i = 0; i < n; i++) { /* the update [v2.5] */
    ge[i] = g->a[i] * (acc)v[i] + g->b[i];
    gv[i] = g->a[i] * (acc)e[i];
    g->lambda[i] += g->a[i] * (acc)tr[i] + g->b[i] * (acc)tr[C + i];
    g->a[i] *= lambda[i];
    g->b[i] *= lambda[i];
  }
  if (gy) {
    SIMD
    for (size_t i = 0; i < n; i++) { /* the read-out [v2.4] */
      acc a = tr[i], b = tr[C + i], et = e[i], vt = v[i];
      acc den = b + U[i] * et + eps, y = (a + U[i] * et * vt) / den, gd = (acc)gy[i] / den;
      g->a[i] += gd;
      g->b[i] -= gd * y;
      ge[i] += gd * U[i] * (vt - y);
      gv[i] += gd * U[i] * et;
      g->U[i] += gd * et * (vt - y);
    }
  }
  if (q->out->e)
    for (size_t i = 0; i < n; i++) q->out->e[at + i] += (real)ge[i];
  if (q->out->v)
    for (size_t i = 0; i < n; i++) q->out->v[at + i] += (real)gv[i];
}

INLINE void backward_lanes(const Backward *q, size_t c0, size_t n)
{
  acc lambda[LANE], U[LANE], glambda[LANE] = {0}, gU[LANE] = {0};
  for (size_t i = 0; i < n; i++) lambda[i] = exp((acc)q->w[c0 + i]), U[i] = exp((acc)q->u[c0 + i]);
  for (size_t bi = 0; bi < q->B; bi++) {
    Lanes g = {{0}, {0}, {0}, {0}};
    size_t at = bi * q->C + c0;
    for (size_t i = 0; i < n; i++) {
      if (q->ga1) g.a[i] = q->ga1[at + i];
      if (q->gb1) g.b[i] = q->gb1[at + i];
    }
    for (size_t t = q->T; t-- > 0;) token_back(q, &g, lambda, U, bi * q->T + t, c0, n);
    for (size_t i = 0; i < n; i++) {
      if (q->out->a0) q->out->a0[at + i] += (real)g.a[i];
      if (q->out->b0) q->out->b0[at + i] += (real)g.b[i];
      glambda[i] += g.lambda[i], gU[i] += g.U[i];
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (q->out->w) q->out->w[c0 + i] += (real)(glambda[i] * lambda[i]);
    if (q->out->u) q->out->u[c0 + i] += (real)(gU[i] * U[i]);
  }
}

JOB static void wkv2_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t c0 = from * LANE; c0 < q->C && c0 < to * LANE; c0 += LANE)
    backward_lanes(q, c0, smaller(LANE, q->C - c0));
}

/* Over channels only: w and u collect from all sequences. */
void f_wkv2_backward(const Wkv2Grads *out, const real *gy, const real *ga1, const real *gb1, const real *trace,
                     const real *w, const real *u, const real *e, const real *v, acc eps, size_t B, size_t T,
                     size_t C)
{
  fast_settle();
  Backward q = {out, gy, ga1, gb1, trace, w, u, e, v, eps, B, T, C};
  fast_for(pieces(C, LANE), pieces(HEAVY, at_least_1(B * T * LANE)), wkv2_backward, &q);
}
