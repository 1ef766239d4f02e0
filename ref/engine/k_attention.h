/* Softmax attention of B sequences, for the last T of U positions. */
#ifndef AVIARY_K_ATTENTION_H
#define AVIARY_K_ATTENTION_H

#include "num.h"

/* y_t = sum_{u <= t} softmax_u(q_t.k_u / sqrt N) v_u */
typedef struct {
  real *y;           /* [B,T,H,N] */
  acc *log_sum;      /* [B,T,H] each row's log of the sum of exponentials, for the backward pass; or NULL */
  acc *scratch;      /* [B,H,2,U] */
  const real *q;     /* [B,T,H,N] */
  const real *k, *v; /* [B,U,H,N] */
  size_t B, T, U, H, N;
} Attention;
typedef struct {
  real *gq, *gk, *gv;
  acc *scratch; /* [B,H,2,U] */
  const real *g;
  Attention forward;
} AttentionBackward;
void k_attention(const Attention *op);
void k_attention_backward(const AttentionBackward *op);

#endif
