/* y = scale x + offset, and z = x + (p - x) mu. */
#include "f_job.h"

/* ---- affine ---- */

/* ---- affine ---- */

JOB static void affine(const void *arg, size_t from, size_t to)
{
  const Affine *q = arg;
  real scale = (real)q->scale, offset = (real)q->offset;
  for (size_t i = from; i < to; i++) q->y[i] = scale * q->x[i] + offset;
}

void f_affine(const Affine *q) { RUN(affine, q, q->n, LIGHT, affine, *q); }

typedef struct {
  AffineBackward op;
  bool add; /* otherwise there is nothing to be added to */
} AffineBack;

JOB static void affine_back(const void *arg, size_t from, size_t to)
{
  const AffineBack *q = arg;
  const real *g = q->op.g;
  real *gx = q->op.gx, scale = (real)q->op.forward.scale;
  for (size_t i = from; i < to; i++) gx[i] = OLD(q->add, gx[i]) + scale * g[i];
}

void f_affine_backward(const AffineBackward *op)
{
  AffineBack q = {*op, !fast_overwrite(op->gx)};
  RUN(affine_backward, op, op->forward.n, LIGHT, affine_back, q);
}

/* ---- lerp ---- */

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

void f_lerp(const Lerp *q)
{
  if (q->mu_rows == q->rows) RUN(lerp, q, q->rows * q->C, LIGHT, lerp_line, *q);
  else if (q->mu_rows == 1) RUN(lerp, q, q->rows, pieces(LIGHT, at_least_1(q->C)), lerp_rows, *q);
  else fast_reference(OP_lerp, q);
}

typedef struct {
  LerpBackward op;
  bool add_x, add_p, add_mu; /* otherwise there is nothing to be added to */
} LerpBack;

JOB static void lerp_back_line(const void *arg, size_t from, size_t to)
{
  const LerpBack *q = arg;
  const Lerp *f = &q->op.forward;
  const real *g = q->op.g, *mu = f->mu;
  real *gx = q->op.gx, *gp = q->op.gp, *gmu = q->op.gmu;
  if (gx)
    for (size_t i = from; i < to; i++) gx[i] = OLD(q->add_x, gx[i]) + g[i] * (1 - mu[i]);
  if (gp)
    for (size_t i = from; i < to; i++) gp[i] = OLD(q->add_p, gp[i]) + g[i] * mu[i];
  if (gmu)
    for (size_t i = from; i < to; i++) gmu[i] = OLD(q->add_mu, gmu[i]) + g[i] * (f->p[i] - f->x[i]);
}

/* One walk over the rows for all three gradients: g, x and p are too large to be read twice. */
JOB static void lerp_back_rows(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const LerpBack *q = arg;
  const Lerp *f = &q->op.forward;
  const real *mu = f->mu + col0;
  size_t n = col1 - col0;
  acc *s = sum[0];
  for (size_t i = row0; i < row1; i++) {
    size_t at = i * f->C + col0;
    const real *g = q->op.g + at, *x = f->x + at, *p = f->p + at;
    if (q->op.gx) {
      real *restrict gx = q->op.gx + at;
      for (size_t c = 0; c < n; c++) gx[c] = OLD(q->add_x, gx[c]) + g[c] * (1 - mu[c]);
    }
    if (q->op.gp) {
      real *restrict gp = q->op.gp + at;
      for (size_t c = 0; c < n; c++) gp[c] = OLD(q->add_p, gp[c]) + g[c] * mu[c];
    }
    if (q->op.gmu)
      for (size_t c = 0; c < n; c++) s[c] += (acc)(g[c] * (p[c] - x[c]));
  }
}

void f_lerp_backward(const LerpBackward *op)
{
  size_t rows = op->forward.rows, mu_rows = op->forward.mu_rows, C = op->forward.C;
  if (mu_rows != rows && mu_rows != 1) {
    fast_reference(OP_lerp_backward, op);
    return;
  }
  LerpBack q = {*op, !fast_overwrite(op->gx), !fast_overwrite(op->gp), true};
  if (mu_rows == rows && rows > 1) q.add_mu = !fast_overwrite(op->gmu);
  if (mu_rows == rows) RUN(lerp_backward, op, rows * C, LIGHT, lerp_back_line, q);
  else fast_columns(OP_lerp_backward, op, (real *[SUMS]){op->gmu}, rows, C, lerp_back_rows, &q, sizeof q);
}
