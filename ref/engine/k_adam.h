/* What a step of the optimizer does with its numbers. */
#ifndef AVIARY_K_ADAM_H
#define AVIARY_K_ADAM_H

#include "num.h"

/* AdamW (Loshchilov & Hutter 2019): m, v the running moments, p -= lr (decay p + m^ / (sqrt v^ + eps)); the gradient is
   first multiplied by `scale` (clipping). */
typedef struct {
  real *p, *m, *v; /* [n] */
  const real *g;   /* [n] */
  acc scale;
  double lr, beta1, beta2, eps, decay;
  double unbias1, unbias2; /* 1 - beta^step */
  size_t n;
} Adamw;
void k_adamw(const Adamw *op);

typedef struct { /* sum += the squares of x */
  acc *sum;      /* [1] */
  const real *x; /* [n] */
  size_t n;
} SumSquares;
void k_sum_squares(const SumSquares *op);

#endif
