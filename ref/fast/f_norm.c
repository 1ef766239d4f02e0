/* Normalisation. */
#include "f_inside.h"

#include <math.h>

typedef struct {
  real *y, *gx, *gweight, *gbias;
  acc *stats;
  const real *g, *x, *weight, *bias;
  const acc *saved;
  acc eps;
  size_t H, N;
  bool add;
} Norm;

JOB static void norm(const void *arg, size_t from, size_t to)
{
  const Norm *q = arg;
  size_t N = q->N;
  for (size_t i = from; i < to; i++) /* i: row * H + head */ {
    const real *x = q->x + i * N, *weight = q->weight + i % q->H * N, *bias = q->bias + i % q->H * N;
    real *restrict y = q->y + i * N;
    acc mean = 0, variance = 0;
    SIMD_SUM(mean)
    for (size_t j = 0; j < N; j++) mean += (acc)x[j];
    mean /= (acc)N;
    SIMD_SUM(variance)
    for (size_t j = 0; j < N; j++) variance += ((acc)x[j] - mean) * ((acc)x[j] - mean);
    acc scale = 1 / sqrt(variance / (acc)N + q->eps);
    for (size_t j = 0; j < N; j++) y[j] = (real)(((acc)x[j] - mean) * scale) * weight[j] + bias[j];
    q->stats[i * 2] = mean;
    q->stats[i * 2 + 1] = scale;
  }
}

void f_norm(real *y, acc *stats, const real *x, const real *weight, const real *bias, acc eps, size_t rows,
            size_t H, size_t N)
{
  Norm q = {.y = y, .stats = stats, .x = x, .weight = weight, .bias = bias, .eps = eps, .H = H, .N = N};
  RUN(rows * H, pieces(HEAVY, at_least_1(N)), norm, q, READS(x, rows * H * N), READS_ALL(weight), READS_ALL(bias),
      WRITES(y, rows * H * N), WRITES(stats, rows * H * 2));
}

/* With z = (x - mean) scale and q = g weight:  gx = scale (q - mean(q) - z mean(q z)) */
JOB static void norm_back(const void *arg, size_t from, size_t to)
{
  const Norm *q = arg;
  size_t N = q->N;
  for (size_t i = from; i < to; i++) {
    const real *x = q->x + i * N, *g = q->g + i * N, *weight = q->weight + i % q->H * N;
    real *restrict gx = q->gx + i * N;
    acc mean = q->saved[i * 2], scale = q->saved[i * 2 + 1], sum = 0, sum_z = 0;
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

JOB static void norm_back_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0,
                                  size_t col1)
{
  const Norm *q = arg;
  size_t C = q->H * q->N;
  for (size_t i = row0; i < row1; i++)
    for (size_t h = col0 / q->N; h * q->N < col1; h++) { /* the part of this head that is in the tile */
      const acc *st = q->saved + (i * q->H + h) * 2;
      size_t start = h * q->N < col0 ? col0 : h * q->N, end = smaller(col1, (h + 1) * q->N);
      const real *g = q->g + i * C, *x = q->x + i * C;
      for (size_t c = start; c < end; c++) sum[0][c - col0] += (acc)g[c] * (((acc)x[c] - st[0]) * st[1]);
      for (size_t c = start; c < end; c++) sum[1][c - col0] += (acc)g[c];
    }
}

void f_norm_backward(real *gx, real *gweight, real *gbias, const real *g, const acc *stats, const real *x,
                     const real *weight, size_t rows, size_t H, size_t N)
{
  Norm q = {.gx = gx, .g = g, .saved = stats, .x = x, .weight = weight, .H = H, .N = N};
  size_t n = rows * H * N;
  q.add = !fast_overwrite(gx);
  if (gx)
    RUN(rows * H, pieces(HEAVY, at_least_1(N)), norm_back, q, READS(g, n), READS(stats, rows * H * 2), READS(x, n),
        READS_ALL(weight), WRITES(gx, n));
  if (gweight || gbias)
    COLUMNS(((real *[SUMS]){gweight, gbias}), rows, H * N, norm_back_columns, q, READS(g, n),
            READS(stats, rows * H * 2), READS(x, n));
}

/* ---- unit length ---- */

JOB static void l2norm(const void *arg, size_t from, size_t to)
{
  const Norm *q = arg;
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

void f_l2norm(real *y, const real *x, acc eps, size_t groups, size_t N)
{
  Norm q = {.y = y, .x = x, .eps = eps, .N = N};
  RUN(groups, pieces(HEAVY, at_least_1(N)), l2norm, q, READS(x, groups * N), WRITES(y, groups * N));
}

/* y = x/|x|:  gx = (g - y (y.g)) / |x|; below eps the divisor is constant and gx = g / eps */
JOB static void l2norm_back(const void *arg, size_t from, size_t to)
{
  const Norm *q = arg;
  size_t N = q->N;
  for (size_t i = from; i < to; i++) {
    const real *x = q->x + i * N, *g = q->g + i * N;
    real *restrict gx = q->gx + i * N;
    acc square = 0, along = 0;
    SIMD_SUM(square, along)
    for (size_t j = 0; j < N; j++) {
      square += (acc)x[j] * (acc)x[j];
      along += (acc)x[j] * (acc)g[j];
    }
    acc length = sqrt(square), inverse = 1 / q->eps, back = 0;
    if (length > q->eps) inverse = 1 / length, back = along * inverse * inverse;
    for (size_t j = 0; j < N; j++) gx[j] = OLD(q->add, gx[j]) + (real)(((acc)g[j] - (acc)x[j] * back) * inverse);
  }
}

void f_l2norm_backward(real *gx, const real *g, const real *x, acc eps, size_t groups, size_t N)
{
  Norm q = {.gx = gx, .g = g, .x = x, .eps = eps, .N = N, .add = !fast_overwrite(gx)};
  RUN(groups, pieces(HEAVY, at_least_1(N)), l2norm_back, q, READS(g, groups * N), READS(x, groups * N),
      WRITES(gx, groups * N));
}
