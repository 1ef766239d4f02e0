/* The selective scan of Mamba (Gu and Dao 2023, arXiv:2312.00752, section 3.2): per channel d a state h of N numbers,

     h_t = e^{delta_t A} h_{t-1} + delta_t B_t x_t        (eq. 2a; A by zero-order hold, B by Euler's step)
     y_t = C_t' h_t                                       (eq. 2b)

   A [D,N] <= 0 belongs to the channel, delta_t and x_t are one number a channel, B_t and C_t [N] are the same for
   all channels. The skip D x is outside. */
#include "kernels.h"
#include "elementary.h"

#include <math.h>
#include <string.h>

/* h1 may be h */
static void step(real *h1, const real *h, const real *x, const real *delta, const real *A, const real *Bm, size_t D,
                 size_t N)
{
  for (size_t d = 0; d < D; d++)
    for (size_t n = 0; n < N; n++) {
      acc decay = m_exp((acc)delta[d] * (acc)A[d * N + n]);
      h1[d * N + n] = (real)(decay * (acc)h[d * N + n] + (acc)delta[d] * (acc)Bm[n] * (acc)x[d]);
    }
}

void k_selective_scan(real *y, real *h1, real *segments, const real *x, const real *delta, const real *A,
                      const real *Bm, const real *Cm, const real *h0, size_t B, size_t T, size_t D, size_t N)
{
  size_t DN = D * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  memcpy(h1, h0, B * DN * sizeof *h1);
  for (size_t b = 0; b < B; b++) {
    real *h = h1 + b * DN;
    for (size_t t = 0; t < T; t++) {
      size_t row = b * T + t;
      if (segments && t % WKV_SEGMENT == 0)
        memcpy(segments + (b * n_segments + t / WKV_SEGMENT) * DN, h, DN * sizeof *h);
      step(h, h, x + row * D, delta + row * D, A, Bm + row * N, D, N);
      for (size_t d = 0; d < D; d++) {
        acc sum = 0;
        for (size_t n = 0; n < N; n++) sum += (acc)Cm[row * N + n] * (acc)h[d * N + n];
        y[row * D + d] = (real)sum;
      }
    }
  }
}

/* Per sequence: the gradient G by the state, the states of one segment (before each token, and after the last), and
   room for a faster kernel to sum up the gradient by A. */
size_t k_selective_scan_scratch(size_t D, size_t N) { return (3 + WKV_SEGMENT) * D * N; }

/* One token backwards: G enters as the gradient by the state h1 after it, and leaves as that by h before it. */
static void step_backward(real *G, const ScanGrads *out, size_t row, const real *gy, const real *h1, const real *h,
                          const real *x, const real *delta, const real *A, const real *Bm, const real *Cm, size_t D,
                          size_t N)
{
  x += row * D, delta += row * D, Bm += row * N, Cm += row * N;
  if (gy) gy += row * D;
  for (size_t n = 0; gy && out->C && n < N; n++) {
    acc gc = 0;
    for (size_t d = 0; d < D; d++) gc += (acc)gy[d] * (acc)h1[d * N + n];
    out->C[row * N + n] += (real)gc;
  }
  for (size_t d = 0; gy && d < D; d++)
    for (size_t n = 0; n < N; n++) G[d * N + n] += (real)((acc)gy[d] * (acc)Cm[n]);
  for (size_t n = 0; out->B && n < N; n++) {
    acc gb = 0;
    for (size_t d = 0; d < D; d++) gb += (acc)G[d * N + n] * (acc)delta[d] * (acc)x[d];
    out->B[row * N + n] += (real)gb;
  }
  for (size_t d = 0; d < D; d++) {
    acc dt = delta[d], gx = 0, gdelta = 0;
    for (size_t n = 0; n < N; n++) {
      size_t at = d * N + n;
      acc decay = m_exp(dt * (acc)A[at]), g = G[at], gexponent = g * decay * (acc)h[at];
      gx += g * dt * (acc)Bm[n];
      gdelta += gexponent * (acc)A[at] + g * (acc)Bm[n] * (acc)x[d];
      if (out->A) out->A[at] += (real)(gexponent * dt);
      G[at] = (real)(decay * g);
    }
    if (out->x) out->x[row * D + d] += (real)gx;
    if (out->delta) out->delta[row * D + d] += (real)gdelta;
  }
}

void k_selective_scan_backward(const ScanGrads *out, real *scratch, const real *gy, const real *gh1,
                               const real *segments, const real *x, const real *delta, const real *A, const real *Bm,
                               const real *Cm, size_t B, size_t T, size_t D, size_t N)
{
  size_t DN = D * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  for (size_t b = 0; b < B; b++) {
    real *G = scratch + b * k_selective_scan_scratch(D, N), *states = G + DN;
    for (size_t i = 0; i < DN; i++) G[i] = gh1 ? gh1[b * DN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t from = s * WKV_SEGMENT, count = T - from < WKV_SEGMENT ? T - from : WKV_SEGMENT;
      memcpy(states, segments + (b * n_segments + s) * DN, DN * sizeof *states);
      for (size_t i = 0; i < count; i++) { /* the states of this segment once more */
        size_t row = b * T + from + i;
        step(states + (i + 1) * DN, states + i * DN, x + row * D, delta + row * D, A, Bm + row * N, D, N);
      }
      for (size_t i = count; i-- > 0;)
        step_backward(G, out, b * T + from + i, gy, states + (i + 1) * DN, states + i * DN, x, delta, A, Bm, Cm, D, N);
    }
    for (size_t i = 0; out->h0 && i < DN; i++) out->h0[b * DN + i] += G[i];
  }
}
