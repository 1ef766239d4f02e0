/* RWKV-4's recurrence: the loop over channels goes inside, the one over time outside. */
#include "f_math.h"

enum { LANE = 64 }; /* channels of one piece, at most: few enough to stay in the nearest cache */

/* Whole cache lines; more of them where there are enough for all threads, as rows of many channels lie pages apart. */
INLINE size_t lane(size_t C) { return C >= 256 ? LANE : 16; }

/* x + y = sum + rest, without an error */
typedef struct {
  real sum, rest;
} Exact;

INLINE Exact exact_sum(real x, real y)
{
  real sum = EXACTLY(x + y), part = EXACTLY(sum - x);
  return (Exact){sum, EXACTLY(x - EXACTLY(sum - part)) + EXACTLY(y - part)};
}

typedef struct {
  real q, old, now; /* the larger of p and k as it is stored, and e^{p-q}, e^{k-q} */
} Weights;

/* For exponents p = p.sum + p.rest and k, likewise: one of the weights is 1 but for a rest. Exponents may be large, and
   their rounding would count in full. As with fmax a NaN loses, and shows in its own weight. */
INLINE Weights weights(Exact p, Exact k)
{
  real apart = (p.sum - k.sum) + (p.rest - k.rest);
  bool old = apart >= 0 || k.sum != k.sum;
  real rest = old ? p.rest : k.rest, top = 1 + rest * (1 + rest * (real)0.5), low = top * fast_exp(-fast_abs(apart));
  return (Weights){old ? p.sum : k.sum, old ? top : low, old ? low : top};
}

INLINE const real *decay_at(const Wkv4 *q, size_t row) { return q->w + (q->decay_rows == 1 ? 0 : row) * q->C; }

INLINE void forward_lanes(const Wkv4 *q, size_t bi, size_t c0, size_t n)
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
    const real *k = q->k + row * C + c0, *v = q->v + row * C + c0, *u = q->u + c0;
    const real *w = decay_at(q, row) + c0;
    real *restrict y = q->y + row * C + c0;
    SIMD
    for (size_t i = 0; i < n; i++) {
      Exact before = {p[i], 0}, token = {k[i], 0};
      Weights out = weights(before, exact_sum(u[i], k[i])); /* [v4.4] */
      y[i] = (out.old * a[i] + out.now * v[i]) / (out.old * b[i] + out.now);
      Weights up = weights(exact_sum(p[i], w[i]), token); /* [v4.5] [v4.6] */
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
  const Wkv4 *q = arg;
  size_t width = lane(q->C), across = pieces(q->C, width);
  for (size_t i = from; i < to; i++) {
    size_t c0 = i % across * width, n = smaller(width, q->C - c0);
    if (n == LANE) forward_lanes(q, i / across, c0, LANE);
    else if (n == 16) forward_lanes(q, i / across, c0, 16);
    else forward_lanes(q, i / across, c0, n);
  }
}

void f_wkv4(const Wkv4 *q)
{
  RUN(wkv4, q, q->B * pieces(q->C, lane(q->C)), pieces(HEAVY, at_least_1(q->T * lane(q->C))), wkv4_forward, *q);
}

/* ---- backward ---- */

typedef struct {
  Wkv4Backward op;
  bool add_w, add_k, add_v; /* otherwise there is nothing to be added to */
  acc *left;                /* [B,2,C]: gw and gu of each sequence */
} Backward;

/* n channels; gradients by the state after the token, and by w and u over time. In double: they are
   differences that cancel, carried through many steps. */
typedef struct {
  acc a[LANE], b[LANE], p[LANE], w[LANE], u[LANE];
} Lanes;

/* What of some tokens does not depend on the gradients, so that its long chains of operations overlap. `fresh`: 1 where
   k is the larger exponent, and 0 elsewhere; share: 1 over the denominator. */
enum { STEPS = 8 };
typedef struct {
  real keep[LANE], add[LANE], fresh[LANE], old[LANE], now[LANE];
  acc share[LANE], y[LANE];
} Known;

INLINE void know(Known *x, const Wkv4 *q, bool read, size_t row, size_t c0, size_t n)
{
  size_t C = q->C, at = row * C + c0;
  const real *tr = q->trace + row * 3 * C + c0, *k = q->k + at, *v = q->v + at, *u = q->u + c0;
  const real *w = decay_at(q, row) + c0;
  SIMD
  for (size_t i = 0; i < n; i++) { /* the update [v4.5] [v4.6] */
    Exact faded = exact_sum(tr[2 * C + i], w[i]), token = {k[i], 0};
    Weights up = weights(faded, token);
    x->keep[i] = up.old, x->add[i] = up.now;
    x->fresh[i] = k[i] > faded.sum || (k[i] == faded.sum && faded.rest < 0) ? 1 : 0;
  }
  if (!read) return;
  SIMD
  for (size_t i = 0; i < n; i++) { /* the read-out [v4.4] */
    Exact before = {tr[2 * C + i], 0};
    Weights out = weights(before, exact_sum(u[i], k[i]));
    acc old = out.old, now = out.now, share = 1 / (old * (acc)tr[C + i] + now);
    x->old[i] = out.old, x->now[i] = out.now;
    x->share[i] = share, x->y[i] = (old * (acc)tr[i] + now * (acc)v[i]) * share;
  }
}

/* As k_wkv4_backward, where the reasons stand. */
INLINE void token_back(const Backward *q, Lanes *g, const Known *x, size_t row, size_t c0, size_t n, bool read)
{
  const Wkv4 *f = &q->op.forward;
  size_t C = f->C, at = row * C + c0;
  const real *tr = f->trace + row * 3 * C + c0, *v = f->v + at, *gy = read ? q->op.gy + at : NULL;
  acc gk[LANE], gv[LANE], gw[LANE];
  SIMD
  for (size_t i = 0; i < n; i++) {
    acc a = tr[i], b = tr[C + i], vt = v[i], ga = g->a[i], gb = g->b[i], keep = x->keep[i], add = x->add[i];
    acc gkeep = (ga * a + gb * b) * keep, gadd = (ga * vt + gb) * add;
    acc gq = EXACTLY(g->p[i] - gkeep - gadd); /* or gkeep would cancel below, and a NaN with it */
    acc gfaded = gkeep + (x->fresh[i] > 0 ? 0 : gq), by_k = gadd + (x->fresh[i] > 0 ? gq : 0), by_v = ga * add;
    g->w[i] += gfaded;
    ga *= keep;
    gb *= keep;
    gw[i] = gfaded;
    if (read) {
      acc old = x->old[i], now = x->now[i], y = x->y[i], gd = (acc)gy[i] * x->share[i], gnow = gd * (vt - y) * now;
      ga += gd * old;
      gb -= gd * old * y;
      gfaded += gd * old * (a - y * b);
      by_v += gd * now;
      by_k += gnow;
      g->u[i] += gnow;
    }
    g->a[i] = ga, g->b[i] = gb, g->p[i] = gfaded, gk[i] = by_k, gv[i] = by_v;
  }
  real *out_k = q->op.gk, *out_v = q->op.gv, *out_w = f->decay_rows > 1 ? q->op.gw : NULL;
  for (size_t i = 0; out_k && i < n; i++) out_k[at + i] = OLD(q->add_k, out_k[at + i]) + (real)gk[i];
  for (size_t i = 0; out_v && i < n; i++) out_v[at + i] = OLD(q->add_v, out_v[at + i]) + (real)gv[i];
  for (size_t i = 0; out_w && i < n; i++) out_w[at + i] = OLD(q->add_w, out_w[at + i]) + (real)gw[i];
}

INLINE void backward_lanes(const Backward *q, size_t bi, size_t c0, size_t n)
{
  const Wkv4Backward *op = &q->op;
  const Wkv4 *f = &op->forward;
  Lanes g = {{0}, {0}, {0}, {0}, {0}};
  size_t at = bi * f->C + c0;
  for (size_t i = 0; i < n; i++) {
    if (op->ga1) g.a[i] = op->ga1[at + i];
    if (op->gb1) g.b[i] = op->gb1[at + i];
    if (op->gp1) g.p[i] = op->gp1[at + i];
  }
  for (size_t t1 = f->T; t1 > 0;) {
    Known known[STEPS];
    size_t t0 = t1 > STEPS ? t1 - STEPS : 0, row = bi * f->T;
    for (size_t t = t0; t < t1; t++) know(&known[t - t0], f, op->gy != NULL, row + t, c0, n);
    for (; t1 > t0; t1--) {
      if (op->gy) token_back(q, &g, &known[t1 - 1 - t0], row + t1 - 1, c0, n, true);
      else token_back(q, &g, &known[t1 - 1 - t0], row + t1 - 1, c0, n, false);
    }
  }
  acc *left = q->left + 2 * bi * f->C + c0;
  for (size_t i = 0; i < n; i++) {
    if (op->ga0) op->ga0[at + i] += (real)g.a[i];
    if (op->gb0) op->gb0[at + i] += (real)g.b[i];
    if (op->gp0) op->gp0[at + i] += (real)g.p[i];
    left[i] = g.w[i], left[f->C + i] = g.u[i];
  }
}

JOB static void wkv4_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  size_t C = q->op.forward.C, width = lane(C), across = pieces(C, width);
  for (size_t i = from; i < to; i++) {
    size_t c0 = i % across * width, n = smaller(width, C - c0);
    if (n == LANE) backward_lanes(q, i / across, c0, LANE);
    else if (n == 16) backward_lanes(q, i / across, c0, 16);
    else backward_lanes(q, i / across, c0, n);
  }
}

/* w and u collect from all sequences, in their order. */
static void collect(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  const Wkv4 *f = &q->op.forward;
  for (size_t c = from; c < to; c++) {
    acc gw = 0, gu = 0;
    for (size_t b = 0; b < f->B; b++) gw += q->left[2 * b * f->C + c], gu += q->left[(2 * b + 1) * f->C + c];
    if (q->op.gw && f->decay_rows == 1) q->op.gw[c] += (real)gw;
    if (q->op.gu) q->op.gu[c] += (real)gu;
  }
}

void f_wkv4_backward(const Wkv4Backward *op)
{
  const Wkv4 *f = &op->forward;
  Backward q = {.op = *op};
  q.add_k = !fast_overwrite(op->gk); /* in the order in which they are written: two may be one tensor */
  q.add_v = !fast_overwrite(op->gv);
  q.add_w = f->decay_rows == 1 || !fast_overwrite(op->gw);
  When when = fast_when(OP_wkv4_backward, op);
  q.left = fast_memory(2 * f->B * f->C * sizeof *q.left);
  size_t width = lane(f->C);
  fast_put(when, f->B * pieces(f->C, width), pieces(HEAVY, at_least_1(f->T * width)), wkv4_backward, &q, sizeof q);
  fast_put(when == NOW ? NOW : AFTER, f->C, HEAVY, collect, &q, sizeof q);
}
