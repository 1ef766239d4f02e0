/* The recurrence of RWKV-5 and RWKV-6. What is done along the vectors stands in f_wkv6_rows.h; here is what all widths
   share. The current token's own pair needs no state:  y = r' S + (sum_j r_j u_j k_j) v. */
#include "f_math.h"

#include <string.h>

enum {
  N_MAX = 1024 / REAL_SIZE, /* of what stands on the stack; larger heads stay with the reference */
  BLOCK = 8                 /* keys taken back through a segment: 32 KiB of states at N = 64 in float */
};

typedef struct {
  real *y, *S1, *segments;
  const real *r, *w, *k, *v, *u, *S0;
  size_t T, H, N, decay_rows;
} Forward;

typedef struct {
  const Wkv6Grads *out;
  real *scratch;
  const real *gy, *gS1, *segments, *r, *w, *k, *v, *u;
  size_t B, T, H, N, decay_rows;
} Backward;

/* For one token, by key j: sums along the values i; by value: gv down the keys. */
typedef struct {
  real *gyS, *Gv, *GS, *gv;
} Sums;
enum { SUMS_OF_TOKEN = 4 };

INLINE Sums sums_of(real *at, size_t N) { return (Sums){at, at + N, at + 2 * N, at + 3 * N}; }

/* What a thread works on: of one segment e^w and the sums, and a block's states after each token. */
typedef struct {
  real ew[WKV_SEGMENT * N_MAX], sums[WKV_SEGMENT * SUMS_OF_TOKEN * N_MAX];
  real states[(WKV_SEGMENT - 1) * BLOCK * N_MAX];
} Workspace;

/* ew [count,N] = e^w, of a head's tokens from `row` on */
INLINE void decays(real *restrict ew, const real *restrict w, size_t row, size_t h, size_t count, size_t decay_rows,
                   size_t H, size_t N)
{
  for (size_t n = 0; n < count; n++) {
    const real *wn = w + ((decay_rows == 1 ? 0 : row + n) * H + h) * N;
    SIMD
    for (size_t j = 0; j < N; j++) ew[n * N + j] = fast_exp(wn[j]);
  }
}

/* In the scratch, behind the gradients G [B,H,N,N]: a head's gu [N] and gw [N]. */
INLINE real *sums_over_time(const Backward *q, size_t bh)
{
  return q->scratch + q->B * q->H * q->N * q->N + bh * 2 * q->N;
}

#define KERNELS "f_wkv6_rows.h"
#include "f_widths.h"

void f_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows)
{
  Job *job = BEST_WIDTH(wkv6_forward, N);
  if (N > N_MAX || !job) {
    k_wkv6(y, S1, segments, r, w, k, v, u, S0, B, T, H, N, decay_rows);
    return;
  }
  Forward q = {y, S1, segments, r, w, k, v, u, S0, T, H, N, decay_rows};
  fast_for(B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), job, &q);
}

/* out [H,N] += what the sequences have left, in their order */
static void collect(real *out, const Backward *q, size_t at)
{
  for (size_t c = 0; out && c < q->H * q->N; c++) {
    acc sum = 0;
    for (size_t b = 0; b < q->B; b++) sum += (acc)sums_over_time(q, b * q->H + c / q->N)[at + c % q->N];
    out[c] += (real)sum;
  }
}

void f_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows)
{
  Job *job = BEST_WIDTH(wkv6_backward, N);
  if (N > N_MAX || !job) {
    k_wkv6_backward(out, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows);
    return;
  }
  Backward q = {out, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows};
  fast_for(B * H, pieces(HEAVY, at_least_1(T * N * N)), job, &q);
  if (gy) collect(out->u, &q, 0);
  if (decay_rows == 1) collect(out->w, &q, N);
}
