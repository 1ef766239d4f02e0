/* Rows of a table, by their indices. */
#ifndef AVIARY_CUDA_LOOK_UP_H
#define AVIARY_CUDA_LOOK_UP_H

#include "device.h"

/* y[i,c] = table(index[i] C + c), y [count,C]. A block has some columns of some rows, a thread one number. `Table` is a
   struct with `__device__ real operator()(size_t i) const`. */
template <class Table> KERNEL look_up_rows(real *y, Table table, const int *index, size_t count, size_t C)
{
  size_t i = blockIdx.x * (size_t)blockDim.y + threadIdx.y, c = blockIdx.y * (size_t)blockDim.x + threadIdx.x;
  if (i < count && c < C) y[i * C + c] = table((size_t)index[i] * C + c);
}

template <class Table> static void look_up(real *y, Table table, const int *index, size_t count, size_t C)
{
  if (!count || !C) return;
  const int *uploaded = device_index(index, count);
  unsigned lanes = WARP;
  while (lanes < C && lanes < BLOCK) lanes *= 2;
  dim3 threads(lanes, BLOCK / lanes), blocks((unsigned)pieces(count, threads.y), (unsigned)pieces(C, lanes));
  LAUNCH(look_up_rows<Table>, blocks, threads, 0, y, table, uploaded, count, C);
}

#endif
