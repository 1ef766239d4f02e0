/* The fast twins: kernels that give what the reference gives, up to the order of summation. */
#ifndef AVIARY_FAST_H
#define AVIARY_FAST_H

#include <stddef.h>

/* Puts the fast kernels into `ops`, or the reference ones back. */
void fast_enable(int on);
/* Threads that the fast kernels use: 1 to 256; at first as many as there are processors. Results do not
   depend on it. */
void fast_set_threads(int n);
int fast_threads(void);
/* Cuts a batch into tiles of about so many numbers a tensor, or, with 0, of as many as fit a cache. Tests make them
   small, and then everything waits that can. */
void fast_set_tile(size_t numbers);

/* Returns when all that was asked of the fast kernels is done. */
void fast_settle(void);

#endif
