/* Floats rounded to bfloat16, to the nearest, to the even one of two: as packed_round does. */
#ifndef AVIARY_FAST_ROUND_H
#define AVIARY_FAST_ROUND_H

#include "f_job.h"

/* out [rows,n] = x, whose rows lie `step` apart: as bfloat16, or as the numbers that these are. */
void fast_round(uint16_t *out, const real *x, size_t step, size_t rows, size_t n);
void fast_round_in_real(real *out, const real *x, size_t step, size_t rows, size_t n);

#endif
