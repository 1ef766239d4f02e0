/* Places of OpenMP: sets of processors that OMP_PLACES and OMP_PROC_BIND speak of. */
#ifndef AVIARY_PLACES_H
#define AVIARY_PLACES_H

#include <sched.h>
#include <stdbool.h>

/* The processors of places first .. first + count - 1, as the affinity of a thread; false, and nothing, if there are
   none. */
bool places_set(int first, int count, cpu_set_t *set);

#endif
