/* RWKV-7a's parts, of which 7b is made. */
#ifndef AVIARY_V7A_H
#define AVIARY_V7A_H

#include "v7.h"

/* No initial values are published. Here the gate starts as 1; of its factors s2 alone is 0: it is the first to move. */
/* clang-format off */
#define V7A_GATE(P)                                                                                             \
  /* field      official name            shape            where               initial value         gain  lr */ \
  P(s_emb,      "ffn.s_emb.weight",      S2(V, square),   has_channel_mix,    init_uniform,         0.01, 1)    \
  P(s_emb_x,    "ffn.s_emb_x.weight",    S2(square, C),   has_channel_mix,    init_fill,               0, 1)    \
  P(s1,         "ffn.s1",                S2(C, side),     has_channel_mix,    init_ortho_wide,       0.1, 1)    \
  P(s2,         "ffn.s2",                S2(side, F),     has_channel_mix,    init_fill,               0, 1)    \
  P(s0,         "ffn.s0",                S3(one, one, F), has_channel_mix,    init_fill,               1, 1)
/* clang-format on */

typedef struct {
  V7Block v7;
  V7A_GATE(PARAM_FIELD)
} V7aBlock;

/* Channel mixing with the gate, of a V7aBlock. */
V7ChannelMix v7a_channel_mix;

#endif
