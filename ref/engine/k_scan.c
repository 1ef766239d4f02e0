/* The selective scan of Mamba (Gu and Dao 2023, arXiv:2312.00752, section 3.2): per channel d a state h of N numbers,

     h_t = e^{delta_t A} h_{t-1} + delta_t B_t x_t        (eq. 2a; A by zero-order hold, B by Euler's step)
     y_t = C_t' h_t                                       (eq. 2b)

   A [D,N] <= 0 belongs to the channel, delta_t and x_t are one number a channel, B_t and C_t [N] are the same for
   all channels. The skip D x is outside. */
#include "k_scan.h"
#include "elementary.h"

#include <math.h>
#include <string.h>

/* The token of a row: h -> h1, which may be h. */
static void step(const SelectiveScan *op, size_t row, real *h1, const real *h)
{
  size_t D = op->D, N = op->N;
  const real *x = op->x + row * D, *delta = op->delta + row * D, *Bm = op->Bm + row * N;
  for (size_t d = 0; d < D; d++)
    for (size_t n = 0; n < N; n++) {
      acc decay = m_exp((acc)delta[d] * (acc)op->A[d * N + n]);
      h1[d * N + n] = (real)(decay * (acc)h[d * N + n] + (acc)delta[d] * (acc)Bm[n] * (acc)x[d]);
    }
}

void k_selective_scan(const SelectiveScan *op)
{
  size_t B = op->B, T = op->T, D = op->D, N = op->N;
  size_t DN = D * N, n_segments = k_segments(T);
  memcpy(op->h1, op->h0, B * DN * sizeof *op->h1);
  for (size_t b = 0; b < B; b++) {
    real *h = op->h1 + b * DN;
    for (size_t t = 0; t < T; t++) {
      size_t row = b * T + t;
      if (op->segments && t % WKV_SEGMENT == 0)
        memcpy(op->segments + (b * n_segments + t / WKV_SEGMENT) * DN, h, DN * sizeof *h);
      step(op, row, h, h);
      for (size_t d = 0; d < D; d++) {
        acc sum = 0;
        for (size_t n = 0; n < N; n++) sum += (acc)op->Cm[row * N + n] * (acc)h[d * N + n];
        op->y[row * D + d] = (real)sum;
      }
    }
  }
}

/* One token backwards: G enters as the gradient by the state h1 after it, and leaves as that by h before it. */
static void step_backward(const SelectiveScanBackward *op, size_t row, real *G, const real *h1, const real *h)
{
  const SelectiveScan *f = &op->forward;
  size_t D = f->D, N = f->N;
  const real *x = f->x + row * D, *delta = f->delta + row * D, *A = f->A, *Bm = f->Bm + row * N, *Cm = f->Cm + row * N;
  const real *gy = op->gy ? op->gy + row * D : NULL;
  for (size_t n = 0; gy && op->gC && n < N; n++) {
    acc gc = 0;
    for (size_t d = 0; d < D; d++) gc += (acc)gy[d] * (acc)h1[d * N + n];
    op->gC[row * N + n] += (real)gc;
  }
  for (size_t d = 0; gy && d < D; d++)
    for (size_t n = 0; n < N; n++) G[d * N + n] += (real)((acc)gy[d] * (acc)Cm[n]);
  for (size_t n = 0; op->gB && n < N; n++) {
    acc gb = 0;
    for (size_t d = 0; d < D; d++) gb += (acc)G[d * N + n] * (acc)delta[d] * (acc)x[d];
    op->gB[row * N + n] += (real)gb;
  }
  for (size_t d = 0; d < D; d++) {
    acc dt = delta[d], gx = 0, gdelta = 0;
    for (size_t n = 0; n < N; n++) {
      size_t at = d * N + n;
      acc decay = m_exp(dt * (acc)A[at]), g = G[at], gexponent = g * decay * (acc)h[at];
      gx += g * dt * (acc)Bm[n];
      gdelta += gexponent * (acc)A[at] + g * (acc)Bm[n] * (acc)x[d];
      if (op->gA) op->gA[at] += (real)(gexponent * dt);
      G[at] = (real)(decay * g);
    }
    if (op->gx) op->gx[row * D + d] += (real)gx;
    if (op->gdelta) op->gdelta[row * D + d] += (real)gdelta;
  }
}

void k_selective_scan_backward(const SelectiveScanBackward *op)
{
  const SelectiveScan *f = &op->forward;
  size_t T = f->T, D = f->D, N = f->N;
  size_t DN = D * N, n_segments = k_segments(T);
  for (size_t b = 0; b < f->B; b++) {
    real *G = op->scratch + b * (2 + WKV_SEGMENT) * DN, *states = G + DN; /* before each token, and after the last */
    for (size_t i = 0; i < DN; i++) G[i] = op->gh1 ? op->gh1[b * DN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t from = s * WKV_SEGMENT, count = T - from < WKV_SEGMENT ? T - from : WKV_SEGMENT;
      memcpy(states, f->segments + (b * n_segments + s) * DN, DN * sizeof *states);
      for (size_t i = 0; i < count; i++) { /* the states of this segment once more */
        size_t row = b * T + from + i;
        step(f, row, states + (i + 1) * DN, states + i * DN);
      }
      for (size_t i = count; i-- > 0;) step_backward(op, b * T + from + i, G, states + (i + 1) * DN, states + i * DN);
    }
    for (size_t i = 0; op->gh0 && i < DN; i++) op->gh0[b * DN + i] += G[i];
  }
}
