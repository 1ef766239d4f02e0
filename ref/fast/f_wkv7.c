/* RWKV-7's recurrence. What is done along the vectors stands in f_wkv7_rows.h; here is what all widths share. */
#include "f_math.h"

#include <string.h>

enum {
  N_MAX = 1024 / REAL_SIZE, /* of what stands on the stack; larger heads stay with the reference */
  BLOCK = 8                 /* rows of the state taken through a segment: 32 KiB of states at N = 64 in float */
};

typedef struct {
  const real *r, *ew, *k, *v, *a, *b; /* ew = e^w */
} Token;
#define TOKEN(q, at, ew) {(q)->r + (at), ew, (q)->k + (at), (q)->v + (at), (q)->a + (at), (q)->b + (at)}

typedef struct {
  real *y, *S1, *segments;
  const real *r, *w, *k, *v, *a, *b, *S0;
  size_t T, H, N;
} Forward;

typedef struct {
  Wkv7Grads out;
  bool add[6]; /* to r w k v a b: otherwise there is nothing to be added to */
  const real *gy, *gS1, *segments, *r, *w, *k, *v, *a, *b;
  size_t T, H, N;
} Backward;

/* For one token: sums down the columns of the state, over its rows i; gv along the rows. */
typedef struct {
  real *gyS, *gsS, *GS, *Gv, *Gsa, *gv;
} Columns;
enum { SUMS_OF_TOKEN = 6 };

INLINE Columns columns(real *at, size_t N)
{
  return (Columns){at, at + N, at + 2 * N, at + 3 * N, at + 4 * N, at + 5 * N};
}

/* What a thread works on: of one segment e^w and S a, the sums, and a block's states after each token. */
typedef struct {
  real ew[WKV_SEGMENT * N_MAX], sa[WKV_SEGMENT * N_MAX], sums[WKV_SEGMENT * SUMS_OF_TOKEN * N_MAX];
  real states[(WKV_SEGMENT - 1) * BLOCK * N_MAX];
} Workspace;

/* ew [count,N] = e^w, of tokens that lie `step` apart */
INLINE void decays(real *restrict ew, const real *restrict w, size_t count, size_t step, size_t N)
{
  for (size_t n = 0; n < count; n++) {
    SIMD
    for (size_t j = 0; j < N; j++) ew[n * N + j] = fast_exp(w[n * step + j]);
  }
}

#define KERNELS "f_wkv7_rows.h"
#include "f_widths.h"

void f_wkv7(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *a, const real *b, const real *S0, size_t B, size_t T, size_t H, size_t N)
{
  Job *job = BEST_WIDTH(wkv7_forward, N);
  if (N > N_MAX || !job) {
    fast_settle();
    k_wkv7(y, S1, segments, r, w, k, v, a, b, S0, B, T, H, N);
    return;
  }
  Forward q = {y, S1, segments, r, w, k, v, a, b, S0, T, H, N};
  size_t n = B * T * H * N, NN = B * H * N * N;
  Use use[] = {READS(r, n), READS(w, n), READS(k, n), READS(v, n), READS(a, n), READS(b, n), READS(S0, NN),
               WRITES(y, n), WRITES(S1, NN), WRITES(segments, NN * pieces(T, WKV_SEGMENT))};
  Place place = fast_place_sequences(B, B * H, use, sizeof use / sizeof *use);
  fast_put(place, B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), job, &q, sizeof q);
}

void f_wkv7_backward(const Wkv7Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *a, const real *b,
                     size_t B, size_t T, size_t H, size_t N)
{
  Job *job = BEST_WIDTH(wkv7_backward, N);
  if (N > N_MAX || !job) {
    fast_settle();
    k_wkv7_backward(out, scratch, gy, gS1, segments, r, w, k, v, a, b, B, T, H, N);
    return;
  }
  real *grads[6] = {out->r, out->w, out->k, out->v, out->a, out->b};
  Backward q = {.out = *out, .gy = gy, .gS1 = gS1, .segments = segments, .r = r, .w = w, .k = k, .v = v, .a = a, .b = b,
                .T = T, .H = H, .N = N};
  for (int i = 0; i < 6; i++) q.add[i] = (!gy && i == 0) || !fast_overwrite(grads[i]); /* without gy r gets none */
  size_t n = B * T * H * N, NN = B * H * N * N;
  Use use[] = {READS(gy, n), READS(gS1, NN), READS(segments, NN * pieces(T, WKV_SEGMENT)), READS(r, n), READS(w, n),
               READS(k, n), READS(v, n), READS(a, n), READS(b, n), WRITES(out->r, n), WRITES(out->w, n),
               WRITES(out->k, n), WRITES(out->v, n), WRITES(out->a, n), WRITES(out->b, n), WRITES(out->S0, NN)};
  Place place = fast_place_sequences(B, B * H, use, sizeof use / sizeof *use);
  fast_put(place, B * H, pieces(HEAVY, at_least_1(T * N * N)), job, &q, sizeof q);
}
