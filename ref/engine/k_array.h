/* What one does with arrays. */
#ifndef AVIARY_K_ARRAY_H
#define AVIARY_K_ARRAY_H

#include "num.h"

typedef struct { /* y of sizes n; its element (i,j,k,l) is x's at the sum of index times step */
  real *y;
  const real *x;
  size_t n[4], step[4];
} Permute;
typedef struct {
  real *gx;
  const real *g;
  Permute forward;
} PermuteBackward;
void k_permute(const Permute *op);
void k_permute_backward(const PermuteBackward *op);

typedef struct { /* the largest along the middle axis, and where it was */
  real *y;       /* [outer,inner] */
  int *at;       /* [outer,inner] */
  const real *x; /* [outer,size,inner] */
  size_t outer, size, inner;
} Max;
typedef struct {
  real *gx;
  const real *g;
  Max forward;
} MaxBackward;
void k_max(const Max *op);
void k_max_backward(const MaxBackward *op);

typedef struct {    /* y[r,c] = x[r,index[r,c]] */
  real *y;          /* [rows,count] */
  const real *x;    /* [rows,n] */
  const int *index; /* [rows,count], each 0 .. n-1 */
  size_t rows, n, count;
} Gather;
typedef struct {
  real *gx;
  const real *g;
  Gather forward;
} GatherBackward;
void k_gather(const Gather *op);
void k_gather_backward(const GatherBackward *op);

typedef struct { /* of each row */
  real *y;       /* [rows,n] */
  const real *x; /* [rows,n] */
  size_t rows, n;
} Softmax;
typedef struct {
  real *gx;
  const real *g;
  Softmax forward;
} SoftmaxBackward;
void k_softmax(const Softmax *op);
void k_softmax_backward(const SoftmaxBackward *op);

typedef struct { /* y = a b; a step of 0 where one matrix serves all */
  real *y;       /* [batch,M,N] */
  const real *a; /* [batch,M,K] or [M,K] */
  const real *b; /* [batch,K,N] or [K,N] */
  size_t batch, M, K, N, a_step, b_step;
} Bmm;
typedef struct {
  real *ga, *gb;
  const real *g;
  Bmm forward;
} BmmBackward;
void k_bmm(const Bmm *op);
void k_bmm_backward(const BmmBackward *op);

#endif
