/* The recurrence of RWKV-5 and RWKV-6, row by row of the state: a row [N values] belongs to one key. */
#include "f_math.h"

#include <string.h>

enum { N_MAX = 256 }; /* of what stands on the stack; larger heads stay with the reference */

typedef struct {
  const real *r, *w, *k, *v, *u;
  size_t T, H, N, decay_rows;
} Operands;

/* Where token t of head bh stands in [B,T,H,N], and its decay in w. */
INLINE size_t place(const Operands *q, size_t bh, size_t t)
{
  return ((bh / q->H * q->T + t) * q->H + bh % q->H) * q->N;
}

INLINE size_t decay_place(const Operands *q, size_t bh, size_t t)
{
  return q->decay_rows == 1 ? bh % q->H * q->N : place(q, bh, t);
}

/* S = diag(e^w) S + k v' */
INLINE void step(real *restrict S, const real *w, const real *k, const real *v, size_t N)
{
  for (size_t j = 0; j < N; j++) {
    real decay = fast_exp(w[j]), kj = k[j];
    SIMD
    for (size_t i = 0; i < N; i++) S[j * N + i] = decay * S[j * N + i] + kj * v[i];
  }
}

/* ---- forward ---- */

typedef struct {
  Operands in;
  real *y, *S1, *segments;
  const real *S0;
} Forward;

INLINE void forward_head(const Forward *q, size_t bh, size_t N)
{
  const Operands *in = &q->in;
  size_t NN = N * N, n_segments = pieces(in->T, WKV_SEGMENT);
  const real *u = in->u + bh % in->H * N;
  real *restrict S = q->S1 + bh * NN, y[N_MAX], ew[N_MAX];
  memcpy(S, q->S0 + bh * NN, NN * sizeof *S);
  for (size_t t = 0; t < in->T; t++) {
    size_t at = place(in, bh, t);
    const real *r = in->r + at, *k = in->k + at, *v = in->v + at, *w = in->w + decay_place(in, bh, t);
    if (q->segments && t % WKV_SEGMENT == 0)
      memcpy(q->segments + (bh * n_segments + t / WKV_SEGMENT) * NN, S, NN * sizeof *S);
    if (t == 0 || in->decay_rows > 1)
      for (size_t j = 0; j < N; j++) ew[j] = fast_exp(w[j]);
    real bonus = 0;
    SIMD_SUM(bonus)
    for (size_t j = 0; j < N; j++) bonus += r[j] * u[j] * k[j];
    for (size_t i = 0; i < N; i++) y[i] = bonus * v[i];
    for (size_t j = 0; j < N; j++) {
      real rj = r[j], kj = k[j], decay = ew[j];
      real *restrict row = S + j * N;
      SIMD
      for (size_t i = 0; i < N; i++) {
        y[i] += rj * row[i];
        row[i] = decay * row[i] + kj * v[i];
      }
    }
    memcpy(q->y + at, y, N * sizeof *y);
  }
}

JOB static void wkv6_forward(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->in.N == 64) forward_head(q, bh, 64);
    else forward_head(q, bh, q->in.N);
  }
}

void f_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows)
{
  if (N > N_MAX) {
    k_wkv6(y, S1, segments, r, w, k, v, u, S0, B, T, H, N, decay_rows);
    return;
  }
  Forward q = {{r, w, k, v, u, T, H, N, decay_rows}, y, S1, segments, S0};
  fast_for(B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), wkv6_forward, &q);
}

/* ---- backward: the formulas of k_wkv6_backward ---- */

typedef struct {
  Operands in;
  const Wkv6Grads *out;
  real *scratch;
  const real *gy, *gS1, *segments;
} Backward;

/* Gradients that all sequences share: summed for one head of one sequence first. */
typedef struct {
  real u[N_MAX], w[N_MAX];
} Shared;

INLINE void add_to(real *out, size_t at, const real *in, size_t N)
{
  for (size_t j = 0; out && j < N; j++) out[at + j] += in[j];
}

/* One token backwards: S before it, G as the gradient by the state after it, left as that by S. */
INLINE void step_back(real *restrict G, Shared *shared, const Backward *q, size_t bh, size_t t, const real *S, size_t N)
{
  static const real zeros[N_MAX];
  const Operands *in = &q->in;
  size_t at = place(in, bh, t);
  const real *r = in->r + at, *w = in->w + decay_place(in, bh, t), *k = in->k + at, *v = in->v + at,
             *u = in->u + bh % in->H * N, *g = q->gy ? q->gy + at : zeros;
  real gv[N_MAX], gr[N_MAX], gk[N_MAX], gw[N_MAX], read = 0, bonus = 0; /* read = gy . v */
  SIMD_SUM(read, bonus)
  for (size_t j = 0; j < N; j++) read += g[j] * v[j], bonus += r[j] * u[j] * k[j];
  for (size_t i = 0; i < N; i++) gv[i] = q->gy ? bonus * g[i] : 0;
  for (size_t j = 0; j < N; j++) {
    real decay = fast_exp(w[j]), rj = q->gy ? r[j] : 0, kj = k[j], gS = 0, Gv = 0, GS = 0;
    const real *s = S + j * N;
    real *restrict row = G + j * N;
    SIMD_SUM(gS, Gv, GS)
    for (size_t i = 0; i < N; i++) {
      real old = row[i];
      gS += g[i] * s[i];
      Gv += old * v[i];
      GS += old * s[i];
      gv[i] += old * kj;
      row[i] = decay * old + g[i] * rj;
    }
    gr[j] = gS + u[j] * kj * read;
    gk[j] = Gv + rj * u[j] * read;
    gw[j] = GS * decay;
    shared->u[j] += rj * kj * read;
    shared->w[j] += gw[j];
  }
  if (q->gy) add_to(q->out->r, at, gr, N);
  add_to(q->out->k, at, gk, N);
  add_to(q->out->v, at, gv, N);
  if (in->decay_rows > 1) add_to(q->out->w, at, gw, N);
}

/* scratch of a head: G, the states of one segment, then its part of the shared gradients by u and w */
INLINE real *shared_part(const Backward *q, size_t bh, size_t N)
{
  return q->scratch + bh * k_wkv6_scratch(N) + (1 + WKV_SEGMENT) * N * N;
}

INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  const Operands *in = &q->in;
  size_t NN = N * N, n_segments = pieces(in->T, WKV_SEGMENT);
  real *G = q->scratch + bh * k_wkv6_scratch(N), *states = G + NN;
  Shared shared;
  for (size_t j = 0; j < N; j++) shared.u[j] = shared.w[j] = 0;
  if (q->gS1) memcpy(G, q->gS1 + bh * NN, NN * sizeof *G);
  else memset(G, 0, NN * sizeof *G);
  for (size_t s = n_segments; s-- > 0;) {
    size_t first = s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, in->T - first);
    memcpy(states, q->segments + (bh * n_segments + s) * NN, NN * sizeof *states);
    for (size_t n = 1; n < count; n++) { /* the states of this segment once more */
      size_t at = place(in, bh, first + n - 1);
      memcpy(states + n * NN, states + (n - 1) * NN, NN * sizeof *states);
      step(states + n * NN, in->w + decay_place(in, bh, first + n - 1), in->k + at, in->v + at, N);
    }
    for (size_t n = count; n-- > 0;) step_back(G, &shared, q, bh, first + n, states + n * NN, N);
  }
  if (q->out->S0) add_to(q->out->S0, bh * NN, G, NN);
  memcpy(shared_part(q, bh, N), shared.u, N * sizeof(real));
  memcpy(shared_part(q, bh, N) + N, shared.w, N * sizeof(real));
}

JOB static void wkv6_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->in.N == 64) backward_head(q, bh, 64);
    else backward_head(q, bh, q->in.N);
  }
}

static void add_shared(const Backward *q, size_t B)
{
  size_t H = q->in.H, N = q->in.N;
  for (size_t h = 0; h < H; h++)
    for (size_t j = 0; j < N; j++) {
      acc gu = 0, gw = 0;
      for (size_t b = 0; b < B; b++) {
        const real *part = shared_part(q, b * H + h, N);
        gu += (acc)part[j], gw += (acc)part[N + j];
      }
      if (q->out->u) q->out->u[h * N + j] += (real)gu;
      if (q->out->w && q->in.decay_rows == 1) q->out->w[h * N + j] += (real)gw;
    }
}

void f_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows)
{
  if (N > N_MAX) {
    k_wkv6_backward(out, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows);
    return;
  }
  Backward q = {{r, w, k, v, u, T, H, N, decay_rows}, out, scratch, gy, gS1, segments};
  fast_for(B * H, pieces(HEAVY, at_least_1(T * N * N)), wkv6_backward, &q);
  add_shared(&q, B);
}
