/* One product of matrices, in one thread. */
#ifndef AVIARY_FAST_MULTIPLY_H
#define AVIARY_FAST_MULTIPLY_H

#include "f_job.h"

/* C (+)= A B, C [m,n], A [m,k] and B [k,n] in rows, or turned, in columns: what stands together is one after the other,
   and the next lies so many numbers further. */
typedef struct {
  real *c;
  const real *a, *b;
  size_t m, n, k, c_step, a_step, b_step;
  bool a_turned, b_turned, add;
  Factors factors;
  const void *b_laid_out; /* NULL, or what fast_lay_out has made of B */
} Gemm;
void fast_multiply(const Gemm *q);

/* B as it is multiplied with, made once for many products: rounded, and in the order in which it is read. NULL: as it
   stands it is as good, or there is no room. It is there until what waits has run. */
const void *fast_lay_out(const Gemm *q);

#endif
