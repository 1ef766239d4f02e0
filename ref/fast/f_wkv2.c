/* The recurrence of RWKV-2 and RWKV-3: the loop over channels goes inside, the one over time outside. */
#include "f_math.h"

enum { LANE = 16 }; /* channels of one piece */

INLINE void forward_lanes(const Wkv2 *q, size_t bi, size_t c0, size_t n)
{
  real a[LANE], b[LANE], lambda[LANE], U[LANE], eps = (real)q->eps;
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
  const Wkv2 *q = arg;
  size_t across = pieces(q->C, LANE);
  for (size_t i = from; i < to; i++) {
    size_t c0 = i % across * LANE;
    forward_lanes(q, i / across, c0, smaller(LANE, q->C - c0));
  }
}

void f_wkv2(const Wkv2 *q)
{
  fast_flush();
  fast_for(q->B * pieces(q->C, LANE), pieces(LIGHT, at_least_1(q->T * LANE)), wkv2_forward, q);
}

/* ---- backward ---- */

typedef struct {
  acc a[LANE], b[LANE], lambda[LANE], U[LANE]; /* gradients by the state after the token, e^w and e^u */
} Lanes;

/* As k_wkv2_backward. lambda, U: e^w, e^u */
INLINE void token_back(const Wkv2Backward *op, Lanes *g, const acc *lambda, const acc *U, size_t row, size_t c0,
                       size_t n)
{
  const Wkv2 *q = &op->forward;
  size_t C = q->C, at = row * C + c0;
  const real *tr = q->trace + row * 2 * C + c0, *e = q->e + at, *v = q->v + at;
  const real *gy = op->gy ? op->gy + at : NULL;
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
  if (op->ge)
    for (size_t i = 0; i < n; i++) op->ge[at + i] += (real)ge[i];
  if (op->gv)
    for (size_t i = 0; i < n; i++) op->gv[at + i] += (real)gv[i];
}

INLINE void backward_lanes(const Wkv2Backward *op, size_t c0, size_t n)
{
  const Wkv2 *q = &op->forward;
  acc lambda[LANE], U[LANE], glambda[LANE] = {0}, gU[LANE] = {0};
  for (size_t i = 0; i < n; i++) lambda[i] = exp((acc)q->w[c0 + i]), U[i] = exp((acc)q->u[c0 + i]);
  for (size_t bi = 0; bi < q->B; bi++) {
    Lanes g = {{0}, {0}, {0}, {0}};
    size_t at = bi * q->C + c0;
    for (size_t i = 0; i < n; i++) {
      if (op->ga1) g.a[i] = op->ga1[at + i];
      if (op->gb1) g.b[i] = op->gb1[at + i];
    }
    for (size_t t = q->T; t-- > 0;) token_back(op, &g, lambda, U, bi * q->T + t, c0, n);
    for (size_t i = 0; i < n; i++) {
      if (op->ga0) op->ga0[at + i] += (real)g.a[i];
      if (op->gb0) op->gb0[at + i] += (real)g.b[i];
      glambda[i] += g.lambda[i], gU[i] += g.U[i];
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (op->gw) op->gw[c0 + i] += (real)(glambda[i] * lambda[i]);
    if (op->gu) op->gu[c0 + i] += (real)(gU[i] * U[i]);
  }
}

JOB static void wkv2_backward(const void *arg, size_t from, size_t to)
{
  const Wkv2Backward *op = arg;
  size_t C = op->forward.C;
  for (size_t c0 = from * LANE; c0 < C && c0 < to * LANE; c0 += LANE) backward_lanes(op, c0, smaller(LANE, C - c0));
}

/* Over channels only: w and u collect from all sequences. */
void f_wkv2_backward(const Wkv2Backward *op)
{
  const Wkv2 *f = &op->forward;
  fast_flush();
  fast_for(pieces(f->C, LANE), pieces(HEAVY, at_least_1(f->B * f->T * LANE)), wkv2_backward, op);
}
