/* The loss, and the largest entry of a row. */
#ifndef AVIARY_K_LOSS_H
#define AVIARY_K_LOSS_H

#include "packed.h"

/* loss = mean over the scored rows of -log softmax(logits)[target]; a row with target < 0 is not scored. No scored row:
   loss 0. */
typedef struct {
  real *loss;         /* [1] */
  acc *log_sum;       /* [rows] each row's log of the sum of exponentials */
  const real *logits; /* [rows,V] */
  const int *target;  /* [rows], < V */
  size_t rows, V;
} CrossEntropy;
/* How many rows are scored. */
static inline size_t k_scored(const int *target, size_t rows)
{
  size_t n = 0;
  for (size_t i = 0; i < rows; i++) n += target[i] >= 0;
  return n;
}
/* l2wrap > 0 also adds, at each scored row's largest logit m, l2wrap * m / scored (SPEC: L2Wrap) */
typedef struct {
  real *glogits;
  const real *g; /* [1] */
  acc l2wrap;
  CrossEntropy forward;
} CrossEntropyBackward;
void k_cross_entropy(const CrossEntropy *op);
void k_cross_entropy_backward(const CrossEntropyBackward *op);

/* The head and its loss in one, so that no logits need be kept: loss as above, of logits = x W'; and, where they are
   not NULL, gx and gw, d loss / d x and d loss / d W. W' and the gradient by the logits are factors of products like
   x. */
typedef struct {
  real *loss;    /* [1] */
  int *best;     /* [rows] the index of each row's largest logit, the first one where several are equal */
  real *largest; /* [rows] that logit */
  real *gx;      /* [rows,C] */
  real *gw;      /* [V,C] */
  const real *x; /* [rows,C] */
  const real *w; /* [V,C] */
  const int *target;
  size_t rows, C, V;
  Factors factors;
} HeadLoss;
/* l2wrap as above: it adds l2wrap m / scored times row `best` of W to gx, and times x to that row of gw. */
typedef struct {
  real *gx, *gw;
  const real *g; /* [1] */
  acc l2wrap;
  HeadLoss forward;
} HeadLossBackward;
void k_head_loss(const HeadLoss *op);
void k_head_loss_backward(const HeadLossBackward *op);

typedef struct { /* the index of the largest of each row; the first one where several are equal */
  int *best;     /* [rows] */
  const real *x; /* [rows,n] */
  size_t rows, n;
} Argmax;
void k_argmax(const Argmax *op);

#endif
