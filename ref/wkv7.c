/* The recurrence of RWKV-7, per head, with a state S [N value i, N key j]:

     S_t = S_{t-1} diag(e^w) + (S_{t-1} a) b' + v k'        [v7.8]
     y_t = S_t r                                            [v7.9]

   w is the log-decay (<= 0). RWKV-7 passes a = -kappa and b = kappa * iclr: what is stored under the key
   kappa is partly removed before v is written under k. */
#include "engine/k_wkv.h"
#include "engine/elementary.h"

#include <math.h>
#include <string.h>

/* One token, whose numbers are at `at`: S -> S1 (which may be S itself). sa [N] receives S a. */
static void step(const Wkv7 *op, size_t at, real *S1, real *sa, const real *S)
{
  const real *w = op->w + at, *k = op->k + at, *v = op->v + at, *a = op->a + at, *b = op->b + at;
  size_t N = op->N;
  for (size_t i = 0; i < N; i++) {
    acc sum = 0;
    for (size_t j = 0; j < N; j++) sum += (acc)S[i * N + j] * (acc)a[j];
    sa[i] = (real)sum;
    for (size_t j = 0; j < N; j++)
      S1[i * N + j] = (real)((acc)S[i * N + j] * m_exp((acc)w[j]) + sum * (acc)b[j] + (acc)v[i] * (acc)k[j]);
  }
}

void k_wkv7(const Wkv7 *op)
{
  size_t B = op->B, T = op->T, H = op->H, N = op->N, NN = N * N;
  memcpy(op->S1, op->S0, B * H * NN * sizeof *op->S1);
  for (size_t bi = 0; bi < B; bi++)
    for (size_t h = 0; h < H; h++) {
      real *S = op->S1 + (bi * H + h) * NN;
      for (size_t t = 0; t < T; t++) {
        size_t at = ((bi * T + t) * H + h) * N;
        if (op->segments && t % WKV_SEGMENT == 0)
          memcpy(op->segments + ((bi * H + h) * k_segments(T) + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
        step(op, at, S, op->y + at, S); /* y is free until the read-out */
        for (size_t i = 0; i < N; i++) {
          acc sum = 0;
          for (size_t j = 0; j < N; j++) sum += (acc)S[i * N + j] * (acc)op->r[at + j];
          op->y[at + i] = (real)sum;
        }
      }
    }
}

/* Per head: the gradient G [N,N] by the state, the states of one segment, S a at each of its steps, and
   the gradient by one S a. */
size_t k_wkv7_scratch(size_t N) { return N * N + (WKV_SEGMENT + 1) * N * N + WKV_SEGMENT * N + N; }

/* One token backwards. G enters as the gradient by S1 (without this token's read-out) and leaves as the
   gradient by S. */
static void step_backward(const Wkv7Backward *op, size_t at, real *G, real *gsa, const real *S1, const real *S,
                          const real *sa)
{
  const Wkv7 *f = &op->forward;
  const real *r = f->r + at, *w = f->w + at, *k = f->k + at, *v = f->v + at, *a = f->a + at, *b = f->b + at;
  const real *gy = op->gy ? op->gy + at : NULL;
  size_t N = f->N;
  for (size_t i = 0; gy && i < N; i++) /* y = S1 r */
    for (size_t j = 0; j < N; j++) G[i * N + j] += (real)((acc)gy[i] * (acc)r[j]);

  for (size_t i = 0; i < N; i++) { /* along a row: by v_i and by (S a)_i */
    acc gv = 0, gs = 0;
    for (size_t j = 0; j < N; j++) {
      gv += (acc)G[i * N + j] * (acc)k[j];
      gs += (acc)G[i * N + j] * (acc)b[j];
    }
    if (op->gv) op->gv[at + i] += (real)gv;
    gsa[i] = (real)gs;
  }
  for (size_t j = 0; j < N; j++) { /* down a column: by the vectors over keys */
    acc gr = 0, gw = 0, gk = 0, gb = 0, ga = 0;
    for (size_t i = 0; i < N; i++) {
      acc g = G[i * N + j];
      if (gy) gr += (acc)gy[i] * (acc)S1[i * N + j];
      gw += g * (acc)S[i * N + j];
      gk += g * (acc)v[i];
      gb += g * (acc)sa[i];
      ga += (acc)gsa[i] * (acc)S[i * N + j];
    }
    if (op->gr) op->gr[at + j] += (real)gr;
    if (op->gw) op->gw[at + j] += (real)(gw * m_exp((acc)w[j]));
    if (op->gk) op->gk[at + j] += (real)gk;
    if (op->gb) op->gb[at + j] += (real)gb;
    if (op->ga) op->ga[at + j] += (real)ga;
  }
  for (size_t i = 0; i < N; i++) /* back through S1 = S diag(e^w) + (S a) b' + ... */
    for (size_t j = 0; j < N; j++)
      G[i * N + j] = (real)((acc)G[i * N + j] * m_exp((acc)w[j]) + (acc)gsa[i] * (acc)a[j]);
}

void k_wkv7_backward(const Wkv7Backward *op)
{
  const Wkv7 *f = &op->forward;
  size_t T = f->T, H = f->H, N = f->N, NN = N * N, n_segments = k_segments(T);
  for (size_t bh = 0; bh < f->B * H; bh++) {
    size_t bi = bh / H, h = bh % H;
    real *G = op->scratch + bh * k_wkv7_scratch(N), *states = G + NN, *sa = states + (WKV_SEGMENT + 1) * NN,
         *gsa = sa + WKV_SEGMENT * N;
    for (size_t i = 0; i < NN; i++) G[i] = op->gS1 ? op->gS1[bh * NN + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t first = s * WKV_SEGMENT, count = T - first < WKV_SEGMENT ? T - first : WKV_SEGMENT;
      memcpy(states, f->segments + (bh * n_segments + s) * NN, NN * sizeof *states);
      for (size_t n = 0; n < count; n++) { /* the states of this segment once more */
        size_t at = ((bi * T + first + n) * H + h) * N;
        step(f, at, states + (n + 1) * NN, sa + n * N, states + n * NN);
      }
      for (size_t n = count; n-- > 0;) {
        size_t at = ((bi * T + first + n) * H + h) * N;
        step_backward(op, at, G, gsa, states + (n + 1) * NN, states + n * NN, sa + n * N);
      }
    }
    if (op->gS0)
      for (size_t i = 0; i < NN; i++) op->gS0[bh * NN + i] += G[i];
  }
}
