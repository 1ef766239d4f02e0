/* The recurrence of RWKV-5 and RWKV-6: loops along the values i inside, four keys j at a time. The current
   token's own pair needs no state:  y = r' S + (sum_j r_j u_j k_j) v. */
#include "f_math.h"

#include <string.h>

enum { N_MAX = 256 }; /* of what stands on the stack; larger heads stay with the reference */

typedef struct {
  real *y, *S1, *segments;
  const real *r, *w, *k, *v, *u, *S0;
  size_t T, H, N, decay_rows;
} Forward;

INLINE const real *decay_at(const real *w, size_t row, size_t h, size_t decay_rows, size_t H, size_t N)
{
  return w + ((decay_rows == 1 ? 0 : row) * H + h) * N;
}

INLINE void decays(real *ew, const real *w, size_t N)
{
  for (size_t j = 0; j < N; j++) ew[j] = fast_exp(w[j]);
}

/* S1 = diag(e^w) S + k v' (S1 may be S); y = r' S where y is not NULL */
INLINE void step(real *S1, real *y, const real *S, const real *r, const real *ew, const real *k, const real *v,
                 size_t N)
{
  size_t j = 0;
  for (; j + 4 <= N; j += 4) {
    const real *S_0 = S + j * N, *S_1 = S_0 + N, *S_2 = S_1 + N, *S_3 = S_2 + N;
    real *T_0 = S1 + j * N, *T_1 = T_0 + N, *T_2 = T_1 + N, *T_3 = T_2 + N;
    real e0 = ew[j], e1 = ew[j + 1], e2 = ew[j + 2], e3 = ew[j + 3];
    real k0 = k[j], k1 = k[j + 1], k2 = k[j + 2], k3 = k[j + 3];
    if (y) {
      real r0 = r[j], r1 = r[j + 1], r2 = r[j + 2], r3 = r[j + 3];
      SIMD
      for (size_t i = 0; i < N; i++) y[i] += (r0 * S_0[i] + r1 * S_1[i]) + (r2 * S_2[i] + r3 * S_3[i]);
    }
    SIMD
    for (size_t i = 0; i < N; i++) {
      T_0[i] = e0 * S_0[i] + k0 * v[i];
      T_1[i] = e1 * S_1[i] + k1 * v[i];
      T_2[i] = e2 * S_2[i] + k2 * v[i];
      T_3[i] = e3 * S_3[i] + k3 * v[i];
    }
  }
  for (; j < N; j++) {
    SIMD
    for (size_t i = 0; i < N; i++) {
      real s = S[j * N + i];
      if (y) y[i] += r[j] * s;
      S1[j * N + i] = ew[j] * s + k[j] * v[i];
    }
  }
}

INLINE void forward_head(const Forward *q, size_t bh, size_t N)
{
  real ew[N_MAX], y[N_MAX];
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT), b = bh / q->H, h = bh % q->H;
  real *S = q->S1 + bh * NN;
  memcpy(S, q->S0 + bh * NN, NN * sizeof *S);
  for (size_t t = 0; t < q->T; t++) {
    size_t row = b * q->T + t, at = (row * q->H + h) * N;
    const real *r = q->r + at, *k = q->k + at, *v = q->v + at, *u = q->u + h * N;
    if (q->segments && t % WKV_SEGMENT == 0)
      memcpy(q->segments + (bh * n_segments + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
    decays(ew, decay_at(q->w, row, h, q->decay_rows, q->H, N), N);
    real own = 0;
    SIMD_SUM(own)
    for (size_t j = 0; j < N; j++) own += r[j] * u[j] * k[j];
    for (size_t i = 0; i < N; i++) y[i] = own * v[i];
    step(S, y, S, r, ew, k, v, N);
    memcpy(q->y + at, y, N * sizeof *y);
  }
}

JOB static void wkv6_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->N == 64) forward_head(q, bh, 64);
    else forward_head(q, bh, q->N);
  }
}

void f_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv6(y, S1, segments, r, w, k, v, u, S0, B, T, H, N, decay_rows);
    return;
  }
  Forward q = {y, S1, segments, r, w, k, v, u, S0, T, H, N, decay_rows};
  fast_for(B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), wkv6_forward, &q);
}

/* ---- backward: the formulas of k_wkv6_backward ---- */

typedef struct {
  const Wkv6Grads *out;
  real *scratch;
  const real *gy, *gS1, *segments, *r, *w, *k, *v, *u;
  size_t T, H, N, decay_rows;
} Backward;

/* Along the values i, for each key j; and gv [N] down the keys. */
typedef struct {
  real gyS[N_MAX], Gv[N_MAX], GS[N_MAX], gv[N_MAX];
} Sums;

INLINE void back_keys(real *G, Sums *sum, const real *gy, const real *S, const real *r, const real *ew,
                      const real *k, const real *v, size_t N)
{
  for (size_t j = 0; j < N; j++) {
    real gyS = 0, Gv = 0, GS = 0, rj = r[j], e = ew[j], kj = k[j];
    real *row = G + j * N, *gv = sum->gv;
    const real *s = S + j * N;
    SIMD_SUM(gyS, Gv, GS)
    for (size_t i = 0; i < N; i++) {
      real g = row[i];
      gyS += gy[i] * s[i];
      Gv += g * v[i];
      GS += g * s[i];
      gv[i] += g * kj;
      row[i] = e * g + gy[i] * rj;
    }
    sum->gyS[j] = gyS, sum->Gv[j] = Gv, sum->GS[j] = GS;
  }
}

/* gu, gw: what u, and a decay that is the same for all tokens, collect over time */
INLINE void step_back(real *G, acc *gu, acc *gw, const Backward *q, size_t row, size_t h, const real *S, size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: then r plays no part either */
  Sums sum;
  real ew[N_MAX], own = 0, gy_v = 0;
  size_t at = (row * q->H + h) * N;
  const real *r = q->gy ? q->r + at : zeros, *gy = q->gy ? q->gy + at : zeros;
  const real *k = q->k + at, *v = q->v + at, *u = q->gy ? q->u + h * N : zeros;
  decays(ew, decay_at(q->w, row, h, q->decay_rows, q->H, N), N);
  for (size_t i = 0; i < N; i++) sum.gv[i] = 0;
  back_keys(G, &sum, gy, S, r, ew, k, v, N);

  SIMD_SUM(own, gy_v)
  for (size_t j = 0; j < N; j++) own += r[j] * u[j] * k[j], gy_v += gy[j] * v[j];
  const Wkv6Grads *out = q->out;
  for (size_t j = 0; out->r && q->gy && j < N; j++) out->r[at + j] += sum.gyS[j] + u[j] * k[j] * gy_v;
  for (size_t j = 0; out->k && j < N; j++) out->k[at + j] += sum.Gv[j] + r[j] * u[j] * gy_v;
  for (size_t j = 0; out->v && j < N; j++) out->v[at + j] += sum.gv[j] + gy[j] * own;
  for (size_t j = 0; q->gy && j < N; j++) gu[j] += (acc)(gy_v * r[j] * k[j]);
  for (size_t j = 0; j < N; j++) gw[j] += (acc)(sum.GS[j] * ew[j]);
  for (size_t j = 0; out->w && q->decay_rows > 1 && j < N; j++) out->w[at + j] += sum.GS[j] * ew[j];
}

/* scratch of a head: the gradient G [N,N] and the states of one segment; afterwards gu and gw */
INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT), b = bh / q->H, h = bh % q->H;
  real *G = q->scratch + bh * k_wkv6_scratch(N), *states = G + NN, ew[N_MAX];
  acc gu[N_MAX] = {0}, gw[N_MAX] = {0};
  if (q->gS1) memcpy(G, q->gS1 + bh * NN, NN * sizeof *G);
  else memset(G, 0, NN * sizeof *G);
  for (size_t s = n_segments; s-- > 0;) {
    size_t from = b * q->T + s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, q->T - s * WKV_SEGMENT);
    memcpy(states, q->segments + (bh * n_segments + s) * NN, NN * sizeof *states);
    for (size_t n = 1; n < count; n++) { /* the states of this segment once more */
      size_t at = ((from + n - 1) * q->H + h) * N;
      decays(ew, decay_at(q->w, from + n - 1, h, q->decay_rows, q->H, N), N);
      step(states + n * NN, NULL, states + (n - 1) * NN, NULL, ew, q->k + at, q->v + at, N);
    }
    for (size_t n = count; n-- > 0;) step_back(G, gu, gw, q, from + n, h, states + n * NN, N);
  }
  for (size_t i = 0; q->out->S0 && i < NN; i++) q->out->S0[bh * NN + i] += G[i];
  for (size_t j = 0; j < N; j++) G[j] = (real)gu[j], G[N + j] = (real)gw[j];
}

JOB static void wkv6_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->N == 64) backward_head(q, bh, 64);
    else backward_head(q, bh, q->N);
  }
}

/* out [H,N] += what the sequences have left `at` numbers into their scratch, in their order */
static void collect(real *out, const real *scratch, size_t at, size_t B, size_t H, size_t N)
{
  for (size_t c = 0; out && c < H * N; c++) {
    acc sum = 0;
    for (size_t b = 0; b < B; b++) sum += (acc)scratch[(b * H + c / N) * k_wkv6_scratch(N) + at + c % N];
    out[c] += (real)sum;
  }
}

void f_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows)
{
  fast_settle();
  if (N > N_MAX) {
    k_wkv6_backward(out, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows);
    return;
  }
  Backward q = {out, scratch, gy, gS1, segments, r, w, k, v, u, T, H, N, decay_rows};
  fast_for(B * H, pieces(HEAVY, at_least_1(T * N * N)), wkv6_backward, &q);
  if (gy) collect(out->u, scratch, 0, B, H, N);
  if (decay_rows == 1) collect(out->w, scratch, N, B, H, N);
}
