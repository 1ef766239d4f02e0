/* Random numbers by counting: draw n of stream s under a seed is a pure function of (seed, s, n), the
   same on every machine, backend and thread count. The generator is Philox4x32-10
   (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
#ifndef AVIARY_RNG_H
#define AVIARY_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t seed, stream, count; /* count: 64-bit words drawn so far */
} Rng;

Rng rng_new(uint64_t seed, uint64_t stream);
Rng rng_named(uint64_t seed, const char *name); /* the stream is a hash of the name */

uint64_t rng_bits(Rng *r);                       /* 64 uniform bits */
double rng_uniform(Rng *r);                      /* [0, 1) */
double rng_normal(Rng *r);                       /* mean 0, variance 1 */
void rng_normals(Rng *r, double *out, size_t n); /* what so many calls of rng_normal give, sooner */
uint64_t rng_below(Rng *r, uint64_t n);          /* 0 .. n-1, unbiased; n >= 1 */
void rng_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
