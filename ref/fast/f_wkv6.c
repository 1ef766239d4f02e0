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
  Wkv6Grads out;
  bool add[4];  /* to r w k v: otherwise there is nothing to be added to */
  real *left;   /* [B,H,2,N]: gu and gw of each head */
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

#define KERNELS "f_wkv6_rows.h"
#include "f_widths.h"

void f_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows)
{
  Job *job = BEST_WIDTH(wkv6_forward, N);
  if (N > N_MAX || !job) {
    fast_settle();
    k_wkv6(y, S1, segments, r, w, k, v, u, S0, B, T, H, N, decay_rows);
    return;
  }
  Forward q = {y, S1, segments, r, w, k, v, u, S0, T, H, N, decay_rows};
  size_t n = B * T * H * N, NN = B * H * N * N;
  Use decay = READS_ALL(w);
  if (decay_rows > 1) decay = (Use)READS(w, n);
  Use use[] = {READS(r, n), decay, READS(k, n), READS(v, n), READS_ALL(u), READS(S0, NN), WRITES(y, n), WRITES(S1, NN),
               WRITES(segments, NN * pieces(T, WKV_SEGMENT))};
  Place place = fast_place_sequences(B, B * H, use, sizeof use / sizeof *use);
  fast_put(place, B * H, pieces(HEAVY * 4, at_least_1(T * N * N)), job, &q, sizeof q);
}

/* out [H,N] += what the sequences have left, in their order; which: 0 gu, 1 gw */
static void collect(const Backward *q, real *out, size_t which, size_t from, size_t to)
{
  for (size_t c = from; out && c < to; c++) {
    acc sum = 0;
    for (size_t b = 0; b < q->B; b++) sum += (acc)q->left[((b * q->H + c / q->N) * 2 + which) * q->N + c % q->N];
    out[c] += (real)sum;
  }
}

static void collect_all(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  if (q->gy) collect(q, q->out.u, 0, from, to);
  if (q->decay_rows == 1) collect(q, q->out.w, 1, from, to);
}

void f_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows)
{
  Job *job = BEST_WIDTH(wkv6_backward, N);
  if (N > N_MAX || !job) {
    fast_settle();
    k_wkv6_backward(out, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows);
    return;
  }
  Backward q = {.out = *out, .gy = gy, .gS1 = gS1, .segments = segments, .r = r, .w = w, .k = k, .v = v, .u = u, .B = B,
                .T = T, .H = H, .N = N, .decay_rows = decay_rows};
  size_t n = B * T * H * N, NN = B * H * N * N;
  bool each = decay_rows > 1;
  q.add[0] = !gy || !fast_overwrite(out->r); /* without gy r gets none */
  q.add[2] = !fast_overwrite(out->k);        /* in the order in which they are written: two may be one tensor */
  q.add[3] = !fast_overwrite(out->v);
  q.add[1] = !each || !fast_overwrite(out->w);
  Use use[] = {READS(gy, n), READS(gS1, NN), READS(segments, NN * pieces(T, WKV_SEGMENT)), READS(r, n), READS_ALL(w),
               READS(k, n), READS(v, n), READS_ALL(u), WRITES(out->r, n), WRITES_ALL(out->w), WRITES(out->k, n),
               WRITES(out->v, n), WRITES_ALL(out->u), WRITES(out->S0, NN)};
  if (each) use[4] = (Use)READS(w, n), use[9] = (Use)WRITES(out->w, n);
  Place place = fast_place_sequences(B, B * H, use, sizeof use / sizeof *use);
  q.left = fast_memory(B * H * 2 * N * sizeof *q.left);
  fast_put(place, B * H, pieces(HEAVY, at_least_1(T * N * N)), job, &q, sizeof q);
  fast_put(place == NOW ? NOW : AFTER, H * N, HEAVY, collect_all, &q, sizeof q);
}
