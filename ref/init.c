/* Initial values shared by the versions. */
#include "version.h"

#include "engine/err.h"

#include <math.h>
#include <stdlib.h>

/* ---- where parameters stand ---- */

bool everywhere(const Dims *d, int layer) { return (void)d, (void)layer, true; }
bool first(const Dims *d, int layer) { return (void)d, layer == 0; }
bool not_first(const Dims *d, int layer) { return (void)d, layer > 0; }
bool has_pre_ffn(const Dims *d, int layer) { return layer == 0 && d->pre_ffn; }
bool has_att(const Dims *d, int layer) { return !has_pre_ffn(d, layer); }
bool has_tiny(const Dims *d, int layer) { return d->tiny_layer > 0 && (layer < 0 || layer + 1 == d->tiny_layer); }
bool has_copy_head(const Dims *d, int layer) { return (void)layer, d->Q > 0; }

/* ---- values ---- */

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

void init_ortho_root(const Init *in)
{
  Init scaled = *in;
  scaled.gain *= sqrt(fmax(in->rows, in->cols));
  init_orthogonal(&scaled);
}

void init_mix(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = channel_power(in, c, in->gain * ratio_1_to_almost0(in));
}

void init_mix_v(const Init *in)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = channel_power(in, c, ratio_1_to_almost0(in)) + 0.3 * ratio_0_to_1(in);
}

static void one_minus(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = 1 - in->out[c];
}

void init_prev_mix(const Init *in)
{
  init_mix(in);
  one_minus(in);
}

void init_prev_mix_v(const Init *in)
{
  init_mix_v(in);
  one_minus(in);
}

static void decay_ramp(const Init *in, double from, double range)
{
  for (size_t i = 0; i < in->n; i++)
    in->out[i] = from + range * pow(part_of_last(in, i), 0.7 + 1.3 * ratio_0_to_1(in));
}

void init_decay_v4(const Init *in) { decay_ramp(in, -5, 8); }
void init_decay_v5(const Init *in) { decay_ramp(in, -6, 5); }

void init_first(const Init *in)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = log(0.3) + ((double)((c + 1) % 3) - 1) * 0.5;
}

void init_bonus(const Init *in)
{
  for (size_t i = 0; i < in->n; i++)
    in->out[i] = ratio_0_to_1(in) * (1 - part_of_last(in, i)) + ((double)((i + 1) % 3) - 1) * 0.1;
}

void init_ln_x(const Init *in)
{
  double scale = pow((1.0 + in->layer) / in->d->L, 0.7);
  for (size_t i = 0; i < in->n; i++) in->out[i] = scale;
}

double ratio_0_to_1(const Init *in) { return in->d->L > 1 ? (double)in->layer / (in->d->L - 1) : 0; }
double ratio_1_to_almost0(const Init *in) { return 1.0 - (double)in->layer / in->d->L; }

double channel_power(const Init *in, size_t c, double power)
{
  return pow((double)c / in->d->C, power);
}

double part_of_last(const Init *in, size_t i) { return in->n > 1 ? (double)i / (double)(in->n - 1) : 0; }

int *dim_at(Dims *d, size_t offset) { return (int *)(void *)((char *)d + offset); }

void complete_heads(const char *version, Dims *d, int default_head)
{
  if (!d->H && !d->N) d->N = d->A % default_head == 0 ? default_head : d->A;
  if (!d->N) d->N = d->A / d->H;
  if (!d->H) d->H = d->A / d->N;
  if (d->H < 1 || d->N < 1 || (int64_t)d->H * d->N != d->A)
    rwkv_fail("%s: %d channels cannot be split into %d heads of size %d", version, d->A, d->H, d->N);
}
