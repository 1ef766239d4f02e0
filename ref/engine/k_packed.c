/* Linear maps and table look-up with a matrix that is kept in 16 or 32 bits: as in k_linear.c, number by number. */
#include "k_packed.h"

void k_linear_packed(const LinearPacked *op)
{
  size_t in = op->in, out = op->out;
  Factors as = op->factors;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = op->bias ? op->bias[o] : 0;
      for (size_t c = 0; c < in; c++)
        sum += packed_factor(as, op->x[i * in + c]) * packed_factor(as, packed_number(op->w, o * in + c));
      op->y[i * out + o] = (real)sum;
    }
}

void k_matmul_packed(const MatmulPacked *op)
{
  size_t in = op->in, out = op->out;
  Factors as = op->factors;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t c = 0; c < in; c++)
        sum += packed_factor(as, op->x[i * in + c]) * packed_factor(as, packed_number(op->m, c * out + o));
      op->y[i * out + o] = (real)sum;
    }
}

void k_rows_packed(const RowsPacked *op)
{
  size_t C = op->C;
  for (size_t i = 0; i < op->count; i++)
    for (size_t c = 0; c < C; c++) op->y[i * C + c] = (real)packed_number(op->table, (size_t)op->index[i] * C + c);
}
