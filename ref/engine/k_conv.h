/* The short convolution of linear attention and Mamba: over time, causal, each channel by itself. */
#ifndef AVIARY_K_CONV_H
#define AVIARY_K_CONV_H

#include "num.h"

/* y_t = sum_j w_j x_{t-W+1+j} over j < W: the last weight is the current token's. Before the sequence x is what was
   carried. */
typedef struct {
  real *y;           /* [B,T,C] */
  const real *x;     /* [B,T,C] */
  const real *carry; /* [B,W-1,C] the tokens before */
  const real *w;     /* [C,W] */
  size_t B, T, C, W;
} Conv;
typedef struct {
  real *gx, *gcarry, *gw;
  const real *g;
  Conv forward;
} ConvBackward;
void k_conv(const Conv *op);
void k_conv_backward(const ConvBackward *op);

#endif
