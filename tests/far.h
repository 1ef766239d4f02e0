/* A backend for tests. Its memory cannot be read outside kernels: an address is that of memory of the process plus a
   constant that leads nowhere, so that whoever follows it crashes. Half of the ops run where their numbers are; the
   other half are done by backend_fall_back, as on a device that has no kernel for them. */
#ifndef AVIARY_FAR_H
#define AVIARY_FAR_H

#include "engine/backend.h"

extern const Backend backend_far;

void far_exchange(bool exchanged); /* the two halves change places */

typedef struct {
  size_t kernels, fall_backs; /* how often an op ran here, and was done by backend_fall_back, since the start */
} FarCalls;
FarCalls far_calls(OpId id);
size_t far_held(void); /* bytes given out and not given back */

#endif
