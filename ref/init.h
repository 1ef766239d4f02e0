/* Initial values of parameters. */
#ifndef AVIARY_INIT_H
#define AVIARY_INIT_H

#include "dims.h"
#include "engine/rng.h"

/* One parameter. Its values are written in double and rounded to float32, as the official code has it. */
typedef struct {
  double *out;
  size_t n;
  size_t rows, cols; /* of a matrix */
  int layer;
  const Dims *d;
  double gain;
  Rng *rng;
  void (*watch)(void *watching, size_t done); /* or NULL: told now and then how many numbers are there; may fail */
  void *watching;
} Init;

void init_fill(const Init *in);       /* every element is gain */
void init_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_normal(const Init *in);     /* Gaussian of mean 0, deviation gain */
void init_orthogonal(const Init *in); /* rows or columns, whichever are fewer, orthonormal times gain */
void init_ortho_wide(const Init *in); /* the same, times sqrt(rows/cols) where rows > cols */
/* of an embedding; N(0, 0.02) where it is the head too */
void init_emb_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_emb_orthogonal(const Init *in); /* orthogonal times gain sqrt(max(rows, cols)) */
void init_mix(const Init *in);            /* (c/C)^(gain (1 - layer/L)): how much of the current token, v3-v5 */
void init_mix_v(const Init *in);          /* the same with gain 1, + 0.3 layer/(L-1) */
void init_prev_mix(const Init *in);       /* 1 - (c/C)^(gain (1 - layer/L)): how much of the one before, v6, v7 */
void init_prev_mix_v(const Init *in);     /* 1 - init_mix_v */
void init_decay_v4(const Init *in);       /* -5 + 8 (n/last)^(0.7 + 1.3 layer/(L-1)), also v3 */
void init_decay_v5(const Init *in);       /* -6 + 5 (n/last)^(0.7 + 1.3 layer/(L-1)), also v6 */
void init_first(const Init *in);          /* log 0.3 and a zigzag of +-1/2, v3 and v4 */
void init_bonus(const Init *in);          /* layer/(L-1) (1 - n/last) and a zigzag of +-0.1, v5.2 and v6 */
void init_ln_x(const Init *in);           /* ((1 + layer) / L)^0.7 */
void init_decay_v7(const Init *in);       /* [v7.3]: -5.5 + 6 (n/last)^.. and a signed square inside each head */
void init_iclr(const Init *in);           /* [v7.5]: -0.19, rising over the channels and inside each head */
void init_value_residual(const Init *in); /* [v7.4]: 0.93 falling to 0.53 */
void init_key_norm(const Init *in);       /* [v7.7]: 0.76 falling to 0.66 */
void init_lerp(const Init *in);           /* [streams,C], each row as init_prev_mix */

void init_tell(const Init *in, size_t done); /* from inside of long work; fails if it is to end */
/* layer / (L-1), and 0 in a model of one layer (where the official code divides by zero) */
double init_ratio_0_to_1(const Init *in);
double init_ratio_1_to_almost0(const Init *in); /* 1 - layer / L */
/* (c/C)^power */
double init_channel_power(const Init *in, size_t c, double power);
double init_part_of_last(const Init *in, size_t i); /* i / (n-1), and 0 for n = 1 */

#endif
