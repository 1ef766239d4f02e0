/* y = scale x + offset, and z = x + (p - x) mu. */
#include "f_inside.h"

/* ---- affine ---- */

typedef struct {
  real *out;
  const real *in;
  real scale, offset;
  bool add;
} Affine;

JOB static void affine(const void *arg, size_t from, size_t to)
{
  const Affine *q = arg;
  real scale = q->scale, offset = q->offset;
  for (size_t i = from; i < to; i++) q->out[i] = scale * q->in[i] + offset;
}

JOB static void affine_back(const void *arg, size_t from, size_t to)
{
  const Affine *q = arg;
  real scale = q->scale;
  for (size_t i = from; i < to; i++) q->out[i] = OLD(q->add, q->out[i]) + scale * q->in[i];
}

void f_affine(real *y, const real *x, acc scale, acc offset, size_t n)
{
  Affine q = {y, x, (real)scale, (real)offset, false};
  RUN(n, LIGHT, affine, q, READS(x, n), WRITES(y, n));
}

void f_affine_backward(real *gx, const real *g, acc scale, size_t n)
{
  Affine q = {gx, g, (real)scale, 0, !fast_overwrite(gx)};
  RUN(n, LIGHT, affine_back, q, READS(g, n), WRITES(gx, n));
}

/* ---- lerp ---- */

typedef struct {
  real *z, *gx, *gp, *gmu;
  const real *g, *x, *p, *mu;
  size_t C;
  bool add_x, add_p, add_mu;
} Lerp;

JOB static void lerp_rows(const void *arg, size_t from, size_t to) /* mu [C] */
{
  const Lerp *q = arg;
  for (size_t i = from; i < to; i++) {
    const real *x = q->x + i * q->C, *p = q->p + i * q->C, *mu = q->mu;
    real *z = q->z + i * q->C;
    for (size_t c = 0; c < q->C; c++) z[c] = x[c] + (p[c] - x[c]) * mu[c];
  }
}

JOB static void lerp_line(const void *arg, size_t from, size_t to) /* mu as x */
{
  const Lerp *q = arg;
  for (size_t i = from; i < to; i++) q->z[i] = q->x[i] + (q->p[i] - q->x[i]) * q->mu[i];
}

void f_lerp(real *z, const real *x, const real *p, const real *mu, size_t rows, size_t mu_rows, size_t C)
{
  Lerp q = {.z = z, .x = x, .p = p, .mu = mu, .C = C};
  size_t n = rows * C;
  if (mu_rows == rows) RUN(n, LIGHT, lerp_line, q, READS(x, n), READS(p, n), READS(mu, n), WRITES(z, n));
  else if (mu_rows == 1)
    RUN(rows, pieces(LIGHT, at_least_1(C)), lerp_rows, q, READS(x, n), READS(p, n), READS_ALL(mu), WRITES(z, n));
  else fast_settle(), k_lerp(z, x, p, mu, rows, mu_rows, C);
}

JOB static void lerp_back_line(const void *arg, size_t from, size_t to)
{
  const Lerp *q = arg;
  const real *g = q->g, *mu = q->mu;
  if (q->gx)
    for (size_t i = from; i < to; i++) q->gx[i] = OLD(q->add_x, q->gx[i]) + g[i] * (1 - mu[i]);
  if (q->gp)
    for (size_t i = from; i < to; i++) q->gp[i] = OLD(q->add_p, q->gp[i]) + g[i] * mu[i];
  if (q->gmu)
    for (size_t i = from; i < to; i++) q->gmu[i] = OLD(q->add_mu, q->gmu[i]) + g[i] * (q->p[i] - q->x[i]);
}

/* One walk over the rows for all three gradients: g, x and p are too large to be read twice. */
JOB static void lerp_back_rows(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const Lerp *q = arg;
  const real *mu = q->mu + col0;
  size_t n = col1 - col0;
  acc *s = sum[0];
  for (size_t i = row0; i < row1; i++) {
    size_t at = i * q->C + col0;
    const real *g = q->g + at, *x = q->x + at, *p = q->p + at;
    if (q->gx) {
      real *restrict gx = q->gx + at;
      for (size_t c = 0; c < n; c++) gx[c] = OLD(q->add_x, gx[c]) + g[c] * (1 - mu[c]);
    }
    if (q->gp) {
      real *restrict gp = q->gp + at;
      for (size_t c = 0; c < n; c++) gp[c] = OLD(q->add_p, gp[c]) + g[c] * mu[c];
    }
    if (q->gmu)
      for (size_t c = 0; c < n; c++) s[c] += (acc)(g[c] * (p[c] - x[c]));
  }
}

void f_lerp_backward(real *gx, real *gp, real *gmu, const real *g, const real *x, const real *p, const real *mu,
                     size_t rows, size_t mu_rows, size_t C)
{
  Lerp q = {NULL, gx, gp, gmu, g, x, p, mu, C, true, true, true};
  size_t n = rows * C;
  if (mu_rows == rows || mu_rows == 1) q.add_x = !fast_overwrite(gx), q.add_p = !fast_overwrite(gp);
  if (mu_rows == rows && rows > 1) q.add_mu = !fast_overwrite(gmu);
  if (mu_rows == rows)
    RUN(n, LIGHT, lerp_back_line, q, READS(g, n), READS(x, n), READS(p, n), READS(mu, n), WRITES(gx, n), WRITES(gp, n),
        WRITES(gmu, n));
  else if (mu_rows == 1)
    COLUMNS(((real *[SUMS]){gmu}), rows, C, lerp_back_rows, q, READS(g, n), READS(x, n), READS(p, n), READS_ALL(mu),
            WRITES(gx, n), WRITES(gp, n));
  else fast_settle(), k_lerp_backward(gx, gp, gmu, g, x, p, mu, rows, mu_rows, C);
}
