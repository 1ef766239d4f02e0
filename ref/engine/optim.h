/* AdamW with parameter groups, gradient clipping and a learning-rate schedule. What needs no gradient, and what none
   has reached since gradients were cleared, is left as it is: no decay, no moments. */
#ifndef AVIARY_OPTIM_H
#define AVIARY_OPTIM_H

#include "tensor.h"

typedef struct {
  double lr;           /* peak learning rate, >= 0 */
  double beta1, beta2; /* [0, 1) */
  double eps;          /* > 0 */
  double weight_decay; /* >= 0; decoupled, where opt_add says so */
  double clip;         /* largest norm of the whole gradient; 0: no clipping */
  int warmup;          /* steps; the rate grows linearly from lr/100 to lr */
  int total;           /* steps until the cosine reaches its end; 0: constant after the warm-up */
  bool decay_all;      /* weight decay on every parameter, as Zoology has it; otherwise on matrices called ".weight" */
  double final;        /* the cosine ends at final * lr */
} OptConfig;

typedef struct {
  double lr;   /* peak learning rate, if it has its own; */
  bool own;    /* otherwise its rate is that of group 0 */
  double rate; /* in place of the schedule, if it was set */
  bool set;
} OptGroup;

typedef struct {
  char *name; /* in files and messages */
  Tensor *p;
  Tensor *m, *v;   /* running mean and mean square of the gradient; NULL as long as it was frozen */
  double lr_scale; /* multiple of its group's rate */
  double decay;    /* weight decay */
  int group;
  long steps; /* that have moved it: the moments are sums over so many gradients */
} OptParam;

typedef struct {
  OptConfig cfg;
  OptParam *params;
  OptGroup *groups; /* [0] is the optimizer itself: its rate and schedule */
  int count, group_count;
  acc *squares; /* the sum of the squares of all gradients, in the backend's memory */
  long step;    /* steps taken */
} Optim;

/* Room for `count` parameters, and `groups` of them beside group 0, which have its rate. */
Optim *opt_new(const OptConfig *cfg, int count, int groups);
void opt_free(Optim *o);
/* In group 0; decay: as the config says. */
void opt_add(Optim *o, int i, const char *name, Tensor *p, double lr_scale, bool decay);
void opt_group_lr(Optim *o, int group, double lr); /* a peak rate of its own */
void opt_set_rate(Optim *o, int group, double lr); /* its rate from here on: no schedule any more */

/* Which part of the peak rate a step (0, 1, ...) has: warm-up as the official trainers, 0.01 + 0.99 step / warmup, then
   a half cosine from 1 to final at `total`. */
double opt_schedule(const OptConfig *cfg, long step);
double opt_rate(const Optim *o, int group); /* of the next step */

/* One update from the gradients; returns their norm before clipping. rates: of each group, or NULL for opt_rate. A
   gradient that is not finite changes nothing and fails. */
double opt_step(Optim *o, const double *rates);
void opt_zero_grad(Optim *o);
void opt_need_moments(OptParam *q); /* zeros, where there are none yet */

#endif
