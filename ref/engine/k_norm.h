/* Normalisation. */
#ifndef AVIARY_K_NORM_H
#define AVIARY_K_NORM_H

#include "num.h"

/* In each row every group of N = C/H channels is brought to mean 0 and (biased) variance 1, then scaled by weight and
   moved by bias. H = 1: layer norm. */
typedef struct {
  real *y;                   /* [rows,H,N] */
  acc *stats;                /* [rows,H,2] mean and 1/deviation, for the backward pass */
  const real *x;             /* [rows,H,N] */
  const real *weight, *bias; /* [H,N] */
  acc eps;
  size_t rows, H, N;
} Norm;
typedef struct {
  real *gx, *gweight, *gbias;
  const real *g;
  Norm forward;
} NormBackward;
void k_norm(const Norm *op);
void k_norm_backward(const NormBackward *op);

typedef struct { /* each group divided by max(its euclidean length, eps) */
  real *y;       /* [groups,N] */
  const real *x; /* [groups,N] */
  acc eps;
  size_t groups, N;
} L2Norm;
typedef struct {
  real *gx;
  const real *g;
  L2Norm forward;
} L2NormBackward;
void k_l2norm(const L2Norm *op);
void k_l2norm_backward(const L2NormBackward *op);

#endif
