/* Linear maps and table look-up. */
#ifndef AVIARY_K_LINEAR_H
#define AVIARY_K_LINEAR_H

#include "packed.h"

typedef struct {    /* y = x W' (+ bias) */
  real *y;          /* [rows,out] */
  const real *x;    /* [rows,in] */
  const real *w;    /* [out,in] */
  const real *bias; /* [out], or NULL */
  size_t rows, in, out;
  Factors factors; /* of what is multiplied: x, w, and on the way back g */
} Linear;
typedef struct {
  real *gx, *gw, *gbias;
  const real *g;
  Linear forward;
} LinearBackward;
void k_linear(const Linear *op);
void k_linear_backward(const LinearBackward *op);

typedef struct { /* y = x M */
  real *y;       /* [rows,out] */
  const real *x; /* [rows,in] */
  const real *m; /* [in,out] */
  size_t rows, in, out;
  Factors factors;
} Matmul;
typedef struct {
  real *gx, *gm;
  const real *g;
  Matmul forward;
} MatmulBackward;
void k_matmul(const Matmul *op);
void k_matmul_backward(const MatmulBackward *op);

typedef struct {     /* y[i] = table[index[i]] */
  real *y;           /* [count,C] */
  const real *table; /* [rows,C] */
  const int *index;  /* [count], each 0 .. rows-1 */
  size_t count, rows, C;
} Rows;
typedef struct {
  real *gtable;
  const real *g;
  Rows forward;
} RowsBackward;
void k_rows(const Rows *op);
void k_rows_backward(const RowsBackward *op);

#endif
