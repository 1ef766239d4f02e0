/* Normalisation. */
#include "f_job.h"

#include <math.h>

/* Groups that are taken together, so that they wait side by side for their sums, roots and quotients. */
enum { TOGETHER = 16 };

JOB static void norm(const void *arg, size_t from, size_t to)
{
  const Norm *q = arg;
  size_t N = q->N;
  for (size_t first = from, end; first < to; first = end) { /* i: row * H + head */
    end = smaller(to, first + TOGETHER);
    for (size_t i = first; i < end; i++) {
      const real *x = q->x + i * N;
      acc sum = 0;
      SIMD_SUM(sum)
      for (size_t j = 0; j < N; j++) sum += (acc)x[j];
      q->stats[i * 2] = sum / (acc)N;
    }
    for (size_t i = first; i < end; i++) {
      const real *x = q->x + i * N;
      acc mean = q->stats[i * 2], square = 0;
      SIMD_SUM(square)
      for (size_t j = 0; j < N; j++) square += ((acc)x[j] - mean) * ((acc)x[j] - mean);
      q->stats[i * 2 + 1] = 1 / sqrt(square / (acc)N + q->eps);
    }
    for (size_t i = first; i < end; i++) {
      const real *x = q->x + i * N, *weight = q->weight + i % q->H * N, *bias = q->bias + i % q->H * N;
      real *restrict y = q->y + i * N;
      acc mean = q->stats[i * 2], scale = q->stats[i * 2 + 1];
      for (size_t j = 0; j < N; j++) y[j] = (real)(((acc)x[j] - mean) * scale) * weight[j] + bias[j];
    }
  }
}

void f_norm(const Norm *q) { RUN(norm, q, q->rows * q->H, pieces(HEAVY, at_least_1(q->N)), norm, *q); }

typedef struct {
  NormBackward op;
  bool add; /* otherwise there is nothing to be added to */
} NormBack;

/* With z = (x - mean) scale and q = g weight:  gx = scale (q - mean(q) - z mean(q z)) */
JOB static void norm_back(const void *arg, size_t from, size_t to)
{
  const NormBack *q = arg;
  const Norm *f = &q->op.forward;
  size_t N = f->N;
  for (size_t i = from; i < to; i++) {
    const real *x = f->x + i * N, *g = q->op.g + i * N, *weight = f->weight + i % f->H * N;
    real *restrict gx = q->op.gx + i * N;
    acc mean = f->stats[i * 2], scale = f->stats[i * 2 + 1], sum = 0, sum_z = 0;
    SIMD_SUM(sum, sum_z)
    for (size_t j = 0; j < N; j++) {
      acc gw = (acc)g[j] * (acc)weight[j];
      sum += gw;
      sum_z += gw * ((acc)x[j] - mean);
    }
    acc mean_q = sum / (acc)N, mean_qz = sum_z * scale / (acc)N;
    for (size_t j = 0; j < N; j++) { /* in double: what remains may be far smaller than what is subtracted */
      acc z = ((acc)x[j] - mean) * scale;
      gx[j] = OLD(q->add, gx[j]) + (real)(scale * ((acc)g[j] * (acc)weight[j] - mean_q - z * mean_qz));
    }
  }
}

JOB static void norm_back_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const NormBack *q = arg;
  const Norm *f = &q->op.forward;
  size_t N = f->N, C = f->H * N;
  for (size_t i = row0; i < row1; i++)
    for (size_t h = col0 / N; h * N < col1; h++) { /* the part of this head that is in the tile */
      const acc *st = f->stats + (i * f->H + h) * 2;
      size_t start = h * N < col0 ? col0 : h * N, end = smaller(col1, (h + 1) * N);
      const real *g = q->op.g + i * C, *x = f->x + i * C;
      for (size_t c = start; c < end; c++) sum[0][c - col0] += (acc)g[c] * (((acc)x[c] - st[0]) * st[1]);
      for (size_t c = start; c < end; c++) sum[1][c - col0] += (acc)g[c];
    }
}

void f_norm_backward(const NormBackward *op)
{
  const Norm *f = &op->forward;
  NormBack rows = {*op, !fast_overwrite(op->gx)}, columns = {*op, true};
  rows.op.gweight = rows.op.gbias = columns.op.gx = NULL;
  if (op->gx) RUN(norm_backward, &rows.op, f->rows * f->H, pieces(HEAVY, at_least_1(f->N)), norm_back, rows);
  if (op->gweight || op->gbias)
    fast_columns(OP_norm_backward, &columns.op, (real *[SUMS]){op->gweight, op->gbias}, f->rows, f->H * f->N,
                 norm_back_columns, &columns, sizeof columns);
}

/* ---- unit length ---- */

JOB static void l2norm(const void *arg, size_t from, size_t to)
{
  const L2Norm *q = arg;
  size_t N = q->N;
  for (size_t i = from; i < to; i++) {
    const real *x = q->x + i * N;
    real *restrict y = q->y + i * N;
    acc square = 0;
    SIMD_SUM(square)
    for (size_t j = 0; j < N; j++) square += (acc)x[j] * (acc)x[j];
    acc inverse = 1 / fmax(sqrt(square), q->eps);
    for (size_t j = 0; j < N; j++) y[j] = (real)((acc)x[j] * inverse);
  }
}

void f_l2norm(const L2Norm *q) { RUN(l2norm, q, q->groups, pieces(HEAVY, at_least_1(q->N)), l2norm, *q); }

typedef struct {
  L2NormBackward op;
  bool add;
} L2NormBack;

/* y = x/|x|:  gx = (g - y (y.g)) / |x|; below eps the divisor is constant and gx = g / eps */
JOB static void l2norm_back(const void *arg, size_t from, size_t to)
{
  const L2NormBack *q = arg;
  const L2Norm *f = &q->op.forward;
  size_t N = f->N;
  for (size_t i = from; i < to; i++) {
    const real *x = f->x + i * N, *g = q->op.g + i * N;
    real *restrict gx = q->op.gx + i * N;
    acc square = 0, along = 0;
    SIMD_SUM(square, along)
    for (size_t j = 0; j < N; j++) {
      square += (acc)x[j] * (acc)x[j];
      along += (acc)x[j] * (acc)g[j];
    }
    acc length = sqrt(square), inverse = 1 / f->eps, back = 0;
    if (length > f->eps) inverse = 1 / length, back = along * inverse * inverse;
    for (size_t j = 0; j < N; j++) gx[j] = OLD(q->add, gx[j]) + (real)(((acc)g[j] - (acc)x[j] * back) * inverse);
  }
}

void f_l2norm_backward(const L2NormBackward *op)
{
  L2NormBack q = {*op, !fast_overwrite(op->gx)};
  RUN(l2norm_backward, op, op->forward.groups, pieces(HEAVY, at_least_1(op->forward.N)), l2norm_back, q);
}
