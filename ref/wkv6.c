/* The recurrence of RWKV-5 and RWKV-6, per head, with a state S [N key j, N value i]:

     y_t = r' (S_{t-1} + diag(u) k v')        [v5.4]
     S_t = diag(e^w) S_{t-1} + k v'           [v5.5]

   w is the log-decay (<= 0): constant in time in RWKV-5 (decay_rows = 1), one for every token in RWKV-6
   (decay_rows = B T). Token t's own pair is not decayed when it is read or stored. */
#include "engine/k_wkv.h"
#include "engine/elementary.h"

#include <math.h>
#include <string.h>

static void step(real *S, const real *w, const real *k, const real *v, size_t N)
{
  for (size_t j = 0; j < N; j++) {
    acc decay = m_exp((acc)w[j]);
    for (size_t i = 0; i < N; i++) S[j * N + i] = (real)(decay * (acc)S[j * N + i] + (acc)k[j] * (acc)v[i]);
  }
}

static const real *decay_at(const Wkv6 *op, size_t row, size_t h)
{
  return op->w + ((op->decay_rows == 1 ? 0 : row) * op->H + h) * op->N;
}

void k_wkv6(const Wkv6 *op)
{
  size_t B = op->B, T = op->T, H = op->H, N = op->N, NN = N * N;
  memcpy(op->S1, op->S0, B * H * NN * sizeof *op->S1);
  for (size_t b = 0; b < B; b++)
    for (size_t h = 0; h < H; h++) {
      real *S = op->S1 + (b * H + h) * NN;
      for (size_t t = 0; t < T; t++) {
        size_t row = b * T + t, at = (row * H + h) * N;
        const real *r = op->r + at, *k = op->k + at, *v = op->v + at, *u = op->u + h * N;
        if (op->segments && t % WKV_SEGMENT == 0)
          memcpy(op->segments + ((b * H + h) * k_segments(T) + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
        for (size_t i = 0; i < N; i++) {
          acc sum = 0;
          for (size_t j = 0; j < N; j++) sum += (acc)r[j] * ((acc)S[j * N + i] + (acc)u[j] * (acc)k[j] * (acc)v[i]);
          op->y[at + i] = (real)sum;
        }
        step(S, decay_at(op, row, h), k, v, N);
      }
    }
}

/* One token backwards: S is the state before it, G enters as the gradient by the state after it. */
static void step_backward(const Wkv6Backward *op, real *G, const real *S, size_t row, size_t h)
{
  const Wkv6 *f = &op->forward;
  size_t N = f->N, at = (row * f->H + h) * N, w_at = f->decay_rows == 1 ? h * N : at;
  const real *gy = op->gy, *u = f->u + h * N, *r = f->r + at, *k = f->k + at, *v = f->v + at;
  for (size_t i = 0; op->gv && i < N; i++) {
    acc gv = 0;
    for (size_t j = 0; j < N; j++) {
      acc read = gy ? (acc)gy[at + i] * (acc)r[j] * (acc)u[j] : 0;
      gv += ((acc)G[j * N + i] + read) * (acc)k[j];
    }
    op->gv[at + i] += (real)gv;
  }
  for (size_t j = 0; j < N; j++) {
    acc decay = m_exp((acc)f->w[w_at + j]), gr = 0, gw = 0, gk = 0, gu = 0;
    acc rj = r[j], uj = u[j], kj = k[j];
    for (size_t i = 0; i < N; i++) {
      acc g = gy ? (acc)gy[at + i] : 0, s = S[j * N + i], vi = v[i];
      gr += g * (s + uj * kj * vi);
      gu += g * rj * kj * vi;
      gk += ((acc)G[j * N + i] + g * rj * uj) * vi;
      gw += (acc)G[j * N + i] * s;
      G[j * N + i] = (real)(decay * (acc)G[j * N + i] + g * rj);
    }
    if (op->gr) op->gr[at + j] += (real)gr;
    if (op->gk) op->gk[at + j] += (real)gk;
    if (op->gu) op->gu[h * N + j] += (real)gu;
    if (op->gw) op->gw[w_at + j] += (real)(gw * decay);
  }
}

void k_wkv6_backward(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  size_t T = f->T, H = f->H, N = f->N, NN = N * N, n_segments = k_segments(T);
  for (size_t bh = 0; bh < f->B * H; bh++) {
    size_t b = bh / H, h = bh % H;
    real *G = op->scratch + bh * (1 + WKV_SEGMENT) * NN, *states = G + NN; /* by the state; those of one segment */
    for (size_t i = 0; i < NN; i++) G[i] = op->gS1 ? op->gS1[bh * NN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t from = s * WKV_SEGMENT, count = T - from < WKV_SEGMENT ? T - from : WKV_SEGMENT;
      memcpy(states, f->segments + (bh * n_segments + s) * NN, NN * sizeof *states);
      for (size_t n = 1; n < count; n++) { /* the states of this segment once more */
        size_t row = b * T + from + n - 1, at = (row * H + h) * N;
        memcpy(states + n * NN, states + (n - 1) * NN, NN * sizeof *states);
        step(states + n * NN, decay_at(f, row, h), f->k + at, f->v + at, N);
      }
      for (size_t n = count; n-- > 0;) step_backward(op, G, states + n * NN, b * T + from + n, h);
    }
    for (size_t i = 0; op->gS0 && i < NN; i++) op->gS0[bh * NN + i] += G[i];
  }
}
