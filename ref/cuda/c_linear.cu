/* Linear maps and table look-up. */
#include "blas.h"
#include "columns.h"
#include "look_up.h"

/* ---- y = x W' + bias ---- */

/* y[i,o] = bias[o]: a thread for each number. */
KERNEL bias_rows(real *y, const real *bias, size_t n, size_t out)
{
  EACH(i, n) y[i] = bias[i % out];
}

void write_bias(real *y, const real *bias, size_t rows, size_t out)
{
  if (rows && out) LAUNCH(bias_rows, BLOCKS_FOR(rows * out), BLOCK, 0, y, bias, rows * out, out);
}

void c_linear(const Linear *op)
{
  Product y = {};
  y.factors = op->factors;
  y.C = op->y, y.A = op->x, y.B = op->w, y.B_is_turned = true, y.add = op->bias != NULL;
  y.M = op->rows, y.N = op->out, y.K = op->in;
  if (op->bias) write_bias(op->y, op->bias, op->rows, op->out);
  product(&y);
}

struct GradientOfBias {
  const real *g; /* [rows,out] */
  size_t out;
  __device__ real operator()(size_t row, size_t o) const { return g[row * out + o]; }
};

void c_linear_backward(const LinearBackward *op)
{
  const Linear *f = &op->forward;
  Product gx = {}, gw = {};
  gx.factors = gw.factors = f->factors;
  gx.C = op->gx, gx.A = op->g, gx.B = f->w, gx.add = true; /* gx = g W */
  gx.M = f->rows, gx.N = f->in, gx.K = f->out;
  if (op->gx) product(&gx);
  gw.C = op->gw, gw.A = op->g, gw.A_is_turned = true, gw.B = f->x, gw.add = true; /* gW = g' x */
  gw.M = f->out, gw.N = f->in, gw.K = f->rows;
  if (op->gw) product(&gw);
  if (op->gbias) add_columns(op->gbias, GradientOfBias{op->g, f->out}, f->rows, f->out);
}

/* ---- y = x M ---- */

void c_matmul(const Matmul *op)
{
  Product y = {};
  y.factors = op->factors;
  y.C = op->y, y.A = op->x, y.B = op->m, y.M = op->rows, y.N = op->out, y.K = op->in;
  product(&y);
}

void c_matmul_backward(const MatmulBackward *op)
{
  const Matmul *f = &op->forward;
  Product gx = {}, gm = {};
  gx.factors = gm.factors = f->factors;
  gx.C = op->gx, gx.A = op->g, gx.B = f->m, gx.B_is_turned = true, gx.add = true; /* gx = g M' */
  gx.M = f->rows, gx.N = f->in, gx.K = f->out;
  if (op->gx) product(&gx);
  gm.C = op->gm, gm.A = f->x, gm.A_is_turned = true, gm.B = op->g, gm.add = true; /* gM = x' g */
  gm.M = f->in, gm.N = f->out, gm.K = f->rows;
  if (op->gm) product(&gm);
}

/* ---- look-up ---- */

struct Table {
  const real *numbers;
  __device__ real operator()(size_t i) const { return numbers[i]; }
};

void c_rows(const Rows *op) { look_up(op->y, Table{op->table}, op->index, op->count, op->C); }
