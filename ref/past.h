/* The one attention head that stands beside time mixing in v8_rc00_hybrid and v7b ("DEA", deep-embed attention): what
   it looks back at is rebuilt from 64 numbers for each token and from the tokens themselves. */
#ifndef AVIARY_PAST_H
#define AVIARY_PAST_H

#include "version.h"

/* All tokens of a sequence up to the last one of this run. */
typedef struct Past {
  const int *id; /* [B,U] */
  int U;
  Tensor *mask; /* [T,U] 1 where a token of this run sees that one; NULL: it sees all, T = 1 */
} Past;

/* The state around the blocks: the tokens so far. */
/* clang-format off */
#define PAST_STATE {"tokens", S1(history), always, 0}
/* clang-format on */

Tensor *past_embed(Pass *ps);               /* as global_embed, and gives the pass its past */
Tensor *past_rows(Pass *ps, Tensor *table); /* the rows of a table [V,..] for the tokens so far: [B,U,..] */
Tensor *past_append(Pass *ps, Tensor **kept, Tensor *x); /* x [B,T,n] of this run after those before: [B,U,n] */
Tensor *past_recent(Pass *ps, Tensor *x);                /* of x [B,U,..] what is this run's: [B,T,..] */

/* y_t = sum_{u <= t} p_tu v_u, p = softmax_u(cap tanh(q_t.k_u / scale)): q [B,T,n], k [B,U,n], v [B,U,C] -> [B,T,C] */
Tensor *past_attend(Pass *ps, Tensor *q, Tensor *k, Tensor *v, double cap, double scale);

#endif
