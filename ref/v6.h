/* RWKV-6's parts, of which the release candidates of RWKV-7 are made. */
#ifndef AVIARY_V6_H
#define AVIARY_V6_H

#include "version.h"

void v6_init_ffn_mix(const Init *in); /* 1 - (c/C)^((1 - layer/L)^3) */
int v6_hidden_width(int C);           /* of channel mixing: 3.5 C, down to a multiple of 32; 4 C where that is 0 */

/* A token and the one before, and what their mixes are made from. */
typedef struct {
  Tensor *x, *prev; /* [B,T,C] */
  Tensor *w2;       /* [streams,Dm,C] the outer part of the low-rank maps */
  Tensor **hooked;  /* the mixes of a hook, one a stream; NULL: there is no hook */
  Tensor *low;      /* [B,T,Dx] their inner part, of all streams; NULL: there is a hook */
} V6Shifted;

V6Shifted v6_shift(Pass *ps, Tensor *x, Tensor *mu, Tensor *w1, Tensor *w2, Tensor **carry); /* [v6.1]  w1 [C,Dx] */
Tensor *v6_ddlerp(Pass *ps, const V6Shifted *s, int i, Tensor *mu);                          /* [v6.2]  stream i */

/* Channel mixing: x [B,T,C], *carry [B,C]: before -> after; mixes [C] weigh the token before. */
typedef struct {
  Tensor *mu_k, *mu_r, *key, *receptance, *value;
} V6Channels;
Tensor *v6_channel_mix(Pass *ps, const V6Channels *p, Tensor *x, Tensor **carry);

#endif
