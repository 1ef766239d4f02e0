/* RWKV-4's recurrence: the loop over channels goes inside, the one over time outside. Of the two weights
   e^{p-q} and e^{k-q} with q = max(p, k) one is always 1 and the other e^{-|p-k|}: one exponential. */
#include "f_math.h"

enum { LANE = 16 }; /* channels of one piece */

typedef struct {
  real q, old, now; /* the larger exponent, and e^{p-q}, e^{k-q} */
} Weights;

INLINE Weights weights(real p, real k)
{
  real e = fast_exp(-fast_abs(p - k)); /* NaN where one of them is: only that one's weight becomes it */
  return (Weights){fast_max(p, k), !(p < k) && p == p ? 1 : e, !(k < p) && k == k ? 1 : e};
}

typedef struct {
  real *y, *a1, *b1, *p1, *trace;
  const real *w, *u, *k, *v, *a0, *b0, *p0;
  size_t B, T, C;
} Forward;

INLINE void forward_lanes(const Forward *q, size_t bi, size_t c0, size_t n)
{
  real a[LANE], b[LANE], p[LANE];
  size_t C = q->C;
  for (size_t i = 0; i < n; i++)
    a[i] = q->a0[bi * C + c0 + i], b[i] = q->b0[bi * C + c0 + i], p[i] = q->p0[bi * C + c0 + i];
  for (size_t t = 0; t < q->T; t++) {
    size_t row = bi * q->T + t;
    if (q->trace)
      for (size_t i = 0; i < n; i++) {
        real *tr = q->trace + row * 3 * C + c0 + i;
        tr[0] = a[i], tr[C] = b[i], tr[2 * C] = p[i];
      }
    const real *k = q->k + row * C + c0, *v = q->v + row * C + c0, *w = q->w + c0, *u = q->u + c0;
    real *restrict y = q->y + row * C + c0;
    SIMD
    for (size_t i = 0; i < n; i++) {
      Weights out = weights(p[i], u[i] + k[i]); /* [v4.4] */
      y[i] = (out.old * a[i] + out.now * v[i]) / (out.old * b[i] + out.now);
      Weights up = weights(p[i] + w[i], k[i]);  /* [v4.5] [v4.6] */
      a[i] = up.old * a[i] + up.now * v[i];
      b[i] = up.old * b[i] + up.now;
      p[i] = up.q;
    }
  }
  for (size_t i = 0; i < n; i++)
    q->a1[bi * C + c0 + i] = a[i], q->b1[bi * C + c0 + i] = b[i], q->p1[bi * C + c0 + i] = p[i];
}

JOB static void wkv4_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  size_t across = pieces(q->C, LANE);
  for (size_t i = from; i < to; i++) {
    size_t c0 = i % across * LANE;
    if (c0 + LANE <= q->C) forward_lanes(q, i / across, c0, LANE);
    else forward_lanes(q, i / across, c0, q->C - c0);
  }
}

void f_wkv4(real *y, real *a1, real *b1, real *p1, real *trace, const real *w, const real *u, const real *k,
            const real *v, const real *a0, const real *b0, const real *p0, size_t B, size_t T, size_t C)
{
  Forward q = {y, a1, b1, p1, trace, w, u, k, v, a0, b0, p0, B, T, C};
  fast_for(B * pieces(C, LANE), pieces(HEAVY, at_least_1(T * LANE)), wkv4_forward, &q);
}

/* ---- backward ---- */

typedef struct {
  const Wkv4Grads *out;
  const real *gy, *ga1, *gb1, *gp1, *trace, *w, *u, *k, *v;
  size_t B, T, C;
} Backward;

/* n channels; gradients by the state after the token, and by w and u, over time */
typedef struct {
  real a[LANE], b[LANE], p[LANE], w[LANE], u[LANE];
} Lanes;

/* As k_wkv4_backward, where the reasons stand. */
INLINE void token_back(const Backward *q, Lanes *g, size_t row, size_t c0, size_t n)
{
  size_t C = q->C, at = row * C + c0;
  const real *tr = q->trace + row * 3 * C + c0, *k = q->k + at, *v = q->v + at, *w = q->w + c0, *u = q->u + c0;
  const real *gy = q->gy ? q->gy + at : NULL;
  real gk[LANE], gv[LANE];
  SIMD
  for (size_t i = 0; i < n; i++) { /* the update [v4.5] [v4.6] */
    real a = tr[i], b = tr[C + i], faded = tr[2 * C + i] + w[i];
    Weights up = weights(faded, k[i]);
    real gkeep = (g->a[i] * a + g->b[i] * b) * up.old, gadd = (g->a[i] * v[i] + g->b[i]) * up.now;
    real gq = EXACTLY(g->p[i] - gkeep - gadd); /* or gkeep would cancel below, and a NaN with it */
    gv[i] = g->a[i] * up.now;
    gk[i] = gadd + (k[i] > faded ? gq : 0);
    g->p[i] = gkeep + (k[i] > faded ? 0 : gq);
    g->w[i] += g->p[i];
    g->a[i] *= up.old;
    g->b[i] *= up.old;
  }
  if (gy) {
    SIMD
    for (size_t i = 0; i < n; i++) { /* the read-out [v4.4] */
      real a = tr[i], b = tr[C + i];
      Weights out = weights(tr[2 * C + i], u[i] + k[i]);
      real den = out.old * b + out.now, y = (out.old * a + out.now * v[i]) / den, gd = gy[i] / den;
      real gnow = gd * (v[i] - y) * out.now;
      g->a[i] += gd * out.old;
      g->b[i] -= gd * out.old * y;
      g->p[i] += gd * out.old * (a - y * b);
      gv[i] += gd * out.now;
      gk[i] += gnow;
      g->u[i] += gnow;
    }
  }
  if (q->out->k)
    for (size_t i = 0; i < n; i++) q->out->k[at + i] += gk[i];
  if (q->out->v)
    for (size_t i = 0; i < n; i++) q->out->v[at + i] += gv[i];
}

INLINE void backward_lanes(const Backward *q, size_t c0, size_t n)
{
  acc gw[LANE] = {0}, gu[LANE] = {0};
  for (size_t bi = 0; bi < q->B; bi++) {
    Lanes g = {{0}, {0}, {0}, {0}, {0}};
    size_t at = bi * q->C + c0;
    for (size_t i = 0; i < n; i++) {
      if (q->ga1) g.a[i] = q->ga1[at + i];
      if (q->gb1) g.b[i] = q->gb1[at + i];
      if (q->gp1) g.p[i] = q->gp1[at + i];
    }
    for (size_t t = q->T; t-- > 0;) token_back(q, &g, bi * q->T + t, c0, n);
    for (size_t i = 0; i < n; i++) {
      if (q->out->a0) q->out->a0[at + i] += g.a[i];
      if (q->out->b0) q->out->b0[at + i] += g.b[i];
      if (q->out->p0) q->out->p0[at + i] += g.p[i];
      gw[i] += (acc)g.w[i], gu[i] += (acc)g.u[i];
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (q->out->w) q->out->w[c0 + i] += (real)gw[i];
    if (q->out->u) q->out->u[c0 + i] += (real)gu[i];
  }
}

JOB static void wkv4_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t c0 = from * LANE; c0 < q->C && c0 < to * LANE; c0 += LANE) {
    if (c0 + LANE <= q->C) backward_lanes(q, c0, LANE);
    else backward_lanes(q, c0, q->C - c0);
  }
}

/* Over channels only: w and u collect from all sequences. */
void f_wkv4_backward(const Wkv4Grads *out, const real *gy, const real *ga1, const real *gb1, const real *gp1,
                     const real *trace, const real *w, const real *u, const real *k, const real *v, size_t B,
                     size_t T, size_t C)
{
  Backward q = {out, gy, ga1, gb1, gp1, trace, w, u, k, v, B, T, C};
  fast_for(pieces(C, LANE), pieces(HEAVY, at_least_1(B * T * LANE)), wkv4_backward, &q);
}
