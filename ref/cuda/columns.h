/* Sums down the columns of [rows,C], as the gradients of biases, mixes and decays are: parts of the rows first, then the
   parts, each in a fixed order. */
#ifndef AVIARY_CUDA_COLUMNS_H
#define AVIARY_CUDA_COLUMNS_H

#include "device.h"

enum {
  COLUMN_LANES = 32,
  COLUMN_ROWS = 8,
  COLUMN_PARTS = 64
}; /* columns and rows of a block; parts of the rows, at most */

/* part[p,c] = the sum of term(row, c) over the rows of part p. `Term` is a struct with `__device__ real operator()(size_t
   row, size_t c) const`. */
template <class Term> KERNEL column_parts(real *part, Term term, size_t rows, size_t C, size_t rows_a_part)
{
  SHARED(real, sums, [COLUMN_ROWS][COLUMN_LANES]);
  size_t c = blockIdx.x * (size_t)COLUMN_LANES + threadIdx.x, from = blockIdx.y * rows_a_part;
  size_t to = smaller(rows, from + rows_a_part);
  real sum = 0;
  if (c < C)
    for (size_t row = from + threadIdx.y; row < to; row += COLUMN_ROWS) sum += term(row, c);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || c >= C) return;
  for (int y = 1; y < COLUMN_ROWS; y++) sum += sums[y][threadIdx.x];
  part[blockIdx.y * C + c] = sum;
}

/* Columns from C on belong to the second one. */
static __global__ void column_add(real *out, real *second, const real *part, size_t parts, size_t C, size_t all)
{
  EACH(c, all) {
    real sum = 0;
    for (size_t p = 0; p < parts; p++) sum += part[p * all + c];
    if (c < C) out[c] += sum;
    else second[c - C] += sum;
  }
}

/* out[c] += the sum over all rows of term(row, c); and second[c], in other memory, += that of term(row, C + c), unless it
   is NULL. */
template <class Term> static void add_two_columns(real *out, real *second, Term term, size_t rows, size_t C)
{
  if (!rows || !C) return;
  size_t parts = smaller(COLUMN_PARTS, pieces(rows, 4 * COLUMN_ROWS)), each = pieces(rows, parts);
  size_t all = second ? 2 * C : C;
  parts = pieces(rows, each);
  real *part = (real *)device_scratch(parts * all * sizeof(real));
  dim3 blocks((unsigned)pieces(all, COLUMN_LANES), (unsigned)parts), threads(COLUMN_LANES, COLUMN_ROWS);
  LAUNCH(column_parts<Term>, blocks, threads, 0, part, term, rows, all, each);
  LAUNCH(column_add, BLOCKS_FOR(all), BLOCK, 0, out, second, part, parts, C, all);
}

template <class Term> static void add_columns(real *out, Term term, size_t rows, size_t C)
{
  add_two_columns(out, (real *)NULL, term, rows, C);
}

#endif
