/* Products of matrices: C (+)= A B. */
#ifndef AVIARY_FAST_GEMM_H
#define AVIARY_FAST_GEMM_H

#include "f_multiply.h"

typedef struct {
  real *c;           /* [M,N], rows N apart */
  const real *a, *b; /* element (i,k) of A at a[i a_row + k a_col], (k,j) of B at b[k b_row + j b_col] */
  const real *bias;  /* [N] or NULL: what C starts from when add is false */
  size_t M, N, K, a_row, a_col, b_row, b_col;
  bool add;
  Factors factors;
  size_t tile_m, tile_n;
  const void *b_laid_out; /* for all tiles */
} Product;

/* Tiles of C for many rows, which cut the usual powers of two into equal numbers of parts; and how wide those of a
   gradient of weights are, which is small, with a long inner axis. */
enum { ROWS_M = 256, ROWS_N = 512, WEIGHT_N = 512 };

/* A product as an op, or as the one gradient that is left in it: C and A belong to the batch, row by row; */
void fast_product(OpId id, const void *op, Product q);
/* the batch, K, is summed over, and added to C. */
void fast_weight_product(OpId id, const void *op, Product q);
/* At once, in this thread. */
void fast_product_here(const Product *q);

#endif
