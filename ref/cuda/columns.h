/* Sums down the columns of [rows,C], as the gradients of biases, mixes and decays are. */
#ifndef AVIARY_CUDA_COLUMNS_H
#define AVIARY_CUDA_COLUMNS_H

#include "reduce.h"

template <class Term> struct ColumnsOf {
  typedef real Value;
  real *out;
  Term value;
  __device__ real term(size_t c, size_t row) const { return value(row, c); }
  __device__ void store(size_t c, real v) const { out[c] += v; }
};

/* out[c] += the sum over all rows. `Term` is a struct with `__device__ real operator()(size_t row, size_t c) const`. */
template <class Term> static void add_columns(real *out, Term term, size_t rows, size_t C)
{
  if (rows) reduce(ColumnsOf<Term>{out, term}, C, rows, false);
}

#endif
