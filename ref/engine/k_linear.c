/* Linear maps and table look-up. */
#include "kernels.h"

void k_linear(real *y, const real *x, const real *w, const real *bias, size_t rows, size_t in, size_t out)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = bias ? bias[o] : 0;
      for (size_t c = 0; c < in; c++) sum += (acc)x[i * in + c] * (acc)w[o * in + c];
      y[i * out + o] = (real)sum;
    }
}

void k_linear_backward(real *gx, real *gw, real *gbias, const real *g, const real *x, const real *w,
                       size_t rows, size_t in, size_t out)
{
  for (size_t i = 0; gx && i < rows; i++) /* gx = g W */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t o = 0; o < out; o++) sum += (acc)g[i * out + o] * (acc)w[o * in + c];
      gx[i * in + c] += (real)sum;
    }
  for (size_t o = 0; gw && o < out; o++) /* gW = g' x */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t i = 0; i < rows; i++) sum += (acc)g[i * out + o] * (acc)x[i * in + c];
      gw[o * in + c] += (real)sum;
    }
  for (size_t o = 0; gbias && o < out; o++) {
    acc sum = 0;
    for (size_t i = 0; i < rows; i++) sum += (acc)g[i * out + o];
    gbias[o] += (real)sum;
  }
}

void k_matmul(real *y, const real *x, const real *m, size_t rows, size_t in, size_t out)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t c = 0; c < in; c++) sum += (acc)x[i * in + c] * (acc)m[c * out + o];
      y[i * out + o] = (real)sum;
    }
}

void k_matmul_backward(real *gx, real *gm, const real *g, const real *x, const real *m, size_t rows,
                       size_t in, size_t out)
{
  for (size_t i = 0; gx && i < rows; i++) /* gx = g M' */
    for (size_t c = 0; c < in; c++) {
      acc sum = 0;
      for (size_t o = 0; o < out; o++) sum += (acc)g[i * out + o] * (acc)m[c * out + o];
      gx[i * in + c] += (real)sum;
    }
  for (size_t c = 0; gm && c < in; c++) /* gM = x' g */
    for (size_t o = 0; o < out; o++) {
      acc sum = 0;
      for (size_t i = 0; i < rows; i++) sum += (acc)x[i * in + c] * (acc)g[i * out + o];
      gm[c * out + o] += (real)sum;
    }
}

void k_rows(real *y, const real *table, const int *index, size_t count, size_t C)
{
  for (size_t i = 0; i < count; i++)
    for (size_t c = 0; c < C; c++) y[i * C + c] = table[(size_t)index[i] * C + c];
}

void k_rows_backward(real *gtable, const real *g, const int *index, size_t count, size_t C)
{
  for (size_t i = 0; i < count; i++)
    for (size_t c = 0; c < C; c++) gtable[(size_t)index[i] * C + c] += g[i * C + c];
}
