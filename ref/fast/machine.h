/* What the machine can do, measured: what a speed is a fraction of. */
#ifndef AVIARY_MACHINE_H
#define AVIARY_MACHINE_H

/* Bytes a second that `threads` threads read from memory beyond all caches: the best of several passes. */
double machine_read_bandwidth(int threads);
/* Operations a second (a multiplication and an addition are two) of the program's own product of two matrices
   [2048,2048], with factors as backend_factors says: the median of several. */
double machine_gemm_rate(int threads);

#endif
