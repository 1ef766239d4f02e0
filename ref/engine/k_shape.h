/* Slices and sums along one axis, with a shape seen as [outer,size,inner] around it. */
#ifndef AVIARY_K_SHAPE_H
#define AVIARY_K_SHAPE_H

#include "num.h"

/* part [outer,count,inner] is whole [outer,size,inner] at from .. from+count-1 of the middle axis. slice writes the
   part and slice_add adds to it; unslice writes the part into the whole and unslice_add adds it there. */
typedef struct {
  real *part;
  const real *whole;
  size_t outer, size, inner, from, count;
} Slice;
typedef struct {
  real *whole;
  const real *part;
  size_t outer, size, inner, from, count;
} Unslice;
void k_slice(const Slice *op);
void k_slice_add(const Slice *op);
void k_unslice(const Unslice *op);
void k_unslice_add(const Unslice *op);

typedef struct { /* y = scale * sum of x over the middle axis */
  real *y;       /* [outer,inner] */
  const real *x; /* [outer,size,inner] */
  acc scale;
  size_t outer, size, inner;
} Sum;
typedef struct {
  real *gx;
  const real *g;
  Sum forward;
} SumBackward;
void k_sum(const Sum *op);
void k_sum_backward(const SumBackward *op);

typedef struct { /* y_s = sum of x_r over r <= s along the middle axis */
  real *y;       /* [outer,size,inner] */
  const real *x; /* [outer,size,inner] */
  size_t outer, size, inner;
} Cumsum;
typedef struct {
  real *gx;
  const real *g;
  Cumsum forward;
} CumsumBackward;
void k_cumsum(const Cumsum *op);
void k_cumsum_backward(const CumsumBackward *op);

#endif
