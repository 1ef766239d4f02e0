/* The threads beneath pool_run. Two files have them, and `make THREADS=` says which one is built in: pool_pthreads.c,
   threads of our own, or pool_openmp.c, those of OpenMP. */
#ifndef AVIARY_POOL_TEAM_H
#define AVIARY_POOL_TEAM_H

/* Calls part(0) on this thread and part(i) on others, 0 < i < size, all at the same time, and returns when none runs
   any more. Any of the others may be left out: its thread is not there, or comes too late to find work. size: how many
   threads were asked for, also where a loop has work for fewer. */
void pool_team(int size, void (*part)(int member));

#endif
