/* The recurrence of RWKV-7, per head, with a state S [N value i, N key j]:

     S_t = S_{t-1} diag(e^w) + (S_{t-1} a) b' + v k'        [v7.8]
     y_t = S_t r                                            [v7.9]

   w is the log-decay (<= 0). RWKV-7 passes a = -kappa and b = kappa * iclr: what is stored under the key
   kappa is partly removed before v is written under k. */
#include "engine/kernels.h"
#include "engine/elementary.h"

#include <math.h>
#include <string.h>

/* One token: S -> S1 (which may be S itself). sa [N] receives S a. */
static void step(real *S1, real *sa, const real *S, const real *w, const real *k, const real *v,
                 const real *a, const real *b, size_t N)
{
  for (size_t i = 0; i < N; i++) {
    acc sum = 0;
    for (size_t j = 0; j < N; j++) sum += (acc)S[i * N + j] * (acc)a[j];
    sa[i] = (real)sum;
    for (size_t j = 0; j < N; j++)
      S1[i * N + j] = (real)((acc)S[i * N + j] * m_exp((acc)w[j]) + sum * (acc)b[j] + (acc)v[i] * (acc)k[j]);
  }
}

void k_wkv7(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *a, const real *b, const real *S0, size_t B, size_t T, size_t H, size_t N)
{
  size_t NN = N * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  memcpy(S1, S0, B * H * NN * sizeof *S1);
  for (size_t bi = 0; bi < B; bi++)
    for (size_t h = 0; h < H; h++) {
      real *S = S1 + (bi * H + h) * NN;
      for (size_t t = 0; t < T; t++) {
        size_t at = ((bi * T + t) * H + h) * N;
        if (segments && t % WKV_SEGMENT == 0)
          memcpy(segments + ((bi * H + h) * n_segments + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
        step(S, y + at, S, w + at, k + at, v + at, a + at, b + at, N); /* y is free until the read-out */
        for (size_t i = 0; i < N; i++) {
          acc sum = 0;
          for (size_t j = 0; j < N; j++) sum += (acc)S[i * N + j] * (acc)r[at + j];
          y[at + i] = (real)sum;
        }
      }
    }
}

/* Per head: the gradient G [N,N] by the state, the states of one segment, S a at each of its steps, and
   the gradient by one S a. */
size_t k_wkv7_scratch(size_t N) { return N * N + (WKV_SEGMENT + 1) * N * N + WKV_SEGMENT * N + N; }

/* One token backwards. G enters as the gradient by S1 (without this token's read-out) and leaves as the
   gradient by S. */
static void step_backward(real *G, real *gsa, const Wkv7Grads *out, size_t at, const real *gy,
                          const real *S1, const real *S, const real *sa, const real *r, const real *w,
                          const real *k, const real *v, const real *a, const real *b, size_t N)
{
  for (size_t i = 0; gy && i < N; i++) /* y = S1 r */
    for (size_t j = 0; j < N; j++) G[i * N + j] += (real)((acc)gy[at + i] * (acc)r[at + j]);

  for (size_t i = 0; i < N; i++) { /* along a row: by v_i and by (S a)_i */
    acc gv = 0, gs = 0;
    for (size_t j = 0; j < N; j++) {
      gv += (acc)G[i * N + j] * (acc)k[at + j];
      gs += (acc)G[i * N + j] * (acc)b[at + j];
    }
    if (out->v) out->v[at + i] += (real)gv;
    gsa[i] = (real)gs;
  }
  for (size_t j = 0; j < N; j++) { /* down a column: by the vectors over keys */
    acc gr = 0, gw = 0, gk = 0, gb = 0, ga = 0;
    for (size_t i = 0; i < N; i++) {
      acc g = G[i * N + j];
      if (gy) gr += (acc)gy[at + i] * (acc)S1[i * N + j];
      gw += g * (acc)S[i * N + j];
      gk += g * (acc)v[at + i];
      gb += g * (acc)sa[i];
      ga += (acc)gsa[i] * (acc)S[i * N + j];
    }
    if (out->r) out->r[at + j] += (real)gr;
    if (out->w) out->w[at + j] += (real)(gw * m_exp((acc)w[at + j]));
    if (out->k) out->k[at + j] += (real)gk;
    if (out->b) out->b[at + j] += (real)gb;
    if (out->a) out->a[at + j] += (real)ga;
  }
  for (size_t i = 0; i < N; i++) /* back through S1 = S diag(e^w) + (S a) b' + ... */
    for (size_t j = 0; j < N; j++)
      G[i * N + j] = (real)((acc)G[i * N + j] * m_exp((acc)w[at + j]) + (acc)gsa[i] * (acc)a[at + j]);
}

void k_wkv7_backward(const Wkv7Grads *out, real *scratch, const real *gy, const real *gS1,
                     const real *segments, const real *r, const real *w, const real *k, const real *v,
                     const real *a, const real *b, size_t B, size_t T, size_t H, size_t N)
{
  size_t NN = N * N, n_segments = (T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  for (size_t bh = 0; bh < B * H; bh++) {
    size_t bi = bh / H, h = bh % H;
    real *G = scratch + bh * k_wkv7_scratch(N), *states = G + NN, *sa = states + (WKV_SEGMENT + 1) * NN,
         *gsa = sa + WKV_SEGMENT * N;
    for (size_t i = 0; i < NN; i++) G[i] = gS1 ? gS1[bh * NN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t first = s * WKV_SEGMENT, count = T - first < WKV_SEGMENT ? T - first : WKV_SEGMENT;
      memcpy(states, segments + (bh * n_segments + s) * NN, NN * sizeof *states);
      for (size_t n = 0; n < count; n++) { /* the states of this segment once more */
        size_t at = ((bi * T + first + n) * H + h) * N;
        step(states + (n + 1) * NN, sa + n * N, states + n * NN, w + at, k + at, v + at, a + at, b + at, N);
      }
      for (size_t n = count; n-- > 0;) {
        size_t at = ((bi * T + first + n) * H + h) * N;
        step_backward(G, gsa, out, at, gy, states + (n + 1) * NN, states + n * NN, sa + n * N, r, w, k, v, a,
                      b, N);
      }
    }
    if (out->S0)
      for (size_t i = 0; i < NN; i++) out->S0[bh * NN + i] += G[i];
  }
}
