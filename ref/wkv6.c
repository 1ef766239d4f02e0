/* The recurrence of RWKV-5 and RWKV-6, per head, with a state S [N key j, N value i]:

     y_t = r' (S_{t-1} + diag(u) k v')        [v5.4]
     S_t = diag(e^w) S_{t-1} + k v'           [v5.5]

   w is the log-decay (<= 0): constant in time in RWKV-5 (decay_rows = 1), one for every token in RWKV-6
   (decay_rows = B T). Token t's own pair is not decayed when it is read or stored. */
#include "engine/kernels.h"
#include "engine/elementary.h"

#include <math.h>
#include <string.h>

static void step(real *S, const real *w, const real *k, const real *v, size_t N)
{
  for (size_t j = 0; j < N; j++) {
    acc decay = m_exp((acc)w[j]);
    for (size_t i = 0; i < N; i++)
      S[j * N + i] = (real)(decay * (acc)S[j * N + i] + (acc)k[j] * (acc)v[i]);
  }
}

static const real *decay_at(const real *w, size_t row, size_t h, size_t decay_rows, size_t H, size_t N)
{
  return w + ((decay_rows == 1 ? 0 : row) * H + h) * N;
}

void k_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows)
{
  size_t NN = N * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  memcpy(S1, S0, B * H * NN * sizeof *S1);
  for (size_t b = 0; b < B; b++)
    for (size_t h = 0; h < H; h++) {
      real *S = S1 + (b * H + h) * NN;
      for (size_t t = 0; t < T; t++) {
        size_t row = b * T + t, at = (row * H + h) * N;
        if (segments && t % WKV_SEGMENT == 0)
          memcpy(segments + ((b * H + h) * n_segments + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
        for (size_t i = 0; i < N; i++) {
          acc sum = 0;
          for (size_t j = 0; j < N; j++)
            sum += (acc)r[at + j] * ((acc)S[j * N + i] + (acc)u[h * N + j] * (acc)k[at + j] * (acc)v[at + i]);
          y[at + i] = (real)sum;
        }
        step(S, decay_at(w, row, h, decay_rows, H, N), k + at, v + at, N);
      }
    }
}

/* Per head: the gradient G by the state, the states of one segment, and room for a faster kernel to sum up
   gradients by u and w. */
size_t k_wkv6_scratch(size_t N) { return (1 + WKV_SEGMENT) * N * N + 2 * N; }

/* One token backwards: S is the state before it, G enters as the gradient by the state after it. */
static void step_backward(real *G, const Wkv6Grads *out, size_t at, size_t w_at, const real *gy, const real *S,
                          const real *r, const real *w, const real *k, const real *v, const real *u,
                          size_t u_at, size_t N)
{
  for (size_t i = 0; out->v && i < N; i++) {
    acc gv = 0;
    for (size_t j = 0; j < N; j++) {
      acc read = gy ? (acc)gy[at + i] * (acc)r[at + j] * (acc)u[u_at + j] : 0;
      gv += ((acc)G[j * N + i] + read) * (acc)k[at + j];
    }
    out->v[at + i] += (real)gv;
  }
  for (size_t j = 0; j < N; j++) {
    acc decay = m_exp((acc)w[w_at + j]), gr = 0, gw = 0, gk = 0, gu = 0;
    acc rj = r[at + j], uj = u[u_at + j], kj = k[at + j];
    for (size_t i = 0; i < N; i++) {
      acc g = gy ? (acc)gy[at + i] : 0, s = S[j * N + i], vi = v[at + i];
      gr += g * (s + uj * kj * vi);
      gu += g * rj * kj * vi;
      gk += ((acc)G[j * N + i] + g * rj * uj) * vi;
      gw += (acc)G[j * N + i] * s;
      G[j * N + i] = (real)(decay * (acc)G[j * N + i] + g * rj);
    }
    if (out->r) out->r[at + j] += (real)gr;
    if (out->k) out->k[at + j] += (real)gk;
    if (out->u) out->u[u_at + j] += (real)gu;
    if (out->w) out->w[w_at + j] += (real)(gw * decay);
  }
}

void k_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows)
{
  size_t NN = N * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  for (size_t bh = 0; bh < B * H; bh++) {
    size_t b = bh / H, h = bh % H;
    real *G = scratch + bh * k_wkv6_scratch(N), *states = G + NN;
    for (size_t i = 0; i < NN; i++) G[i] = gS1 ? gS1[bh * NN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t from = s * WKV_SEGMENT, count = T - from < WKV_SEGMENT ? T - from : WKV_SEGMENT;
      memcpy(states, segments + (bh * n_segments + s) * NN, NN * sizeof *states);
      for (size_t n = 1; n < count; n++) { /* the states of this segment once more */
        size_t row = b * T + from + n - 1, at = (row * H + h) * N;
        memcpy(states + n * NN, states + (n - 1) * NN, NN * sizeof *states);
        step(states + n * NN, decay_at(w, row, h, decay_rows, H, N), k + at, v + at, N);
      }
      for (size_t n = count; n-- > 0;) {
        size_t row = b * T + from + n, at = (row * H + h) * N;
        size_t w_at = (size_t)(decay_at(w, row, h, decay_rows, H, N) - w);
        step_backward(G, out, at, w_at, gy, states + n * NN, r, w, k, v, u, h * N, N);
      }
    }
    for (size_t i = 0; out->S0 && i < NN; i++) out->S0[bh * NN + i] += G[i];
  }
}
