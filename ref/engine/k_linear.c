/* Linear maps and table look-up. */
#include "k_linear.h"

void k_linear(const Linear *op)
{
  size_t in = op->in, out = op->out;
  Factors as = op->factors;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = op->bias ? op->bias[o] : 0;
      for (size_t c = 0; c < in; c++)
        sum += packed_factor(as, op->x[i * in + c]) * packed_factor(as, op->w[o * in + c]);
      op->y[i * out + o] = (real)sum;
    }
}

void k_linear_backward(const LinearBackward *op)
{
  const Linear *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  Factors as = f->factors;
  for (size_t i = 0; op->gx && i < rows; i++) /* gx = g W */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t o = 0; o < out; o++)
        sum += packed_factor(as, op->g[i * out + o]) * packed_factor(as, f->w[o * in + c]);
      op->gx[i * in + c] += (real)sum;
    }
  for (size_t o = 0; op->gw && o < out; o++) /* gW = g' x */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t i = 0; i < rows; i++)
        sum += packed_factor(as, op->g[i * out + o]) * packed_factor(as, f->x[i * in + c]);
      op->gw[o * in + c] += (real)sum;
    }
  for (size_t o = 0; op->gbias && o < out; o++) {
    acc sum = 0;
    for (size_t i = 0; i < rows; i++) sum += (acc)op->g[i * out + o];
    op->gbias[o] += (real)sum;
  }
}

void k_matmul(const Matmul *op)
{
  size_t in = op->in, out = op->out;
  Factors as = op->factors;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t c = 0; c < in; c++)
        sum += packed_factor(as, op->x[i * in + c]) * packed_factor(as, op->m[c * out + o]);
      op->y[i * out + o] = (real)sum;
    }
}

void k_matmul_backward(const MatmulBackward *op)
{
  const Matmul *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  Factors as = f->factors;
  for (size_t i = 0; op->gx && i < rows; i++) /* gx = g M' */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t o = 0; o < out; o++)
        sum += packed_factor(as, op->g[i * out + o]) * packed_factor(as, f->m[c * out + o]);
      op->gx[i * in + c] += (real)sum;
    }
  for (size_t c = 0; op->gm && c < in; c++) /* gM = x' g */
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t i = 0; i < rows; i++)
        sum += packed_factor(as, f->x[i * in + c]) * packed_factor(as, op->g[i * out + o]);
      op->gm[c * out + o] += (real)sum;
    }
}

void k_rows(const Rows *op)
{
  size_t C = op->C;
  for (size_t i = 0; i < op->count; i++)
    for (size_t c = 0; c < C; c++) op->y[i * C + c] = op->table[(size_t)op->index[i] * C + c];
}

void k_rows_backward(const RowsBackward *op)
{
  const Rows *f = &op->forward;
  size_t C = f->C;
  for (size_t i = 0; i < f->count; i++)
    for (size_t c = 0; c < C; c++) op->gtable[(size_t)f->index[i] * C + c] += op->g[i * C + c];
}
