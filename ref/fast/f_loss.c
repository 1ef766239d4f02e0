/* Softmax cross-entropy over the scored rows, and the largest entry of a row. */
#include "f_math.h"

typedef struct {
  acc *log_sum;
  real *glogits;
  int *best;
  const acc *saved;
  const real *logits;
  const int *target;
  acc g, l2wrap;
  size_t V;
  bool add;
} Loss;

enum { BLOCK = 512 };

static size_t count_scored(const int *target, size_t rows)
{
  size_t n = 0;
  for (size_t i = 0; i < rows; i++) n += target[i] >= 0;
  return n;
}

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
  const Loss *q = arg;
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

void f_cross_entropy(real *loss, acc *log_sum, const real *logits, const int *target, size_t rows, size_t V)
{
  Loss q = {.log_sum = log_sum, .logits = logits, .target = target, .V = V};
  fast_settle();
  fast_for(rows, pieces(HEAVY, V), log_sums, &q);
  size_t scored = count_scored(target, rows);
  acc total = 0;
  for (size_t i = 0; i < rows; i++)
    if (target[i] >= 0) total += log_sum[i] - (acc)logits[i * V + (size_t)target[i]];
  loss[0] = (real)(scored ? total / (acc)scored : 0);
}

static void largest(const void *arg, size_t from, size_t to);

JOB static void loss_back(const void *arg, size_t from, size_t to)
{
  const Loss *q = arg;
  for (size_t i = from; i < to; i++) {
    const real *x = q->logits + i * q->V;
    real *restrict gx = q->glogits + i * q->V;
    if (q->target[i] < 0) {
      for (size_t j = 0; !q->add && j < q->V; j++) gx[j] = 0;
      continue;
    }
    acc log_sum = q->saved[i];
    real g = (real)q->g;
    real top = (real)log_sum, rest = (real)(log_sum - (acc)top); /* together they are as good as a double */
    if (q->add)
      for (size_t j = 0; j < q->V; j++) gx[j] += g * fast_exp(EXACTLY(x[j] - top) - rest);
    else
      for (size_t j = 0; j < q->V; j++) gx[j] = g * fast_exp(EXACTLY(x[j] - top) - rest);
    gx[q->target[i]] -= g;
    if (q->l2wrap > 0) { /* l2wrap: already divided by the scored rows */
      int m;
      largest(&(Loss){.best = &m, .logits = x, .V = q->V}, 0, 1);
      gx[m] += (real)(q->l2wrap * (acc)x[m]);
    }
  }
}

void f_cross_entropy_backward(real *glogits, acc g, const acc *log_sum, const real *logits, const int *target,
                              acc l2wrap, size_t rows, size_t V)
{
  acc scored = (acc)at_least_1(count_scored(target, rows));
  Loss q = {.glogits = glogits, .g = g / scored, .saved = log_sum, .logits = logits, .target = target,
            .l2wrap = l2wrap / scored, .V = V, .add = !fast_overwrite(glogits)};
  RUN(rows, pieces(HEAVY, V), loss_back, q, READS(log_sum, rows), READS(logits, rows * V), READS(target, rows),
      WRITES(glogits, rows * V));
}

/* ---- argmax ---- */

JOB static void largest(const void *arg, size_t from, size_t to)
{
  const Loss *q = arg;
  for (size_t i = from; i < to; i++) {
    const real *x = q->logits + i * q->V;
    size_t j = 0;
    real top = x[0], all = 0; /* x - x is 0, or NaN where x is no finite number */
    PRAGMA(omp simd reduction(max : top) reduction(+ : all))
    for (size_t c = 0; c < q->V; c++) {
      top = x[c] > top ? x[c] : top;
      all += x[c] - x[c];
    }
    if (all != 0) k_argmax(q->best + i, x, 1, q->V); /* only the order of the comparisons tells */
    else {
      while (x[j] != top) j++;
      q->best[i] = (int)j;
    }
  }
}

void f_argmax(int *best, const real *x, size_t rows, size_t n)
{
  fast_settle();
  fast_for(rows, pieces(LIGHT, at_least_1(n)), largest, &(Loss){.best = best, .logits = x, .V = n});
}
