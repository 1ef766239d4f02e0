/* Linear maps and table look-up with a matrix that is kept in fewer bits, for inference. */
#ifndef AVIARY_K_PACKED_H
#define AVIARY_K_PACKED_H

#include "packed.h"

typedef struct {
  real *y;
  const real *x;
  Packed w;
  const real *bias;
  size_t rows, in, out;
  Factors factors;
} LinearPacked;
void k_linear_packed(const LinearPacked *op);

typedef struct {
  real *y;
  const real *x;
  Packed m;
  size_t rows, in, out;
  Factors factors;
} MatmulPacked;
void k_matmul_packed(const MatmulPacked *op);

typedef struct {
  real *y;
  Packed table;
  const int *index;
  size_t count, rows, C;
} RowsPacked;
void k_rows_packed(const RowsPacked *op);

#endif
