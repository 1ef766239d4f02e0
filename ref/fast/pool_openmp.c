/* The threads of OpenMP, which its variables steer: how many there are at most, where they run, how they wait. A team
   begins and ends together, so a loop waits for each of its threads, and on a busy machine for the processor of each.
   (A smaller team would end the threads that it leaves over, and the next one start them again: libgomp 12.) */
#include "pool.h"
#include "pool_team.h"

#include <omp.h>

const char *pool_threading(void) { return "openmp"; }

void pool_expect(const void *at, size_t bytes) { (void)at, (void)bytes; }

void pool_team(int size, void (*part)(int member))
{
#pragma omp parallel num_threads(size)
  part(omp_get_thread_num());
}
