/* The recurrence of RWKV-5 and RWKV-6. What is done along the vectors stands in f_wkv6_rows.h; here is what all widths
   share. The current token's own pair needs no state:  y = r' S + (sum_j r_j u_j k_j) v. */
#include "f_math.h"

#include <string.h>

enum {
  N_MAX = 1024 / REAL_SIZE, /* of what stands on the stack; larger heads stay with the reference */
  BLOCK = 8                 /* keys taken back through a segment: 32 KiB of states at N = 64 in float */
};

typedef struct {
  Wkv6Backward op;
  bool add[4]; /* to r w k v: otherwise there is nothing to be added to */
  real *left;  /* [B,H,2,N]: gu and gw of each head */
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
INLINE void decays(real *restrict ew, const Wkv6 *q, size_t row, size_t h, size_t count, size_t N)
{
  for (size_t n = 0; n < count; n++) {
    const real *restrict wn = q->w + ((q->decay_rows == 1 ? 0 : row + n) * q->H + h) * N;
    SIMD
    for (size_t j = 0; j < N; j++) ew[n * N + j] = fast_exp(wn[j]);
  }
}

#define KERNELS "f_wkv6_rows.h"
#include "f_widths.h"

void f_wkv6(const Wkv6 *q)
{
  Job *job = BEST_WIDTH(wkv6_forward, q->N);
  if (q->N > N_MAX || !job) fast_reference(OP_wkv6, q);
  else RUN(wkv6, q, q->B * q->H, pieces(HEAVY * 4, at_least_1(q->T * q->N * q->N)), job, *q);
}

/* out [H,N] += what the sequences have left, in their order; which: 0 gu, 1 gw */
static void collect(const Backward *q, real *out, size_t which, size_t from, size_t to)
{
  size_t B = q->op.forward.B, H = q->op.forward.H, N = q->op.forward.N;
  for (size_t c = from; out && c < to; c++) {
    acc sum = 0;
    for (size_t b = 0; b < B; b++) sum += (acc)q->left[((b * H + c / N) * 2 + which) * N + c % N];
    out[c] += (real)sum;
  }
}

static void collect_all(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  if (q->op.gy) collect(q, q->op.gu, 0, from, to);
  if (q->op.forward.decay_rows == 1) collect(q, q->op.gw, 1, from, to);
}

void f_wkv6_backward(const Wkv6Backward *op)
{
  const Wkv6 *f = &op->forward;
  Job *job = BEST_WIDTH(wkv6_backward, f->N);
  if (f->N > N_MAX || !job) {
    fast_reference(OP_wkv6_backward, op);
    return;
  }
  Backward q = {.op = *op};
  q.add[0] = !op->gy || !fast_overwrite(op->gr); /* without gy r gets none */
  q.add[2] = !fast_overwrite(op->gk);            /* in the order in which they are written: two may be one tensor */
  q.add[3] = !fast_overwrite(op->gv);
  q.add[1] = f->decay_rows == 1 || !fast_overwrite(op->gw);
  When when = fast_when(OP_wkv6_backward, op);
  q.left = fast_memory(f->B * f->H * 2 * f->N * sizeof *q.left);
  fast_put(when, f->B * f->H, pieces(HEAVY, at_least_1(f->T * f->N * f->N)), job, &q, sizeof q);
  fast_put(when == NOW ? NOW : AFTER, f->H * f->N, HEAVY, collect_all, &q, sizeof q);
}
