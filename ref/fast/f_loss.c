/* Softmax cross-entropy over the scored rows, and the largest entry of a row. */
#include "f_loss.h"

#include "f_math.h"

enum { BLOCK = 512 };

/* ---- the largest of a row ---- */

/* Where all are finite: the block that it is in, then its place there. */
JOB bool fast_larger(const real *x, size_t n, real *largest, size_t *at)
{
  real best = *largest, all = 0; /* x - x is 0, or NaN where x is no finite number */
  size_t block = n;
  for (size_t j0 = 0; j0 < n; j0 += BLOCK) {
    real top = x[j0];
    size_t end = smaller(n, j0 + BLOCK);
    PRAGMA(omp simd reduction(max : top) reduction(+ : all))
    for (size_t j = j0; j < end; j++) {
      top = x[j] > top ? x[j] : top;
      all += x[j] - x[j];
    }
    if (top > best) best = top, block = j0;
  }
  if (all != 0) { /* only the order of the comparisons tells */
    best = *largest, block = n;
    for (size_t j = 0; j < n; j++)
      if (x[j] > best) best = x[j], block = j;
  }
  if (block == n) return false;
  while (x[block] != best) block++;
  return *largest = best, *at = block, true;
}

size_t fast_largest(const real *x, size_t n)
{
  real largest = x[0];
  size_t at = 0;
  fast_larger(x, n, &largest, &at);
  return at;
}

static void best_of_rows(const void *arg, size_t from, size_t to)
{
  const Argmax *q = arg;
  for (size_t i = from; i < to; i++) q->best[i] = (int)fast_largest(q->x + i * q->n, q->n);
}

void f_argmax(const Argmax *q)
{
  fast_flush();
  fast_for(q->rows, pieces(LIGHT, at_least_1(q->n)), best_of_rows, q);
}

/* ---- cross-entropy ---- */

/* Of a row without NaN. */
INLINE real top_of(const real *x, size_t n)
{
  real top = x[0];
  PRAGMA(omp simd reduction(max : top))
  for (size_t j = 1; j < n; j++) top = x[j] > top ? x[j] : top;
  return top;
}

JOB static void log_sums(const void *arg, size_t from, size_t to)
{
  const CrossEntropy *q = arg;
  for (size_t i = from; i < to; i++) {
    const real *x = q->logits + i * q->V;
    real top = top_of(x, q->V);
    acc sum = 0;
    for (size_t j0 = 0; j0 < q->V; j0 += BLOCK) { /* a block in `real`: 1e-7 of a sum of positive numbers */
      real part = 0;
      size_t n = smaller(BLOCK, q->V - j0);
      SIMD_SUM(part)
      for (size_t j = 0; j < n; j++) part += fast_exp(x[j0 + j] - top);
      sum += (acc)part;
    }
    q->log_sum[i] = (acc)top + log(sum);
  }
}

void f_cross_entropy(const CrossEntropy *q)
{
  fast_flush();
  fast_for(q->rows, pieces(HEAVY, q->V), log_sums, q);
  size_t scored = k_scored(q->target, q->rows);
  acc total = 0;
  for (size_t i = 0; i < q->rows; i++)
    if (q->target[i] >= 0) total += q->log_sum[i] - (acc)q->logits[i * q->V + (size_t)q->target[i]];
  q->loss[0] = (real)(scored ? total / (acc)scored : 0);
}

typedef struct {
  CrossEntropyBackward op;
  acc scored; /* at least 1 */
  bool add;   /* otherwise there is nothing to be added to */
} LossBack;

JOB static void loss_back(const void *arg, size_t from, size_t to)
{
  const LossBack *q = arg;
  const CrossEntropy *f = &q->op.forward;
  size_t V = f->V;
  for (size_t i = from; i < to; i++) {
    const real *x = f->logits + i * V;
    real *restrict gx = q->op.glogits + i * V;
    if (f->target[i] < 0) {
      for (size_t j = 0; !q->add && j < V; j++) gx[j] = 0;
      continue;
    }
    acc log_sum = f->log_sum[i];
    real g = (real)((acc)q->op.g[0] / q->scored);
    real top = (real)log_sum, rest = (real)(log_sum - (acc)top); /* together they are as good as a double */
    if (q->add)
      for (size_t j = 0; j < V; j++) gx[j] += g * fast_exp(EXACTLY(x[j] - top) - rest);
    else
      for (size_t j = 0; j < V; j++) gx[j] = g * fast_exp(EXACTLY(x[j] - top) - rest);
    gx[f->target[i]] -= g;
    if (q->op.l2wrap > 0) {
      size_t m = fast_largest(x, V);
      gx[m] += (real)(q->op.l2wrap / q->scored * (acc)x[m]);
    }
  }
}

void f_cross_entropy_backward(const CrossEntropyBackward *op)
{
  const CrossEntropy *f = &op->forward;
  LossBack q = {*op, (acc)at_least_1(k_scored(f->target, f->rows)), !fast_overwrite(op->glogits)};
  When when = fast_when(OP_cross_entropy_backward, op);
  if (when != NOW) q.op.forward.target = fast_keep(f->target, f->rows * sizeof *f->target);
  fast_put(when, f->rows, pieces(HEAVY, f->V), loss_back, &q, sizeof q);
}
