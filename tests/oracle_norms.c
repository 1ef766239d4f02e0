/* The oracles of the norms. */
#include "oracle_inside.h"

#include <math.h>

/* ---- norms: section 0.1 ------------------------------------------------------------------------------ */

/* Mean, and sqrt(biased variance + eps), of one group, with directions. */
typedef struct {
  double mean, dmean, dev, ddev;
} moments;

static moments group_moments(size_t N, double eps, const double *x, const double *dx)
{
  moments m = {0, 0, 0, 0};
  double var = 0, dvar = 0, count = (double)N;
  for (size_t i = 0; i < N; i++) {
    m.mean += x[i] / count;
    m.dmean += at(dx, i) / count;
  }
  for (size_t i = 0; i < N; i++) {
    double centred = x[i] - m.mean;
    var += centred * centred / count;
    dvar += 2 * centred * (at(dx, i) - m.dmean) / count;
  }
  m.dev = sqrt(var + eps);
  m.ddev = dvar / (2 * m.dev);
  return m;
}

void oracle_group_norm_jvp(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in,
                           const oracle_norm_in *tan, double *y, double *dy)
{
  const oracle_norm_in zero = {0};
  if (!tan) tan = &zero;
  for (size_t g = 0; g < rows * H; g++) {
    moments m = group_moments(N, eps, in->x + g * N, row(tan->x, g * N));
    for (size_t j = 0; j < N; j++) {
      size_t i = g * N + j, c = g % H * N + j;
      double unit = (in->x[i] - m.mean) / m.dev;
      double dunit = (at(tan->x, i) - m.dmean - unit * m.ddev) / m.dev;
      double gamma = in->gamma ? in->gamma[c] : 1;
      put(y, i, unit * gamma + at(in->beta, c));
      put(dy, i, dunit * gamma + unit * at(tan->gamma, c) + at(tan->beta, c));
    }
  }
}

void oracle_group_norm(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in, double *y)
{
  oracle_group_norm_jvp(rows, H, N, eps, in, NULL, y, NULL);
}

void oracle_layer_norm_jvp(size_t rows, size_t C, double eps, const oracle_norm_in *in, const oracle_norm_in *tan,
                           double *y, double *dy)
{
  oracle_group_norm_jvp(rows, 1, C, eps, in, tan, y, dy);
}

void oracle_layer_norm(size_t rows, size_t C, double eps, const oracle_norm_in *in, double *y)
{
  oracle_layer_norm_jvp(rows, C, eps, in, NULL, y, NULL);
}

/* y = x / L with L = max(|x|, min_norm): dy = (dx - y dL) / L, dL = (x . dx) / |x| above min_norm, else 0. */
void oracle_l2_norm_jvp(size_t rows, size_t N, double min_norm, const double *x, const double *dx, double *y,
                        double *dy)
{
  for (size_t o = 0; o < rows * N; o += N) {
    double square = 0, dot = 0;
    for (size_t i = 0; i < N; i++) {
      square += x[o + i] * x[o + i];
      dot += x[o + i] * at(dx, o + i);
    }
    int above = sqrt(square) > min_norm;
    double length = above ? sqrt(square) : min_norm, dlength = above ? dot / length : 0;
    for (size_t i = o; i < o + N; i++) {
      double unit = x[i] / length;
      put(y, i, unit);
      put(dy, i, (at(dx, i) - unit * dlength) / length);
    }
  }
}

void oracle_l2_norm(size_t rows, size_t N, double min_norm, const double *x, double *y)
{
  oracle_l2_norm_jvp(rows, N, min_norm, x, NULL, y, NULL);
}
