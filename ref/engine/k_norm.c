/* Normalisation. */
#include "k_norm.h"

#include <math.h>

void k_norm(const Norm *op)
{
  size_t H = op->H, N = op->N;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t h = 0; h < H; h++) {
      const real *xg = op->x + (i * H + h) * N;
      acc mean = 0, variance = 0;
      for (size_t j = 0; j < N; j++) mean += (acc)xg[j];
      mean /= (acc)N;
      for (size_t j = 0; j < N; j++) variance += ((acc)xg[j] - mean) * ((acc)xg[j] - mean);
      variance /= (acc)N;
      acc scale = 1 / sqrt(variance + op->eps);
      for (size_t j = 0; j < N; j++)
        op->y[(i * H + h) * N + j] = (real)(((acc)xg[j] - mean) * scale * (acc)op->weight[h * N + j] +
                                            (acc)op->bias[h * N + j]);
      op->stats[(i * H + h) * 2] = mean;
      op->stats[(i * H + h) * 2 + 1] = scale;
    }
}

/* With z = (x - mean) scale and q = g weight:  gx = scale (q - mean(q) - z mean(q z)) */
void k_norm_backward(const NormBackward *op)
{
  const Norm *f = &op->forward;
  size_t rows = f->rows, H = f->H, N = f->N;
  for (size_t i = 0; op->gx && i < rows; i++)
    for (size_t h = 0; h < H; h++) {
      const real *xg = f->x + (i * H + h) * N, *gg = op->g + (i * H + h) * N;
      acc mean = f->stats[(i * H + h) * 2], scale = f->stats[(i * H + h) * 2 + 1];
      acc mean_q = 0, mean_qz = 0;
      for (size_t j = 0; j < N; j++) {
        acc q = (acc)gg[j] * (acc)f->weight[h * N + j], z = ((acc)xg[j] - mean) * scale;
        mean_q += q / (acc)N;
        mean_qz += q * z / (acc)N;
      }
      for (size_t j = 0; j < N; j++) {
        acc q = (acc)gg[j] * (acc)f->weight[h * N + j], z = ((acc)xg[j] - mean) * scale;
        op->gx[(i * H + h) * N + j] += (real)(scale * (q - mean_q - z * mean_qz));
      }
    }
  for (size_t c = 0; (op->gweight || op->gbias) && c < H * N; c++) {
    acc sum_gz = 0, sum_g = 0;
    for (size_t i = 0; i < rows; i++) {
      const acc *st = f->stats + (i * H + c / N) * 2;
      sum_gz += (acc)op->g[i * H * N + c] * ((acc)f->x[i * H * N + c] - st[0]) * st[1];
      sum_g += (acc)op->g[i * H * N + c];
    }
    if (op->gweight) op->gweight[c] += (real)sum_gz;
    if (op->gbias) op->gbias[c] += (real)sum_g;
  }
}

static acc length(const real *x, size_t n)
{
  acc sum = 0;
  for (size_t j = 0; j < n; j++) sum += (acc)x[j] * (acc)x[j];
  return sqrt(sum);
}

void k_l2norm(const L2Norm *op)
{
  size_t N = op->N;
  real *y = op->y;
  const real *x = op->x;
  for (size_t i = 0; i < op->groups; i++, x += N, y += N) {
    acc d = fmax(length(x, N), op->eps);
    for (size_t j = 0; j < N; j++) y[j] = (real)((acc)x[j] / d);
  }
}

/* y = x/|x|:  gx = (g - y (y.g)) / |x|; below eps the divisor is constant and gx = g / eps */
void k_l2norm_backward(const L2NormBackward *op)
{
  const L2Norm *f = &op->forward;
  size_t N = f->N;
  real *gx = op->gx;
  const real *g = op->g, *x = f->x;
  for (size_t i = 0; i < f->groups; i++, x += N, g += N, gx += N) {
    acc d = length(x, N), along = 0;
    if (d > f->eps)
      for (size_t j = 0; j < N; j++) along += (acc)x[j] / d * (acc)g[j];
    else d = f->eps;
    for (size_t j = 0; j < N; j++) gx[j] += (real)(((acc)g[j] - (acc)x[j] / d * along) / d);
  }
}
