/* AdamW with parameter groups, gradient clipping and a learning-rate schedule. */
#ifndef AVIARY_OPTIM_H
#define AVIARY_OPTIM_H

#include "tensor.h"

typedef struct {
  double lr;           /* peak learning rate, >= 0 */
  double beta1, beta2; /* [0, 1) */
  double eps;          /* > 0 */
  double weight_decay; /* >= 0; decoupled, only where OptParam.decay says so */
  double clip;         /* largest norm of the whole gradient; 0: no clipping */
  int warmup;          /* steps; the rate grows linearly from lr/100 to lr */
  int total;           /* steps until the cosine reaches its end; 0: constant after the warm-up */
  bool decay_all;      /* weight decay on every parameter, as Zoology has it; otherwise on matrices called ".weight" */
  double final;        /* the cosine ends at final * lr */
} OptConfig;

typedef struct {
  Tensor *p;       /* with gradient */
  Tensor *m, *v;   /* running mean and mean square of the gradient */
  double lr_scale; /* the group's multiple of lr */
  bool decay;      /* weight decay applies */
} OptParam;

typedef struct {
  OptConfig cfg;
  OptParam *params;
  int count;
  acc *squares; /* the sum of the squares of all gradients, in the backend's memory */
  long step;    /* steps taken */
} Optim;

Optim *opt_new(const OptConfig *cfg, int count);
void opt_free(Optim *o);
void opt_add(Optim *o, int i, Tensor *p, double lr_scale, bool decay);

/* The rate of a step (0, 1, ...): warm-up as the official trainers, lr (0.01 + 0.99 step / warmup), then
   a half cosine from lr to final * lr at `total`. */
double opt_rate(const OptConfig *cfg, long step);

/* One update from the gradients; returns their norm before clipping. A gradient that is not finite
   changes nothing and fails. */
double opt_step(Optim *o);
void opt_zero_grad(Optim *o);

#endif
