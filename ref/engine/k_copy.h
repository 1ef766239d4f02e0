/* Attention without a softmax (k_copy.c): over the tokens themselves, and over vectors. B sequences, the
   last T of U positions. */
#ifndef AVIARY_K_COPY_H
#define AVIARY_K_COPY_H

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

#endif
