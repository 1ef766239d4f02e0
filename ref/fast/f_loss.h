/* What the loss and the head with its loss share. */
#ifndef AVIARY_FAST_LOSS_H
#define AVIARY_FAST_LOSS_H

#include "f_job.h"

/* The place of the largest of n > 0 numbers, as k_argmax has it. */
size_t fast_largest(const real *x, size_t n);

#endif
