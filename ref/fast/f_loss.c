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
} Loss;

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
    SIMD_SUM(sum)
    for (size_t j = 0; j < q->V; j++) sum += (acc)fast_exp(x[j] - top);
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
    if (q->target[i] < 0) continue;
    const real *x = q->logits + i * q->V;
    real *restrict gx = q->glogits + i * q->V;
    acc log_sum = q->saved[i];
    real g = (real)q->g;
    for (size_t j = 0; j < q->V; j++) gx[j] += g * fast_exp((real)((acc)x[j] - log_sum));
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
            .l2wrap = l2wrap / scored, .V = V};
  RUN(rows, pieces(HEAVY, V), loss_back, q, READS(log_sum, rows), READS(logits, rows * V), READS(target, rows),
      WRITES(glogits, rows * V));
}

/* ---- argmax ---- */

JOB static void largest(const void *arg, size_t from, size_t to)
{
  const Loss *q = arg;
  for (size_t i = from; i < to; i++) {
    const real *x = q->logits + i * q->V;
    real top = top_of(x, q->V);
    size_t j = 0;
    int nans = 0;
    SIMD_SUM(nans)
    for (size_t c = 0; c < q->V; c++) nans += x[c] != x[c];
    if (nans) k_argmax(q->best + i, x, 1, q->V); /* only the order of the comparisons tells */
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
