/* Whether all numbers are finite and in a range. */
#ifndef AVIARY_K_BOUNDS_H
#define AVIARY_K_BOUNDS_H

#include "num.h"

/* What else is right, or is not. */
enum { ALSO_INFINITE = 1, ALSO_NAN = 2, ONLY_ENDS = 4 };

typedef struct
{             /* of the first number that is not finite, or not in low .. high: its index and itself; -1 and 0: none */
  acc *found; /* [2] */
  const real *x;
  acc low, high;
  unsigned rule; /* ALSO_INFINITE: an infinity in low .. high; ALSO_NAN; ONLY_ENDS: nothing between low and high */
  size_t n;
} Bounds;
void k_bounds(const Bounds *op);

#endif
