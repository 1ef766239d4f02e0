/* RWKV-7's recurrence. What is done along the vectors stands in f_wkv7_rows.h; here is what all widths share. */
#include "f_math.h"

#include <string.h>

enum {
  N_MAX = 1024 / REAL_SIZE, /* of what stands on the stack; larger heads stay with the reference */
  BLOCK = 8,                /* rows of the state taken through a segment: 32 KiB of states at N = 64 in float */
  ROWS_AHEAD = 8            /* from those that a single token is at to those that are asked for */
};

typedef struct {
  const real *r, *ew, *k, *v, *a, *b; /* ew = e^w */
} Token;
/* clang-format off */
#define TOKEN(q, at, ew) {(q)->r + (at), ew, (q)->k + (at), (q)->v + (at), (q)->a + (at), (q)->b + (at)}
/* clang-format on */

typedef struct {
  Wkv7Backward op;
  bool add[6]; /* to r w k v a b: otherwise there is nothing to be added to */
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

void f_wkv7(const Wkv7 *q)
{
  Job *job = BEST_WIDTH(wkv7_forward, q->N);
  if (q->N > N_MAX || !job) fast_reference(OP_wkv7, q);
  else RUN(wkv7, q, q->B * q->H, pieces(HEAVY * 4, at_least_1(q->T * q->N * q->N)), job, *q);
}

void f_wkv7_backward(const Wkv7Backward *op)
{
  const Wkv7 *f = &op->forward;
  Job *job = BEST_WIDTH(wkv7_backward, f->N);
  if (f->N > N_MAX || !job) {
    fast_reference(OP_wkv7_backward, op);
    return;
  }
  const real *grads[6] = {op->gr, op->gw, op->gk, op->gv, op->ga, op->gb};
  Backward q = {.op = *op};
  for (int i = 0; i < 6; i++) q.add[i] = (!op->gy && i == 0) || !fast_overwrite(grads[i]); /* without gy r gets none */
  RUN(wkv7_backward, op, f->B * f->H, pieces(HEAVY, at_least_1(f->T * f->N * f->N)), job, q);
}
