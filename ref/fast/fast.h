/* The fast twins: kernels that give what the reference gives, up to the order of summation. */
#ifndef AVIARY_FAST_H
#define AVIARY_FAST_H

#include "../engine/backend.h"

extern const Backend backend_fast;

/* Threads that the fast kernels use: 1 to 256; at first as many as there are processors, or fewer if OMP_NUM_THREADS or
   OMP_THREAD_LIMIT say so. Results do not depend on it. */
void fast_set_threads(int n);
int fast_threads(void);
/* Cuts a batch into tiles of about so many numbers a tensor, or, with 0, of as many as fit a cache. Tests make them
   small, and then everything waits that can. */
void fast_set_tile(size_t numbers);
/* For tests: from here on the op is done by the reference, as if it had no fast kernel; or by its fast kernel again. */
void fast_leave_out(OpId id, bool out);
bool fast_has(OpId id);

#endif
