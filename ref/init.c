/* Initial values shared by the versions. */
#include "init.h"

#include "engine/memory.h"

#include <math.h>

void init_fill(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain;
}

void init_uniform(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain * (2 * rng_uniform(in->rng) - 1);
}

void init_normal(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain * rng_normal(in->rng);
}

/* Subtracts from x = q[count] its part along each of the unit vectors q[0..count-1] before it; twice is enough
   (Giraud et al. 2005). All vectors have n elements. */
static void orthogonalise(double *q, size_t count, size_t n)
{
  double *x = q + count * n;
  for (int pass = 0; pass < 2; pass++)
    for (size_t j = 0; j < count; j++) {
      const double *e = q + j * n;
      double along = 0;
      for (size_t i = 0; i < n; i++) along += e[i] * x[i];
      for (size_t i = 0; i < n; i++) x[i] -= along * e[i];
    }
  double length = 0;
  for (size_t i = 0; i < n; i++) length += x[i] * x[i];
  length = sqrt(length);
  for (size_t i = 0; i < n; i++) x[i] /= length;
}

/* x [rows,cols] -> y [cols,rows] */
static void transpose(double *y, const double *x, size_t rows, size_t cols)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++) y[j * rows + i] = x[i * cols + j];
}

/* Gram-Schmidt on a Gaussian matrix: the same distribution as the Q of its QR factorisation with the
   signs of R's diagonal made positive, which is what torch.nn.init.orthogonal_ draws from. Of a tall matrix
   the columns: they are put in rows for it, as walking down columns is twenty times slower. */
void init_orthogonal(const Init *in)
{
  size_t rows = in->rows, cols = in->cols;
  bool tall = rows >= cols;
  size_t count = tall ? cols : rows, n = tall ? rows : cols;
  for (size_t i = 0; i < in->n; i++) in->out[i] = rng_normal(in->rng);
  double *q = tall ? rwkv_alloc(in->n, sizeof *q, "an orthogonal matrix") : in->out;
  if (tall) transpose(q, in->out, rows, cols);
  for (size_t j = 0; j < count; j++) orthogonalise(q, j, n);
  if (tall) transpose(in->out, q, cols, rows), rwkv_release(q);
  for (size_t i = 0; i < in->n; i++) in->out[i] *= in->gain;
}

void init_ortho_wide(const Init *in)
{
  Init scaled = *in;
  if (in->rows > in->cols) scaled.gain *= sqrt((double)in->rows / (double)in->cols);
  init_orthogonal(&scaled);
}

/* An embedding that is the head too starts as that of GPT-2 and Zoology does. */
static void embedding(const Init *in, void (*own)(const Init *), double gain)
{
  Init as = *in;
  as.gain = in->d->tied ? 0.02 : gain;
  (in->d->tied ? init_normal : own)(&as);
}

void init_emb_uniform(const Init *in) { embedding(in, init_uniform, in->gain); }

void init_emb_orthogonal(const Init *in)
{
  embedding(in, init_orthogonal, in->gain * sqrt(fmax((double)in->rows, (double)in->cols)));
}

void init_mix(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = init_channel_power(in, c, in->gain * init_ratio_1_to_almost0(in));
}

void init_mix_v(const Init *in)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = init_channel_power(in, c, init_ratio_1_to_almost0(in)) + 0.3 * init_ratio_0_to_1(in);
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
    in->out[i] = from + range * pow(init_part_of_last(in, i), 0.7 + 1.3 * init_ratio_0_to_1(in));
}

void init_decay_v4(const Init *in) { decay_ramp(in, -5, 8); }
void init_decay_v5(const Init *in) { decay_ramp(in, -6, 5); }

void init_first(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = log(0.3) + ((double)((c + 1) % 3) - 1) * 0.5;
}

void init_bonus(const Init *in)
{
  for (size_t i = 0; i < in->n; i++)
    in->out[i] = init_ratio_0_to_1(in) * (1 - init_part_of_last(in, i)) + ((double)((i + 1) % 3) - 1) * 0.1;
}

void init_ln_x(const Init *in)
{
  double scale = pow((1.0 + in->layer) / in->d->L, 0.7);
  for (size_t i = 0; i < in->n; i++) in->out[i] = scale;
}

/* ---- RWKV-7 ---- */

/* from -1/2 to 1/2 over the channels */
static double ramp(const Init *in, size_t c) { return init_part_of_last(in, c) - 0.5; }

/* from -1 to 1 inside each head, signed square */
static double zigzag(const Init *in, size_t c)
{
  size_t N = (size_t)in->d->N;
  double half = (double)(N - 1) / 2, z = N > 1 ? ((double)(c % N) - half) / half : 0;
  return z * fabs(z);
}

void init_decay_v7(const Init *in)
{
  double power = 1 + pow(init_ratio_0_to_1(in), 0.3);
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = -6 + 6 * pow(init_part_of_last(in, c), power) + 0.5 + 2.5 * zigzag(in, c);
}

void init_iclr(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = -0.19 + 0.3 * zigzag(in, c) + 0.4 * ramp(in, c);
}

static void falling(const Init *in, double middle, double range)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = middle - range * ramp(in, c);
}

void init_value_residual(const Init *in) { falling(in, 0.73, 0.4); }
void init_key_norm(const Init *in) { falling(in, 0.71, 0.1); }

void init_lerp(const Init *in)
{
  for (size_t i = 0; i < in->n; i++)
    in->out[i] = 1 - init_channel_power(in, i % (size_t)in->d->C, in->gain * init_ratio_1_to_almost0(in));
}

/* ---- helpers ---- */

double init_ratio_0_to_1(const Init *in) { return in->d->L > 1 ? (double)in->layer / (in->d->L - 1) : 0; }
double init_ratio_1_to_almost0(const Init *in) { return 1.0 - (double)in->layer / in->d->L; }

double init_channel_power(const Init *in, size_t c, double power) { return pow((double)c / in->d->C, power); }

double init_part_of_last(const Init *in, size_t i) { return in->n > 1 ? (double)i / (double)(in->n - 1) : 0; }
