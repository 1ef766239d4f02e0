/* Walks an op through all its cases: every variant plainly, with operands left out, with extreme numbers, and with a
   NaN in each of its inputs in turn. */
#ifndef AVIARY_KERNEL_WALK_H
#define AVIARY_KERNEL_WALK_H

#include "kernel_run.h"

typedef void KernelCheck(const Call *c);
void kernel_walk(OpId id, KernelCheck *check);

/* The call on a backend; fails the test if a guard zone is broken or an input has changed. */
Run walk_run(const Call *c, const Backend *b);
/* Fails the test where they differ by more than `allowed` times what the op's case allows; 0: bit for bit. */
void walk_compare(const Run *got, const Run *want, double allowed, const char *what);

#endif
