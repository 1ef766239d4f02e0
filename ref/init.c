/* Initial values shared by the versions. */
#include "version.h"

#include "engine/err.h"

#include <math.h>
#include <stdlib.h>

void init_fill(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain;
}

void init_uniform(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain * (2 * rng_uniform(in->rng) - 1);
}

/* Subtracts from x its part along each of the `count` unit vectors before it; twice is enough
   (Giraud et al. 2005). All vectors have n elements, `step` apart. */
static void orthogonalise(double *q, size_t count, size_t n, size_t vector_step, size_t step)
{
  double *x = q + count * vector_step;
  for (int pass = 0; pass < 2; pass++)
    for (size_t j = 0; j < count; j++) {
      const double *e = q + j * vector_step;
      double along = 0;
      for (size_t i = 0; i < n; i++) along += e[i * step] * x[i * step];
      for (size_t i = 0; i < n; i++) x[i * step] -= along * e[i * step];
    }
  double length = 0;
  for (size_t i = 0; i < n; i++) length += x[i * step] * x[i * step];
  length = sqrt(length);
  for (size_t i = 0; i < n; i++) x[i * step] /= length;
}

/* Gram-Schmidt on a Gaussian matrix: the same distribution as the Q of its QR factorisation with the
   signs of R's diagonal made positive, which is what torch.nn.init.orthogonal_ draws from. */
void init_orthogonal(const Init *in)
{
  size_t rows = (size_t)in->rows, cols = (size_t)in->cols;
  bool tall = rows >= cols;
  size_t count = tall ? cols : rows, n = tall ? rows : cols;
  for (size_t i = 0; i < in->n; i++) in->out[i] = rng_normal(in->rng);
  for (size_t j = 0; j < count; j++) orthogonalise(in->out, j, n, tall ? 1 : cols, tall ? cols : 1);
  for (size_t i = 0; i < in->n; i++) in->out[i] *= in->gain;
}

void init_ortho_wide(const Init *in)
{
  Init scaled = *in;
  if (in->rows > in->cols) scaled.gain *= sqrt((double)in->rows / in->cols);
  init_orthogonal(&scaled);
}

void init_ln_x(const Init *in)
{
  double scale = pow((1.0 + in->layer) / in->d->L, 0.7);
  for (size_t i = 0; i < in->n; i++) in->out[i] = scale;
}

double ratio_0_to_1(const Init *in) { return in->d->L > 1 ? (double)in->layer / (in->d->L - 1) : 0; }
double ratio_1_to_almost0(const Init *in) { return 1.0 - (double)in->layer / in->d->L; }

float channel_power(const Init *in, size_t c, double power)
{
  return powf((float)((double)c / in->d->C), (float)power);
}

int *dim_at(Dims *d, size_t offset) { return (int *)(void *)((char *)d + offset); }

void complete_heads(const char *version, Dims *d, int default_head)
{
  if (!d->H && !d->N) d->N = d->A % default_head == 0 ? default_head : d->A;
  if (!d->N) d->N = d->A / d->H;
  if (!d->H) d->H = d->A / d->N;
  if (d->H < 1 || d->N < 1 || (int64_t)d->H * d->N != d->A)
    rwkv_fail("%s: %d channels cannot be split into %d heads of size %d", version, d->A, d->H, d->N);
}
