/* The largest number of a row, and the first place where it is; for a team of threads (team.h). */
#ifndef AVIARY_CUDA_LARGEST_H
#define AVIARY_CUDA_LARGEST_H

#include "team.h"

typedef struct {
  real x;
  size_t at;
} Largest;

/* As a loop from the row's first number does it: one that is not a number is never larger, nor is anything larger than
   it; so every thread begins with the first number. */
template <int TEAM> DEVICE Largest largest(const real *x, size_t n)
{
  SHARED(real, values, [BLOCK / WARP]);
  SHARED(size_t, places, [BLOCK / WARP]);
  Largest best = {x[0], 0};
  TEAM_EACH(j, n, TEAM)
  if (x[j] > best.x) best.x = x[j], best.at = j;
  for (int other = WARP / 2; other; other /= 2) {
    real y = __shfl_xor_sync(0xffffffffu, best.x, other);
    size_t at = __shfl_xor_sync(0xffffffffu, best.at, other);
    if (y > best.x || (y == best.x && at < best.at)) best.x = y, best.at = at;
  }
  if (TEAM == WARP) return best;
  __syncthreads(); /* the last call's have been read */
  if (threadIdx.x % WARP == 0) values[threadIdx.x / WARP] = best.x, places[threadIdx.x / WARP] = best.at;
  __syncthreads();
  for (int w = 0; w < BLOCK / WARP; w++)
    if (values[w] > best.x || (values[w] == best.x && places[w] < best.at)) best.x = values[w], best.at = places[w];
  return best;
}

#endif
