/* Initial values shared by the versions. */
#include "init.h"

#include "engine/err.h"
#include "engine/share.h"

#include <math.h>

void init_fill(const Init *in)
{
  for (size_t i = 0; i < in->n; i++) in->out[i] = in->gain;
}

/* ---- random numbers ---- */

enum { PIECE = 4096, PIECES = 256 }; /* numbers that one thread makes, and such pieces between two looks around */

typedef struct {
  const Init *in;
  size_t from;
  size_t words; /* that a number takes of the stream */
  void (*draw)(Rng *r, double *out, size_t n);
} Draws;

static void draw_piece(const void *arg, size_t i)
{
  const Draws *d = arg;
  size_t from = d->from + i * PIECE, n = d->in->n - from < PIECE ? d->in->n - from : PIECE;
  double *out = d->in->out + from;
  Rng r = *d->in->rng;
  r.count += from * d->words;
  d->draw(&r, out, n);
  for (size_t k = 0; k < n; k++) out[k] *= d->in->gain;
}

static void draw(Draws d)
{
  for (; d.from < d.in->n; d.from += PIECE * PIECES) {
    size_t left = (d.in->n - d.from + PIECE - 1) / PIECE;
    init_tell(d.in, d.from);
    rwkv_share(left < PIECES ? left : PIECES, draw_piece, &d);
  }
  d.in->rng->count += d.in->n * d.words;
}

static void around_zero(Rng *r, double *out, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] = 2 * rng_uniform(r) - 1;
}

void init_uniform(const Init *in) { draw((Draws){.in = in, .words = 1, .draw = around_zero}); }
void init_normal(const Init *in) { draw((Draws){.in = in, .words = 2, .draw = rng_normals}); }

/* ---- matrices ---- */

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

/* ---- by channel ---- */

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

void init_tell(const Init *in, size_t done)
{
  rwkv_poll();
  if (in->watch) in->watch(in->watching, done);
}

double init_ratio_0_to_1(const Init *in) { return in->d->L > 1 ? (double)in->layer / (in->d->L - 1) : 0; }
double init_ratio_1_to_almost0(const Init *in) { return 1.0 - (double)in->layer / in->d->L; }

double init_channel_power(const Init *in, size_t c, double power) { return pow((double)c / in->d->C, power); }

double init_part_of_last(const Init *in, size_t i) { return in->n > 1 ? (double)i / (double)(in->n - 1) : 0; }
