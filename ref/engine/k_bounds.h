/* Whether all numbers are finite and in a range. */
#ifndef AVIARY_K_BOUNDS_H
#define AVIARY_K_BOUNDS_H

#include "num.h"

typedef struct
{             /* of the first number that is not finite, or not in low .. high: its index and itself; -1 and 0: none */
  acc *found; /* [2] */
  const real *x;
  acc low, high;
  size_t n;
} Bounds;
void k_bounds(const Bounds *op);

#endif
