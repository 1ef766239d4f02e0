/* The time shift. */
#ifndef AVIARY_K_SHIFT_H
#define AVIARY_K_SHIFT_H

#include "num.h"

typedef struct {     /* prev[b,0] = carry[b], prev[b,t] = x[b,t-1] */
  real *prev;        /* [B,T,C] */
  const real *x;     /* [B,T,C] */
  const real *carry; /* [B,C] */
  size_t B, T, C;
} Shift;
typedef struct {
  real *gx, *gcarry;
  const real *g;
  Shift forward;
} ShiftBackward;
void k_shift(const Shift *op);
void k_shift_backward(const ShiftBackward *op);

#endif
