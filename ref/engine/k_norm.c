/* Normalisation. */
#include "kernels.h"

#include <math.h>

void k_norm(real *y, acc *stats, const real *x, const real *weight, const real *bias, acc eps, size_t rows,
            size_t H, size_t N)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t h = 0; h < H; h++) {
      const real *xg = x + (i * H + h) * N;
      acc mean = 0, variance = 0;
      for (size_t j = 0; j < N; j++) mean += (acc)xg[j];
      mean /= (acc)N;
      for (size_t j = 0; j < N; j++) variance += ((acc)xg[j] - mean) * ((acc)xg[j] - mean);
      variance /= (acc)N;
      acc scale = 1 / sqrt(variance + eps);
      for (size_t j = 0; j < N; j++)
        y[(i * H + h) * N + j] =
            (real)(((acc)xg[j] - mean) * scale * (acc)weight[h * N + j] + (acc)bias[h * N + j]);
      stats[(i * H + h) * 2] = mean;
      stats[(i * H + h) * 2 + 1] = scale;
    }
}

/* With z = (x - mean) scale and q = g weight:  gx = scale (q - mean(q) - z mean(q z)) */
void k_norm_backward(real *gx, real *gweight, real *gbias, const real *g, const acc *stats, const real *x,
                     const real *weight, size_t rows, size_t H, size_t N)
{
  for (size_t i = 0; gx && i < rows; i++)
    for (size_t h = 0; h < H; h++) {
      const real *xg = x + (i * H + h) * N, *gg = g + (i * H + h) * N;
      acc mean = stats[(i * H + h) * 2], scale = stats[(i * H + h) * 2 + 1];
      acc mean_q = 0, mean_qz = 0;
      for (size_t j = 0; j < N; j++) {
        acc q = (acc)gg[j] * (acc)weight[h * N + j], z = ((acc)xg[j] - mean) * scale;
        mean_q += q / (acc)N;
        mean_qz += q * z / (acc)N;
      }
      for (size_t j = 0; j < N; j++) {
        acc q = (acc)gg[j] * (acc)weight[h * N + j], z = ((acc)xg[j] - mean) * scale;
        gx[(i * H + h) * N + j] += (real)(scale * (q - mean_q - z * mean_qz));
      }
    }
  for (size_t c = 0; (gweight || gbias) && c < H * N; c++) {
    acc sum_gz = 0, sum_g = 0;
    for (size_t i = 0; i < rows; i++) {
      const acc *st = stats + (i * H + c / N) * 2;
      sum_gz += (acc)g[i * H * N + c] * ((acc)x[i * H * N + c] - st[0]) * st[1];
      sum_g += (acc)g[i * H * N + c];
    }
    if (gweight) gweight[c] += (real)sum_gz;
    if (gbias) gbias[c] += (real)sum_g;
  }
}

static acc length(const real *x, size_t n)
{
  acc sum = 0;
  for (size_t j = 0; j < n; j++) sum += (acc)x[j] * (acc)x[j];
  return sqrt(sum);
}

void k_l2norm(real *y, const real *x, acc eps, size_t groups, size_t N)
{
  for (size_t i = 0; i < groups; i++, x += N, y += N) {
    acc d = fmax(length(x, N), eps);
    for (size_t j = 0; j < N; j++) y[j] = (real)((acc)x[j] / d);
  }
}

/* y = x/|x|:  gx = (g - y (y.g)) / |x|; below eps the divisor is constant and gx = g / eps */
void k_l2norm_backward(real *gx, const real *g, const real *x, acc eps, size_t groups, size_t N)
{
  for (size_t i = 0; i < groups; i++, x += N, g += N, gx += N) {
    acc d = length(x, N), along = 0;
    if (d > eps)
      for (size_t j = 0; j < N; j++) along += (acc)x[j] / d * (acc)g[j];
    else
      d = eps;
    for (size_t j = 0; j < N; j++) gx[j] += (real)(((acc)g[j] - (acc)x[j] / d * along) / d);
  }
}
