/* The loss, and the largest entry of a row. */
#ifndef AVIARY_K_LOSS_H
#define AVIARY_K_LOSS_H

#include "num.h"

/* loss = mean over the scored rows of -log softmax(logits)[target]; a row with target < 0 is not scored. No scored row:
   loss 0. */
typedef struct {
  real *loss;         /* [1] */
  acc *log_sum;       /* [rows] each row's log of the sum of exponentials */
  const real *logits; /* [rows,V] */
  const int *target;  /* [rows], < V */
  size_t rows, V;
} CrossEntropy;
/* l2wrap > 0 also adds, at each scored row's largest logit m, l2wrap * m / scored (SPEC: L2Wrap) */
typedef struct {
  real *glogits;
  const real *g; /* [1] */
  acc l2wrap;
  CrossEntropy forward;
} CrossEntropyBackward;
void k_cross_entropy(const CrossEntropy *op);
void k_cross_entropy_backward(const CrossEntropyBackward *op);

typedef struct { /* the index of the largest of each row; the first one where several are equal */
  int *best;     /* [rows] */
  const real *x; /* [rows,n] */
  size_t rows, n;
} Argmax;
void k_argmax(const Argmax *op);

#endif
