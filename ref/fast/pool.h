/* Threads that share a loop. They belong to the process and wait for the next loop (pool_team.h). */
#ifndef AVIARY_POOL_H
#define AVIARY_POOL_H

#include <stddef.h>

enum { POOL_MOST = 256 };

/* Calls work(arg, i) once for each i of 0..count, on at most `team` threads (1 .. POOL_MOST), this one among them. From
   inside a loop, and in a process that was forked: on this thread alone. One caller at a time. */
void pool_run(int team, size_t count, void (*work)(const void *arg, size_t i), const void *arg);

/* What will be read after the next loop, as far as one can tell: threads that have nothing to do bring their share of
   it nearer, if they are ours. A hint, which changes no result; the memory need not be there. */
void pool_expect(const void *at, size_t bytes);

const char *pool_threading(void); /* whose they are, as make THREADS= has it: "pthreads" or "openmp" */

#endif
