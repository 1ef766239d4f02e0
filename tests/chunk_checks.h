/* What the tests of the recurrences by chunks of tokens share. Multiplied in loops, a chunk is as exact as the plain
   kernels; with factors in bf16, of which each is off by up to 2^-9, sums of many products are off by about as much. */
#ifndef AVIARY_CHUNK_CHECKS_H
#define AVIARY_CHUNK_CHECKS_H

#include "engine/num.h"
#include "engine/rng.h"

typedef enum { FULL, TF32, BF16 } ProductsIn; /* as in ref/cuda/blas.h */
typedef enum { REFERENCE, PLAIN, LOOPS, TENSOR_CORES } Way;
typedef enum { MILD, EXTREME } Decay;

#ifdef AVIARY_DOUBLE
static const double exact = 1e-13;
#else
static const double exact = 1e-6, in_bf16 = 1e-2;
#endif

/* Nothing to forget, next to nothing, and all at once. */
real extreme_log_decay(Rng *rng);

double root_of_mean_square(const real *x, const real *y, size_t n); /* of x - y; y NULL: of x */

typedef struct {
  double all, off, worst; /* the RMS of what is wanted, of the difference, and the largest difference */
  bool fits;
} Apart;
/* allowed: of the difference's RMS, in parts of the RMS; of single numbers 10 times as much; 0: bit for bit */
Apart apart(const real *got, const real *want, size_t n, double allowed);

#endif
