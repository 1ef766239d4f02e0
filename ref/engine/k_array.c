/* What one does with arrays: axes in another order, the largest along an axis, picking, softmax, products of
   matrices. */
#include "kernels.h"
#include "elementary.h"

#include <math.h>

void k_permute(real *y, const real *x, const Strides *s)
{
  for (size_t i = 0; i < s->n[0]; i++)
    for (size_t j = 0; j < s->n[1]; j++)
      for (size_t k = 0; k < s->n[2]; k++)
        for (size_t l = 0; l < s->n[3]; l++)
          *y++ = x[i * s->step[0] + j * s->step[1] + k * s->step[2] + l * s->step[3]];
}

void k_permute_backward(real *gx, const real *g, const Strides *s)
{
  for (size_t i = 0; i < s->n[0]; i++)
    for (size_t j = 0; j < s->n[1]; j++)
      for (size_t k = 0; k < s->n[2]; k++)
        for (size_t l = 0; l < s->n[3]; l++)
          gx[i * s->step[0] + j * s->step[1] + k * s->step[2] + l * s->step[3]] += *g++;
}

void k_max(real *y, int *at, const real *x, size_t outer, size_t size, size_t inner)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < inner; i++) {
      size_t best = 0;
      for (size_t s = 1; s < size; s++) {
        real a = x[(o * size + s) * inner + i], b = x[(o * size + best) * inner + i];
        if (a > b || (a != a && b == b)) best = s; /* the first of equals; a NaN is larger than all */
      }
      at[o * inner + i] = (int)best;
      y[o * inner + i] = x[(o * size + best) * inner + i];
    }
}

void k_max_backward(real *gx, const real *g, const int *at, size_t outer, size_t size, size_t inner)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < inner; i++)
      gx[(o * size + (size_t)at[o * inner + i]) * inner + i] += g[o * inner + i];
}

void k_gather(real *y, const real *x, const int *index, size_t rows, size_t n, size_t count)
{
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < count; c++) y[r * count + c] = x[r * n + (size_t)index[r * count + c]];
}

void k_gather_backward(real *gx, const real *g, const int *index, size_t rows, size_t n, size_t count)
{
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < count; c++) gx[r * n + (size_t)index[r * count + c]] += g[r * count + c];
}

void k_softmax(real *y, const real *x, size_t rows, size_t n)
{
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    acc top = x[0], sum = 0;
    for (size_t j = 1; j < n; j++) top = fmax(top, x[j]);
    for (size_t j = 0; j < n; j++) sum += m_exp((acc)x[j] - top);
    for (size_t j = 0; j < n; j++) y[j] = (real)(m_exp((acc)x[j] - top) / sum);
  }
}

void k_softmax_backward(real *gx, const real *g, const real *y, size_t rows, size_t n) /* y (g - y.g) */
{
  for (size_t r = 0; r < rows; r++, gx += n, g += n, y += n) {
    acc along = 0;
    for (size_t j = 0; j < n; j++) along += (acc)y[j] * (acc)g[j];
    for (size_t j = 0; j < n; j++) gx[j] += (real)((acc)y[j] * ((acc)g[j] - along));
  }
}

void k_bmm(real *y, const real *a, const real *b, const Matrices *s)
{
  for (size_t i = 0; i < s->batch; i++, a += s->a_step, b += s->b_step)
    for (size_t m = 0; m < s->M; m++)
      for (size_t n = 0; n < s->N; n++) {
        acc sum = 0;
        for (size_t k = 0; k < s->K; k++) sum += (acc)a[m * s->K + k] * (acc)b[k * s->N + n];
        *y++ = (real)sum;
      }
}

void k_bmm_backward(real *ga, real *gb, const real *g, const real *a, const real *b, const Matrices *s)
{
  for (size_t i = 0; i < s->batch; i++, g += s->M * s->N) {
    const real *ai = a + i * s->a_step, *bi = b + i * s->b_step;
    for (size_t m = 0; ga && m < s->M; m++) /* ga = g b' */
      for (size_t k = 0; k < s->K; k++) {
        acc sum = 0;
        for (size_t n = 0; n < s->N; n++) sum += (acc)g[m * s->N + n] * (acc)bi[k * s->N + n];
        ga[i * s->a_step + m * s->K + k] += (real)sum;
      }
    for (size_t k = 0; gb && k < s->K; k++) /* gb = a' g */
      for (size_t n = 0; n < s->N; n++) {
        acc sum = 0;
        for (size_t m = 0; m < s->M; m++) sum += (acc)ai[m * s->K + k] * (acc)g[m * s->N + n];
        gb[i * s->b_step + k * s->N + n] += (real)sum;
      }
  }
}
