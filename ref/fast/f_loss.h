/* What the loss and the head with its loss share. */
#ifndef AVIARY_FAST_LOSS_H
#define AVIARY_FAST_LOSS_H

#include "f_job.h"

/* If there is one among n > 0 numbers that is larger, the largest and the first place where it is. A number that is
   none is not, nor is anything larger than it. */
bool fast_larger(const real *x, size_t n, real *largest, size_t *at);
/* The place of the largest, as k_argmax has it. */
size_t fast_largest(const real *x, size_t n);

#endif
