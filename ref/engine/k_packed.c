/* Linear maps and table look-up with a matrix that is kept in 16 or 32 bits: as in k_linear.c, number by number. */
#include "kernels.h"

void k_linear_packed(real *y, const real *x, Packed w, const real *bias, size_t rows, size_t in, size_t out)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = bias ? bias[o] : 0;
      for (size_t c = 0; c < in; c++) sum += (acc)x[i * in + c] * packed_number(w, o * in + c);
      y[i * out + o] = (real)sum;
    }
}

void k_matmul_packed(real *y, const real *x, Packed m, size_t rows, size_t in, size_t out)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t c = 0; c < in; c++) sum += (acc)x[i * in + c] * packed_number(m, c * out + o);
      y[i * out + o] = (real)sum;
    }
}

void k_rows_packed(real *y, Packed table, const int *index, size_t count, size_t C)
{
  for (size_t i = 0; i < count; i++)
    for (size_t c = 0; c < C; c++) y[i * C + c] = (real)packed_number(table, (size_t)index[i] * C + c);
}
