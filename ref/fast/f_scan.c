/* The selective scan: loops along a channel's state n inside. */
#include "f_math.h"

#include <string.h>

enum {
  LANE = 16,  /* channels of one piece */
  N_MAX = 256 /* of what stands on the stack; larger states stay with the reference */
};

typedef struct {
  real *y, *h1, *segments;
  const real *x, *delta, *A, *Bm, *Cm;
  size_t T, D, N;
} Forward;

/* One channel: h1 = e^{delta A} h + delta B x (h1 may be h) */
INLINE void step(real *h1, const real *h, real x, real delta, const real *A, const real *Bm, size_t N)
{
  real in = delta * x;
  SIMD
  for (size_t n = 0; n < N; n++) h1[n] = fast_exp(delta * A[n]) * h[n] + in * Bm[n];
}

/* Channels d0 .. d0 + count of sequence b */
INLINE void forward_lanes(const Forward *q, size_t b, size_t d0, size_t count, size_t N)
{
  size_t D = q->D, n_segments = pieces(q->T, WKV_SEGMENT);
  real *h = q->h1 + (b * D + d0) * N;
  for (size_t t = 0; t < q->T; t++) {
    size_t row = b * q->T + t;
    const real *Bm = q->Bm + row * N, *Cm = q->Cm + row * N;
    if (q->segments && t % WKV_SEGMENT == 0)
      memcpy(q->segments + ((b * n_segments + t / WKV_SEGMENT) * D + d0) * N, h, count * N * sizeof *h);
    for (size_t i = 0; i < count; i++) {
      size_t at = row * D + d0 + i;
      real *hi = h + i * N, sum = 0;
      step(hi, hi, q->x[at], q->delta[at], q->A + (d0 + i) * N, Bm, N);
      SIMD_SUM(sum)
      for (size_t n = 0; n < N; n++) sum += Cm[n] * hi[n];
      q->y[at] = sum;
    }
  }
}

JOB static void scan_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  size_t across = pieces(q->D, LANE);
  for (size_t i = from; i < to; i++) {
    size_t d0 = i % across * LANE, count = smaller(LANE, q->D - d0);
    if (q->N == 16) forward_lanes(q, i / across, d0, count, 16);
    else forward_lanes(q, i / across, d0, count, q->N);
  }
}

void f_selective_scan(real *y, real *h1, real *segments, const real *x, const real *delta, const real *A,
                      const real *Bm, const real *Cm, const real *h0, size_t B, size_t T, size_t D, size_t N)
{
  fast_settle();
  Forward q = {y, h1, segments, x, delta, A, Bm, Cm, T, D, N};
  memcpy(h1, h0, B * D * N * sizeof *h1);
  fast_for(B * pieces(D, LANE), pieces(HEAVY, at_least_1(T * LANE * N)), scan_forward, &q);
}

/* ---- backward: the formulas of k_selective_scan_backward ---- */

typedef struct {
  const ScanGrads *out;
  real *scratch;
  const real *gy, *gh1, *segments, *x, *delta, *A, *Bm, *Cm;
  size_t T, D, N;
} Backward;

/* gA [D,N]: what A collects over time */
INLINE void step_back(real *G, real *gA, const Backward *q, size_t row, const real *h1, const real *h, size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: then C plays no part either */
  real gb[N_MAX], gc[N_MAX];
  const ScanGrads *out = q->out;
  const real *Bm = q->Bm + row * N, *Cm = q->gy ? q->Cm + row * N : zeros;
  for (size_t n = 0; n < N; n++) gb[n] = gc[n] = 0;
  for (size_t d = 0; d < q->D; d++) {
    size_t at = row * q->D + d;
    const real *A = q->A + d * N, *hd = h + d * N, *h1d = h1 + d * N;
    real *Gd = G + d * N, *gAd = gA + d * N;
    real delta = q->delta[at], x = q->x[at], gy = q->gy ? q->gy[at] : 0, in = delta * x, gin = 0, gdelta = 0;
    SIMD_SUM(gin, gdelta)
    for (size_t n = 0; n < N; n++) {
      real decay = fast_exp(delta * A[n]), g = Gd[n] + gy * Cm[n], gexponent = g * decay * hd[n];
      gc[n] += gy * h1d[n];
      gb[n] += g * in;
      gin += g * Bm[n];
      gdelta += gexponent * A[n];
      gAd[n] += gexponent * delta;
      Gd[n] = decay * g;
    }
    if (out->x) out->x[at] += gin * delta;
    if (out->delta) out->delta[at] += gdelta + gin * x;
  }
  for (size_t n = 0; out->B && n < N; n++) out->B[row * N + n] += gb[n];
  for (size_t n = 0; out->C && q->gy && n < N; n++) out->C[row * N + n] += gc[n];
}

/* scratch of a sequence: the gradient G, the sums gA, then the states of one segment */
INLINE void backward_sequence(const Backward *q, size_t b, size_t N)
{
  size_t D = q->D, DN = D * N, n_segments = pieces(q->T, WKV_SEGMENT);
  real *G = q->scratch + b * k_selective_scan_scratch(D, N), *gA = G + DN, *states = gA + DN;
  if (q->gh1) memcpy(G, q->gh1 + b * DN, DN * sizeof *G);
  else memset(G, 0, DN * sizeof *G);
  memset(gA, 0, DN * sizeof *gA);
  for (size_t s = n_segments; s-- > 0;) {
    size_t from = b * q->T + s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, q->T - s * WKV_SEGMENT);
    memcpy(states, q->segments + (b * n_segments + s) * DN, DN * sizeof *states);
    for (size_t i = 0; i < count; i++) /* the states of this segment once more */
      for (size_t d = 0; d < D; d++) {
        size_t row = from + i, at = row * D + d;
        const real *h = states + i * DN + d * N;
        step(states + (i + 1) * DN + d * N, h, q->x[at], q->delta[at], q->A + d * N, q->Bm + row * N, N);
      }
    for (size_t i = count; i-- > 0;) step_back(G, gA, q, from + i, states + (i + 1) * DN, states + i * DN, N);
  }
  for (size_t i = 0; q->out->h0 && i < DN; i++) q->out->h0[b * DN + i] += G[i];
}

JOB static void scan_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t b = from; b < to; b++) {
    if (q->N == 16) backward_sequence(q, b, 16);
    else backward_sequence(q, b, q->N);
  }
}

/* Over sequences: B and C collect from all channels. */
void f_selective_scan_backward(const ScanGrads *out, real *scratch, const real *gy, const real *gh1,
                               const real *segments, const real *x, const real *delta, const real *A, const real *Bm,
                               const real *Cm, size_t B, size_t T, size_t D, size_t N)
{
  fast_settle();
  if (N > N_MAX) {
    k_selective_scan_backward(out, scratch, gy, gh1, segments, x, delta, A, Bm, Cm, B, T, D, N);
    return;
  }
  Backward q = {out, scratch, gy, gh1, segments, x, delta, A, Bm, Cm, T, D, N};
  fast_for(B, pieces(HEAVY, at_least_1(T * D * N)), scan_backward, &q);
  for (size_t i = 0; out->A && i < D * N; i++) {
    acc sum = 0;
    for (size_t b = 0; b < B; b++) sum += (acc)scratch[b * k_selective_scan_scratch(D, N) + D * N + i];
    out->A[i] += (real)sum;
  }
}
