/* What one does with arrays: axes in another order, the largest along an axis, picking, softmax, products of
   matrices. */
#include "k_array.h"
#include "elementary.h"

#include <math.h>

void k_permute(const Permute *op)
{
  real *y = op->y;
  for (size_t i = 0; i < op->n[0]; i++)
    for (size_t j = 0; j < op->n[1]; j++)
      for (size_t k = 0; k < op->n[2]; k++)
        for (size_t l = 0; l < op->n[3]; l++)
          *y++ = op->x[i * op->step[0] + j * op->step[1] + k * op->step[2] + l * op->step[3]];
}

void k_permute_backward(const PermuteBackward *op)
{
  const Permute *f = &op->forward;
  const real *g = op->g;
  for (size_t i = 0; i < f->n[0]; i++)
    for (size_t j = 0; j < f->n[1]; j++)
      for (size_t k = 0; k < f->n[2]; k++)
        for (size_t l = 0; l < f->n[3]; l++)
          op->gx[i * f->step[0] + j * f->step[1] + k * f->step[2] + l * f->step[3]] += *g++;
}

void k_max(const Max *op)
{
  size_t size = op->size, inner = op->inner;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < inner; i++) {
      size_t best = 0;
      for (size_t s = 1; s < size; s++) {
        real a = op->x[(o * size + s) * inner + i], b = op->x[(o * size + best) * inner + i];
        if (a > b || (a != a && b == b)) best = s; /* the first of equals; a NaN is larger than all */
      }
      op->at[o * inner + i] = (int)best;
      op->y[o * inner + i] = op->x[(o * size + best) * inner + i];
    }
}

void k_max_backward(const MaxBackward *op)
{
  const Max *f = &op->forward;
  size_t inner = f->inner;
  for (size_t o = 0; o < f->outer; o++)
    for (size_t i = 0; i < inner; i++)
      op->gx[(o * f->size + (size_t)f->at[o * inner + i]) * inner + i] += op->g[o * inner + i];
}

void k_gather(const Gather *op)
{
  size_t count = op->count;
  for (size_t r = 0; r < op->rows; r++)
    for (size_t c = 0; c < count; c++) op->y[r * count + c] = op->x[r * op->n + (size_t)op->index[r * count + c]];
}

void k_gather_backward(const GatherBackward *op)
{
  const Gather *f = &op->forward;
  size_t count = f->count;
  for (size_t r = 0; r < f->rows; r++)
    for (size_t c = 0; c < count; c++) op->gx[r * f->n + (size_t)f->index[r * count + c]] += op->g[r * count + c];
}

void k_softmax(const Softmax *op)
{
  size_t n = op->n;
  real *y = op->y;
  const real *x = op->x;
  for (size_t r = 0; r < op->rows; r++, x += n, y += n) {
    acc top = x[0], sum = 0;
    for (size_t j = 1; j < n; j++) top = fmax(top, x[j]);
    for (size_t j = 0; j < n; j++) sum += m_exp((acc)x[j] - top);
    for (size_t j = 0; j < n; j++) y[j] = (real)(m_exp((acc)x[j] - top) / sum);
  }
}

void k_softmax_backward(const SoftmaxBackward *op)
{
  const Softmax *f = &op->forward;
  size_t n = f->n;
  real *gx = op->gx;
  const real *g = op->g, *y = f->y;
  for (size_t r = 0; r < f->rows; r++, gx += n, g += n, y += n) {
    acc along = 0;
    for (size_t j = 0; j < n; j++) along += (acc)y[j] * (acc)g[j];
    for (size_t j = 0; j < n; j++) gx[j] += (real)((acc)y[j] * ((acc)g[j] - along));
  }
}

void k_bmm(const Bmm *op)
{
  real *y = op->y;
  const real *a = op->a, *b = op->b;
  for (size_t i = 0; i < op->batch; i++, a += op->a_step, b += op->b_step)
    for (size_t m = 0; m < op->M; m++)
      for (size_t n = 0; n < op->N; n++) {
        acc sum = 0;
        for (size_t k = 0; k < op->K; k++) sum += (acc)a[m * op->K + k] * (acc)b[k * op->N + n];
        *y++ = (real)sum;
      }
}

void k_bmm_backward(const BmmBackward *op)
{
  const Bmm *f = &op->forward;
  const real *g = op->g;
  for (size_t i = 0; i < f->batch; i++, g += f->M * f->N) {
    const real *ai = f->a + i * f->a_step, *bi = f->b + i * f->b_step;
    for (size_t m = 0; op->ga && m < f->M; m++) /* ga = g b' */
      for (size_t k = 0; k < f->K; k++) {
        acc sum = 0;
        for (size_t n = 0; n < f->N; n++) sum += (acc)g[m * f->N + n] * (acc)bi[k * f->N + n];
        op->ga[i * f->a_step + m * f->K + k] += (real)sum;
      }
    for (size_t k = 0; op->gb && k < f->K; k++) /* gb = a' g */
      for (size_t n = 0; n < f->N; n++) {
        acc sum = 0;
        for (size_t m = 0; m < f->M; m++) sum += (acc)ai[m * f->K + k] * (acc)g[m * f->N + n];
        op->gb[i * f->b_step + k * f->N + n] += (real)sum;
      }
  }
}
