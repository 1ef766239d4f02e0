/* Products of matrices, by cuBLAS. */
#ifndef AVIARY_CUDA_BLAS_H
#define AVIARY_CUDA_BLAS_H

#include "device.h"

typedef struct { /* C = op(A) op(B) + (add ? C : 0), of `batch` matrices; rows one after the other */
  real *C;       /* [M,N] */
  const real *A; /* [M,K], or turned [K,M] */
  const real *B; /* [K,N], or turned [N,K] */
  size_t M, N, K;
  bool A_is_turned, B_is_turned, add;
  size_t batch, step_A, step_B, step_C; /* numbers from one matrix to the next; 0: one serves all. batch 0: just one */
  Factors factors;
  size_t row_A, row_C; /* numbers from one row to the next, of parts of larger matrices; 0: no such part */
} Product;
void product(const Product *p);

/* Bytes for matrices that are made on the way to a product, at a time; in tests so few that some come in pieces. */
#ifdef __CUDACC__
enum { PRODUCT_ROOM = 64 << 20 };
#else
enum { PRODUCT_ROOM = 16 << 10 };
#endif

/* What a product is added to: the bias in each row of y [rows,out] (c_linear.cu). */
void write_bias(real *y, const real *bias, size_t rows, size_t out);

/* In what the factors of all products are rounded before they are multiplied, where Product does not say so; sums are
   in float32. float64 has only FULL. */
typedef enum { PRODUCTS_FULL, PRODUCTS_TF32, PRODUCTS_BF16 } ProductsIn;
extern ProductsIn products_in;

void blas_open(void);

#endif
