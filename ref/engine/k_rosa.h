/* ROSA: what followed the last time that a sequence went on as it did just now. */
#ifndef AVIARY_K_ROSA_H
#define AVIARY_K_ROSA_H

#include "num.h"

#include <stdbool.h>

/* A number stands for a bit, 1 if it is above 0; `bits` channels in a row for a symbol. Symbols of q_t and the tokens
   before it are looked for in k: of the longest run q_{t-w+1..t} = k_{e-w+1..e}, w > 0, e < t, the latest e. y_t is
   v_{e+1}, its bits as the numbers low and high of their channel; if there is none, low or 0. C = G bits. */
typedef struct {
  real *y;                /* [B,T,C] */
  real *runs;             /* [B,U,G] how long the run is that ends with the last token of q and with each of k */
  const real *before;     /* [B,U-T,G] the same for the token before this run's */
  const real *q, *k, *v;  /* [B,U,C], of which the last T are this run's */
  const real *low, *high; /* [C] */
  size_t B, T, U, G, bits;
  bool none_low; /* what there is none for is low, not 0 */
} Rosa;
/* y is piecewise constant. A number x gets the difference that its bit makes, (L(bit 1) - L(bit 0)) / 2 max(|x|, 1e-3),
   where L is the sum of g y with the rest as it is: those before this run by what they make of this run's y. */
typedef struct {
  real *gq, *gk, *gv; /* [B,U,C] */
  real *glow, *ghigh;
  real *scratch; /* [B,G,2,U] */
  const real *g;
  bool self; /* q, k and v are one: gq has the difference of a bit in all of them; gk and gv are not looked at */
  Rosa forward;
} RosaBackward;
void k_rosa(const Rosa *op);
void k_rosa_backward(const RosaBackward *op);

#endif
