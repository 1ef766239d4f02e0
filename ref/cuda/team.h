/* A team of threads works on one row: a warp of the block's, or the whole block where a row is long. Every thread of a
   team comes to the same sums together. */
#ifndef AVIARY_CUDA_TEAM_H
#define AVIARY_CUDA_TEAM_H

#include "device.h"

enum { LONG_ROW = 512 }; /* numbers: from there on a block is faster than a warp */

#define TEAM_BLOCKS(rows, team) ((unsigned)pieces(rows, BLOCK / (team)))
#define TEAM_ROW(team) (blockIdx.x * (size_t)(BLOCK / (team)) + threadIdx.x / (team))
#define TEAM_EACH(j, n, team) for (size_t j = threadIdx.x % (team); j < (n); j += (team))

/* LAUNCH for rows of n numbers, rows > 0; the kernel has the size of a team as its parameter. */
#define TEAM_LAUNCH(kernel, rows, n, ...)                                                     \
  do {                                                                                        \
    if ((n) < LONG_ROW) LAUNCH(kernel<WARP>, TEAM_BLOCKS(rows, WARP), BLOCK, 0, __VA_ARGS__); \
    else LAUNCH(kernel<BLOCK>, TEAM_BLOCKS(rows, BLOCK), BLOCK, 0, __VA_ARGS__);              \
  } while (0)

template <int TEAM, class T> DEVICE T team_sum(T x) { return TEAM == WARP ? warp_sum(x) : block_sum(x); }
template <int TEAM, class T> DEVICE T team_max(T x) { return TEAM == WARP ? warp_max(x) : block_max(x); }

/* x - a, where `real` is not exact enough for a itself. */
DEVICE real less(real x, acc a)
{
  real high = (real)a;
  return x - high - (real)(a - (acc)high);
}

#endif
