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

/* The norms of queries, keys and values. The attention gives 0 at first. */
/* clang-format off */
#define PAST_NORMS(P)                                                                                           \
  P(lnq_w,      "qkv.lnq.weight",        S1(query),       always,             init_fill,               1, 1)    \
  P(lnq_b,      "qkv.lnq.bias",          S1(query),       always,             init_fill,               0, 1)    \
  P(lnk_w,      "qkv.lnk.weight",        S1(query),       always,             init_fill,               1, 1)    \
  P(lnk_b,      "qkv.lnk.bias",          S1(query),       always,             init_fill,               0, 1)    \
  P(lnv_w,      "qkv.lnv.weight",        S1(C),           always,             init_fill,               0, 1)    \
  P(lnv_b,      "qkv.lnv.bias",          S1(C),           always,             init_fill,               0, 1)
/* clang-format on */

extern const StateSpec past_state[1];         /* around the blocks: the tokens so far */
double past_flops(const Dims *d, int tokens); /* of the attention, as Version.mixing_flops */

Tensor *past_embed(Pass *ps);               /* as global_embed, and gives the pass its past */
Tensor *past_rows(Pass *ps, Tensor *table); /* the rows of a table [V,..] for the tokens so far: [B,U,..] */
Tensor *past_append(Pass *ps, Tensor **kept, Tensor *x); /* x [B,T,n] of this run after those before: [B,U,n] */
Tensor *past_recent(Pass *ps, Tensor *x);                /* of x [B,U,..] what is this run's: [B,T,..] */

/* y_t = sum_{u <= t} p_tu v_u, p = softmax_u(cap tanh(q_t.k_u / scale)): q [B,T,n], k [B,U,n], v [B,U,C] -> [B,T,C] */
Tensor *past_attend(Pass *ps, Tensor *q, Tensor *k, Tensor *v, double cap, double scale);

#endif
