#include "chunk_checks.h"

#include <math.h>
#include <string.h>

real extreme_log_decay(Rng *rng)
{
  static const real some[] = {0, (real)-1e-8, -1, -30, -2000, -INFINITY};
  return some[rng_below(rng, 6)];
}

double root_of_mean_square(const real *x, const real *y, size_t n)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double d = (double)x[i] - (y ? (double)y[i] : 0);
    sum += d * d;
  }
  return sqrt(sum / (double)n);
}

Apart apart(const real *got, const real *want, size_t n, double allowed)
{
  Apart a = {.all = root_of_mean_square(want, NULL, n), .off = root_of_mean_square(got, want, n)};
  for (size_t k = 0; k < n; k++) a.worst = fmax(a.worst, fabs((double)got[k] - (double)want[k]));
  if (allowed > 0) a.fits = a.off <= allowed * a.all && a.worst <= 10 * allowed * a.all;
  else a.fits = memcmp(got, want, n * sizeof *got) == 0;
  return a;
}
