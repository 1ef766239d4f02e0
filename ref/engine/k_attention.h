/* Attention, with a softmax (k_attention.c) and without (k_copy.c). B sequences, the last T of U positions. */
#ifndef AVIARY_K_ATTENTION_H
#define AVIARY_K_ATTENTION_H

#include "num.h"

/* The copy head of v1-v4: for each row and each position u < limit[row] of its sequence, (q . k_u) / D is added on
   token u. */
typedef struct {
  real *y;                  /* [rows,V] */
  const real *q;            /* [rows,D] */
  const real *k;            /* [B,U,D] */
  const int *token;         /* [B,U], each 0 .. V-1 */
  const int *batch, *limit; /* [rows]: its sequence, and how much of it the row sees */
  size_t rows, B, U, D, V;
} CopyScores;
typedef struct {
  real *gq, *gk;
  const real *g;
  CopyScores forward;
} CopyScoresBackward;
void k_copy_scores(const CopyScores *op);
void k_copy_scores_backward(const CopyScoresBackward *op);

typedef struct { /* y_t = sum_{u <= t} (q_t.k_u) v_u */
  real *y;       /* [B,T,C] */
  const real *q; /* [B,T,D] */
  const real *k; /* [B,U,D] */
  const real *v; /* [B,U,C] */
  size_t B, T, U, D, C;
} LinearAttention;
typedef struct {
  real *gq, *gk, *gv;
  const real *g;
  LinearAttention forward;
} LinearAttentionBackward;
void k_linear_attention(const LinearAttention *op);
void k_linear_attention_backward(const LinearAttentionBackward *op);

/* y_t = sum_{u <= t} softmax_u(q_t.k_u / sqrt N) v_u */
typedef struct {
  real *y;            /* [B,T,H,N] */
  acc *log_sum;       /* [B,T,H] each row's log of the sum of exponentials, for the backward pass; or NULL */
  acc *scratch;       /* [B,H,2,U] */
  const real *q;      /* [B,T,H,N] */
  const real *k, *v;  /* [B,U,H,N] */
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
