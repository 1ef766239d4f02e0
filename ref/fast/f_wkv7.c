/* RWKV-7's recurrence, four rows of the state at a time: what runs along the keys (w k a b r) is then
   loaded once for four rows, and four sums hide each other's latency. A head of 64 is 16 KiB in float. */
#include "f_math.h"

#include <string.h>

enum { N_MAX = 256 }; /* of what stands on the stack; larger heads stay with the reference */

/* ---- one token: S -> S1 (which may be S itself), sa = S a, y = S1 r where y is not NULL ---- */

typedef struct {
  const real *r, *ew, *k, *v, *a, *b; /* ew = e^w */
} Token;

INLINE void step_4_rows(real *S1, real *sa, real *y, const real *S, const Token *x, size_t i, size_t N)
{
  const real *S_0 = S + i * N, *S_1 = S_0 + N, *S_2 = S_1 + N, *S_3 = S_2 + N;
  real *T_0 = S1 + i * N, *T_1 = T_0 + N, *T_2 = T_1 + N, *T_3 = T_2 + N;
  const real *r = x->r, *ew = x->ew, *k = x->k, *a = x->a, *b = x->b;
  real s0 = 0, s1 = 0, s2 = 0, s3 = 0, y0 = 0, y1 = 0, y2 = 0, y3 = 0;
  SIMD_SUM(s0, s1, s2, s3)
  for (size_t j = 0; j < N; j++) {
    s0 += S_0[j] * a[j];
    s1 += S_1[j] * a[j];
    s2 += S_2[j] * a[j];
    s3 += S_3[j] * a[j];
  }
  real v0 = x->v[i], v1 = x->v[i + 1], v2 = x->v[i + 2], v3 = x->v[i + 3];
  SIMD_SUM(y0, y1, y2, y3)
  for (size_t j = 0; j < N; j++) {
    real t0 = S_0[j] * ew[j] + (s0 * b[j] + v0 * k[j]), t1 = S_1[j] * ew[j] + (s1 * b[j] + v1 * k[j]);
    real t2 = S_2[j] * ew[j] + (s2 * b[j] + v2 * k[j]), t3 = S_3[j] * ew[j] + (s3 * b[j] + v3 * k[j]);
    T_0[j] = t0, T_1[j] = t1, T_2[j] = t2, T_3[j] = t3;
    y0 += t0 * r[j];
    y1 += t1 * r[j];
    y2 += t2 * r[j];
    y3 += t3 * r[j];
  }
  sa[i] = s0, sa[i + 1] = s1, sa[i + 2] = s2, sa[i + 3] = s3;
  if (y) y[i] = y0, y[i + 1] = y1, y[i + 2] = y2, y[i + 3] = y3;
}

INLINE void step_row(real *S1, real *sa, real *y, const real *S, const Token *x, size_t i, size_t N)
{
  real s = 0, out = 0;
  SIMD_SUM(s)
  for (size_t j = 0; j < N; j++) s += S[i * N + j] * x->a[j];
  SIMD_SUM(out)
  for (size_t j = 0; j < N; j++) {
    real t = S[i * N + j] * x->ew[j] + (s * x->b[j] + x->v[i] * x->k[j]);
    S1[i * N + j] = t;
    out += t * x->r[j];
  }
  sa[i] = s;
  if (y) y[i] = out;
}

INLINE void step(real *S1, real *sa, real *y, const real *S, const Token *x, size_t N)
{
  size_t i = 0;
  for (; i + 4 <= N; i += 4) step_4_rows(S1, sa, y, S, x, i, N);
  for (; i < N; i++) step_row(S1, sa, y, S, x, i, N);
}

INLINE void decays(real *ew, const real *w, size_t N)
{
  for (size_t j = 0; j < N; j++) ew[j] = fast_exp(w[j]);
}

/* ---- forward ---- */

typedef struct {
  real *y, *S1, *segments;
  const real *r, *w, *k, *v, *a, *b, *S0;
  size_t T, H, N;
} Forward;

INLINE void forward_head(const Forward *q, size_t bh, size_t N)
{
  real ew[N_MAX], sa[N_MAX];
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT);
  real *S = q->S1 + bh * NN;
  memcpy(S, q->S0 + bh * NN, NN * sizeof *S);
  for (size_t t = 0; t < q->T; t++) {
    size_t at = ((bh / q->H * q->T + t) * q->H + bh % q->H) * N;
    if (q->segments && t % WKV_SEGMENT == 0)
      memcpy(q->segments + (bh * n_segments + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
    decays(ew, q->w + at, N);
    step(S, sa, q->y + at, S, &(Token){q->r + at, ew, q->k + at, q->v + at, q->a + at, q->b + at}, N);
  }
}

JOB static void wkv7_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->N == 64) forward_head(q, bh, 64);
    else forward_head(q, bh, q->N);
  }
}

void f_wkv7(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *a, const real *b, const real *S0, size_t B, size_t T, size_t H, size_t N)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv7(y, S1, segments, r, w, k, v, a, b, S0, B, T, H, N);
    return;
  }
  Forward q = {y, S1, segments, r, w, k, v, a, b, S0, T, H, N};
  fast_for(B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), wkv7_forward, &q);
}

/* ---- backward: the formulas of k_wkv7_backward, both directions of the state in one walk ---- */

typedef struct {
  const Wkv7Grads *out;
  real *scratch;
  const real *gy, *gS1, *segments, *r, *w, *k, *v, *a, *b;
  size_t T, H, N;
} Backward;

/* Sums down the columns of the state, over its rows i. */
typedef struct {
  real gyS[N_MAX], GS[N_MAX], Gv[N_MAX], Gsa[N_MAX], gsS[N_MAX];
} Columns;

/* One token, for the `rows` (4 or 1) rows from i. G: gradient by S1, left as the gradient by S. */
INLINE void back_4_rows(real *G, Columns *col, real *gv, const real *gy, const real *S, const real *sa,
                        const Token *x, size_t i, size_t N)
{
  const real *S_0 = S + i * N, *S_1 = S_0 + N, *S_2 = S_1 + N, *S_3 = S_2 + N;
  real *G_0 = G + i * N, *G_1 = G_0 + N, *G_2 = G_1 + N, *G_3 = G_2 + N;
  const real *r = x->r, *ew = x->ew, *k = x->k, *a = x->a, *b = x->b, *v = x->v + i;
  real h0 = gy[i], h1 = gy[i + 1], h2 = gy[i + 2], h3 = gy[i + 3];
  real s0 = 0, s1 = 0, s2 = 0, s3 = 0, v0 = 0, v1 = 0, v2 = 0, v3 = 0;
  SIMD_SUM(s0, s1, s2, s3, v0, v1, v2, v3)
  for (size_t j = 0; j < N; j++) { /* y = S1 r; along a row: by (S a)_i and by v_i */
    real g0 = G_0[j] + h0 * r[j], g1 = G_1[j] + h1 * r[j], g2 = G_2[j] + h2 * r[j], g3 = G_3[j] + h3 * r[j];
    G_0[j] = g0, G_1[j] = g1, G_2[j] = g2, G_3[j] = g3;
    s0 += g0 * b[j], s1 += g1 * b[j], s2 += g2 * b[j], s3 += g3 * b[j];
    v0 += g0 * k[j], v1 += g1 * k[j], v2 += g2 * k[j], v3 += g3 * k[j];
  }
  gv[i] = v0, gv[i + 1] = v1, gv[i + 2] = v2, gv[i + 3] = v3;
  v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3];
  real z0 = sa[i], z1 = sa[i + 1], z2 = sa[i + 2], z3 = sa[i + 3];
  SIMD
  for (size_t j = 0; j < N; j++) { /* down the columns, and G back through S1 = S diag(e^w) + (S a) b' + v k' */
    real g0 = G_0[j], g1 = G_1[j], g2 = G_2[j], g3 = G_3[j];
    real t0 = S_0[j], t1 = S_1[j], t2 = S_2[j], t3 = S_3[j];
    col->gyS[j] += (h0 * t0 + h1 * t1) + (h2 * t2 + h3 * t3);
    col->gsS[j] += (s0 * t0 + s1 * t1) + (s2 * t2 + s3 * t3);
    col->GS[j] += (g0 * t0 + g1 * t1) + (g2 * t2 + g3 * t3);
    col->Gv[j] += (g0 * v0 + g1 * v1) + (g2 * v2 + g3 * v3);
    col->Gsa[j] += (g0 * z0 + g1 * z1) + (g2 * z2 + g3 * z3);
    G_0[j] = g0 * ew[j] + s0 * a[j], G_1[j] = g1 * ew[j] + s1 * a[j];
    G_2[j] = g2 * ew[j] + s2 * a[j], G_3[j] = g3 * ew[j] + s3 * a[j];
  }
}

INLINE void back_row(real *G, Columns *col, real *gv, const real *gy, const real *S, const real *sa,
                     const Token *x, size_t i, size_t N)
{
  real s = 0, by_v = 0;
  G += i * N, S += i * N;
  SIMD_SUM(s, by_v)
  for (size_t j = 0; j < N; j++) {
    real g = G[j] + gy[i] * x->r[j];
    G[j] = g;
    s += g * x->b[j];
    by_v += g * x->k[j];
  }
  gv[i] = by_v;
  SIMD
  for (size_t j = 0; j < N; j++) {
    col->gyS[j] += gy[i] * S[j];
    col->gsS[j] += s * S[j];
    col->GS[j] += G[j] * S[j];
    col->Gv[j] += G[j] * x->v[i];
    col->Gsa[j] += G[j] * sa[i];
    G[j] = G[j] * x->ew[j] + s * x->a[j];
  }
}

INLINE void add_to(real *out, size_t at, const real *in, size_t N)
{
  for (size_t j = 0; out && j < N; j++) out[at + j] += in[j];
}

INLINE void step_back(real *G, const Wkv7Grads *out, size_t at, const real *gy, const real *S, const real *sa,
                      const Token *x, size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: neither it nor r may do anything */
  Token calm = *x;
  Columns col;
  real gv[N_MAX], gy_sa = 0, gy_v = 0;
  if (!gy) calm.r = zeros;
  const real *g = gy ? gy : zeros;
  for (size_t j = 0; j < N; j++) col.gyS[j] = col.GS[j] = col.Gv[j] = col.Gsa[j] = col.gsS[j] = 0;

  size_t i = 0;
  for (; i + 4 <= N; i += 4) back_4_rows(G, &col, gv, g, S, sa, &calm, i, N);
  for (; i < N; i++) back_row(G, &col, gv, g, S, sa, &calm, i, N);

  SIMD_SUM(gy_sa, gy_v)
  for (size_t j = 0; j < N; j++) gy_sa += g[j] * sa[j], gy_v += g[j] * x->v[j];
  for (size_t j = 0; j < N; j++) { /* S1' gy without S1 */
    col.gyS[j] = col.gyS[j] * x->ew[j] + (gy_sa * x->b[j] + gy_v * x->k[j]);
    col.GS[j] *= x->ew[j];
  }
  if (gy) add_to(out->r, at, col.gyS, N);
  add_to(out->w, at, col.GS, N);
  add_to(out->k, at, col.Gv, N);
  add_to(out->v, at, gv, N);
  add_to(out->a, at, col.gsS, N);
  add_to(out->b, at, col.Gsa, N);
}

/* scratch of a head: the gradient G [N,N], the states of one segment, S a at each of its steps */
INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT);
  real *G = q->scratch + bh * k_wkv7_scratch(N), *states = G + NN, *sa = states + (WKV_SEGMENT + 1) * NN;
  real ew[N_MAX];
  if (q->gS1) memcpy(G, q->gS1 + bh * NN, NN * sizeof *G);
  else memset(G, 0, NN * sizeof *G);
  for (size_t s = n_segments; s-- > 0;) {
    size_t first = s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, q->T - first);
    size_t start = ((bh / q->H * q->T + first) * q->H + bh % q->H) * N, stride = q->H * N;
    memcpy(states, q->segments + (bh * n_segments + s) * NN, NN * sizeof *states);
#define TOKEN(at) &(Token){q->r + at, ew, q->k + at, q->v + at, q->a + at, q->b + at}
    for (size_t n = 0; n < count; n++) { /* the states of this segment once more */
      size_t at = start + n * stride;
      decays(ew, q->w + at, N);
      step(states + (n + 1) * NN, sa + n * N, NULL, states + n * NN, TOKEN(at), N);
    }
    for (size_t n = count; n-- > 0;) {
      size_t at = start + n * stride;
      decays(ew, q->w + at, N);
      step_back(G, q->out, at, q->gy ? q->gy + at : NULL, states + n * NN, sa + n * N, TOKEN(at), N);
    }
#undef TOKEN
  }
  if (q->out->S0) add_to(q->out->S0, bh * NN, G, NN);
}

JOB static void wkv7_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->N == 64) backward_head(q, bh, 64);
    else backward_head(q, bh, q->N);
  }
}

void f_wkv7_backward(const Wkv7Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *a, const real *b,
                     size_t B, size_t T, size_t H, size_t N)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv7_backward(out, scratch, gy, gS1, segments, r, w, k, v, a, b, B, T, H, N);
    return;
  }
  Backward q = {out, scratch, gy, gS1, segments, r, w, k, v, a, b, T, H, N};
  fast_for(B * H, pieces(HEAVY, at_least_1(T * N * N)), wkv7_backward, &q);
}
