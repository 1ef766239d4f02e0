/* The selective scan: loops along a channel's state n inside. */
#include "f_math.h"

#include <string.h>

enum {
  LANE = 16,  /* channels of one piece */
  N_MAX = 256 /* of what stands on the stack; larger states stay with the reference */
};

/* One channel: h1 = e^{delta A} h + delta B x (h1 may be h) */
INLINE void step(real *h1, const real *h, real x, real delta, const real *A, const real *Bm, size_t N)
{
  real in = delta * x;
  SIMD
  for (size_t n = 0; n < N; n++) h1[n] = fast_exp(delta * A[n]) * h[n] + in * Bm[n];
}

/* Channels d0 .. d0 + count of sequence b */
INLINE void forward_lanes(const SelectiveScan *q, size_t b, size_t d0, size_t count, size_t N)
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
  const SelectiveScan *q = arg;
  size_t across = pieces(q->D, LANE);
  for (size_t i = from; i < to; i++) {
    size_t d0 = i % across * LANE, count = smaller(LANE, q->D - d0);
    if (q->N == 16) forward_lanes(q, i / across, d0, count, 16);
    else forward_lanes(q, i / across, d0, count, q->N);
  }
}

void f_selective_scan(const SelectiveScan *q)
{
  fast_flush();
  memcpy(q->h1, q->h0, q->B * q->D * q->N * sizeof *q->h1);
  fast_for(q->B * pieces(q->D, LANE), pieces(HEAVY, at_least_1(q->T * LANE * q->N)), scan_forward, q);
}

/* ---- backward: the formulas of k_selective_scan_backward ---- */

/* Room a sequence: the gradient G by the state, the sums gA, then the states of one segment. */
typedef struct {
  SelectiveScanBackward op;
  real *room;
} Backward;

INLINE size_t room_of(const SelectiveScan *q) { return (3 + WKV_SEGMENT) * q->D * q->N; }

/* gA [D,N]: what A collects over time */
INLINE void step_back(real *G, real *gA, const SelectiveScanBackward *op, size_t row, const real *h1, const real *h,
                      size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: then C plays no part either */
  const SelectiveScan *q = &op->forward;
  real gb[N_MAX], gc[N_MAX];
  const real *Bm = q->Bm + row * N, *Cm = op->gy ? q->Cm + row * N : zeros;
  for (size_t n = 0; n < N; n++) gb[n] = gc[n] = 0;
  for (size_t d = 0; d < q->D; d++) {
    size_t at = row * q->D + d;
    const real *A = q->A + d * N, *hd = h + d * N, *h1d = h1 + d * N;
    real *Gd = G + d * N, *gAd = gA + d * N;
    real delta = q->delta[at], x = q->x[at], gy = op->gy ? op->gy[at] : 0, in = delta * x, gin = 0, gdelta = 0;
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
    if (op->gx) op->gx[at] += gin * delta;
    if (op->gdelta) op->gdelta[at] += gdelta + gin * x;
  }
  for (size_t n = 0; op->gB && n < N; n++) op->gB[row * N + n] += gb[n];
  for (size_t n = 0; op->gC && op->gy && n < N; n++) op->gC[row * N + n] += gc[n];
}

INLINE void backward_sequence(const Backward *all, size_t b, size_t N)
{
  const SelectiveScanBackward *op = &all->op;
  const SelectiveScan *q = &op->forward;
  size_t D = q->D, DN = D * N, n_segments = pieces(q->T, WKV_SEGMENT);
  real *G = all->room + b * room_of(q), *gA = G + DN, *states = gA + DN;
  if (op->gh1) memcpy(G, op->gh1 + b * DN, DN * sizeof *G);
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
    for (size_t i = count; i-- > 0;) step_back(G, gA, op, from + i, states + (i + 1) * DN, states + i * DN, N);
  }
  for (size_t i = 0; op->gh0 && i < DN; i++) op->gh0[b * DN + i] += G[i];
}

JOB static void scan_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t b = from; b < to; b++) {
    if (q->op.forward.N == 16) backward_sequence(q, b, 16);
    else backward_sequence(q, b, q->op.forward.N);
  }
}

/* Over sequences: B and C collect from all channels. */
void f_selective_scan_backward(const SelectiveScanBackward *op)
{
  const SelectiveScan *f = &op->forward;
  size_t DN = f->D * f->N;
  if (f->N > N_MAX) {
    fast_reference(OP_selective_scan_backward, op);
    return;
  }
  fast_flush();
  Backward q = {*op, fast_memory(f->B * room_of(f) * sizeof(real))};
  fast_for(f->B, pieces(HEAVY, at_least_1(f->T * DN)), scan_backward, &q);
  for (size_t i = 0; op->gA && i < DN; i++) {
    acc sum = 0;
    for (size_t b = 0; b < f->B; b++) sum += (acc)q.room[b * room_of(f) + DN + i];
    op->gA[i] += (real)sum;
  }
}
