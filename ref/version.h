/* What a version of RWKV is: its parameter lists, its state, and three functions. Each vN.c fills in one
   `Version` (or a few that are close); ref/model does the rest for all of them. */
#ifndef AVIARY_VERSION_H
#define AVIARY_VERSION_H

#include "hook.h"

/* The layer norms of a block; block 0 also normalises the embedding. */
/* clang-format off */
#define BLOCK_NORMS(P)                                                                                           \
  /* field          official name               shape            where          initial value        gain  lr */ \
  P(ln0_w,          "ln0.weight",               S1(C),           has_ln0,       init_fill,              1, 1)    \
  P(ln0_b,          "ln0.bias",                 S1(C),           has_ln0,       init_fill,              0, 1)    \
  P(ln1_w,          "ln1.weight",               S1(C),           always,        init_fill,              1, 1)    \
  P(ln1_b,          "ln1.bias",                 S1(C),           always,        init_fill,              0, 1)    \
  P(ln2_w,          "ln2.weight",               S1(C),           always,        init_fill,              1, 1)    \
  P(ln2_b,          "ln2.bias",                 S1(C),           always,        init_fill,              0, 1)
/* clang-format on */

/* A list of parameters, and the size of the struct that holds them. */
typedef struct {
  const ParamSpec *spec;
  int count;
  size_t size;
} ParamList;
/* clang-format off */
#define PARAM_LIST(list, Struct) {list, COUNT(list), sizeof(Struct)}
/* clang-format on */

typedef struct {
  const StateSpec *spec;
  int count;
} StateList;
/* clang-format off */
#define STATE_LIST(list) {list, COUNT(list)}
/* clang-format on */

/* logits = x w' + copies */
typedef struct {
  Tensor *x;      /* [count,C] or [B,T,C] */
  Tensor *w;      /* [V,C] */
  Tensor *copies; /* [count,V], or NULL */
} Head;

typedef struct {
  const char *name;                  /* "v7" */
  const char *title;                 /* "RWKV-7 Goose" */
  ParamList global, block;           /* around the blocks, and of a block */
  StateList state, global_state;     /* of a block, and around the blocks */
  const char *own[HOOK_SLOTS];       /* what it does itself in each slot, in a word; NULL: it has no such slot */
  const char *streams, *ffn_streams; /* names of the mixes in time mixing and channel mixing: "r w k v a g", "k" */
  const char *recurrence;            /* what its recurrence is given: "r w k v a b" */
  /* Fills in what was left open with the official defaults; fails on sizes that cannot be. */
  void (*complete)(Dims *d);
  bool rounds_decay;                                 /* official inference code does: 0.606531 for e^{-1/2} */
  double (*mixing_flops)(const Dims *d, int tokens); /* of a layer's recurrence, for a token after so many */
  Tensor *(*embed)(Pass *ps);                        /* tokens -> [B,T,C] */
  /* One block: x [B,T,C] -> [B,T,C]. state[i] as listed in `state`, before -> after. */
  Tensor *(*run)(Pass *ps, const void *block, Tensor *x, Tensor **state);
  /* What gives the logits of x [B,T,C] at `count` positions, each 0 .. B T-1, or at all of them (NULL). */
  Head (*head)(Pass *ps, Tensor *x, const int *position, int count);
} Version;

extern const Version version_v1, version_v2, version_v3, version_v4, version_v5_0, version_v5_1, version_v5_2,
    version_v6, version_v6a, version_v6b, version_v7;

/* ---- around the blocks, from v2 to v7 (global.c) ---- */

/* clang-format off */
#define GLOBAL_BASE(P, emb_init, emb_gain)                                                                       \
  /* field          official name               shape            where          initial value        gain  lr */ \
  P(emb,            "emb.weight",               S2(V, C),        always,        emb_init,        emb_gain, 1)    \
  P(ln_out_w,       "ln_out.weight",            S1(C),           always,        init_fill,              1, 1)    \
  P(ln_out_b,       "ln_out.bias",              S1(C),           always,        init_fill,              0, 1)    \
  P(head,           "head.weight",              S2(V, C),        has_head,      init_ortho_wide,      0.5, 1)

#define GLOBAL_COPY_HEAD(P)                                                                                      \
  /* field          official name               shape            where          initial value        gain  lr */ \
  P(head_q,         "head_q.weight",            S2(Q, C),        has_copy_head, init_fill,              0, 1)    \
  P(head_k,         "head_k.weight",            S2(Q, C),        has_copy_head, init_ortho_wide,      0.1, 1)
/* clang-format on */

typedef struct {
  GLOBAL_BASE(PARAM_FIELD, 0, 0)
  GLOBAL_COPY_HEAD(PARAM_FIELD)
} Global;

/* What the copy head remembers: a key and the token of every position. */
enum { COPY_KEYS, COPY_TOKENS };
/* clang-format off */
#define COPY_STATE                                                   \
  /* part          name      shape           where          start */ \
  [COPY_KEYS]   = {"hk",     S2(history, Q), has_copy_head, 0},      \
  [COPY_TOKENS] = {"tokens", S1(history),    has_copy_head, 0}
/* clang-format on */

Tensor *global_embed(Pass *ps);
Head global_head(Pass *ps, Tensor *x, const int *position, int count);

/* The copy head: gives a position, for each position u up to it, (q.k_u)/Q on token_u. q [count,Q] and k [B,T,Q] are
   made from the same [B,T,C]. -> [count,V] */
Tensor *global_copies(Pass *ps, Tensor *q, Tensor *k, const int *position, int count);

/* ---- mixes of a token with the one before, from v2 on (mixes.c) ---- */

/* One mix of x and prev [B,T,C] for each stream of the slot: those of the hook in it, or by mu, one for each stream.
   mixes_x_to_prev: x + (prev - x) mu, so mu is the part of the token before; mixes_prev_to_x: prev + (x - prev) mu, of
   the token itself. */
Tensor **mixes_x_to_prev(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev, Tensor *const *mu);
Tensor **mixes_prev_to_x(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev, Tensor *const *mu);

/* ---- around the parts of a block (block.c) ---- */

/* ln0, with which block 0 normalises the embedding; other blocks return x as it is. [B,T,C] */
Tensor *block_embed_norm(Pass *ps, Tensor *x, Tensor *weight, Tensor *bias);
/* x plus what time mixing or channel mixing returned, by way of the hook in HOOK_TIME_OUT or HOOK_CHANNEL_OUT. */
Tensor *block_add(Pass *ps, HookSlot slot, Tensor *x, Tensor *returned);

/* ---- channel mixing, from v2 to v5 (channel_mix.c) ---- */

/* x [B,T,C], *carry [B,C]: before -> after; mixes [C], key [F,C], receptance [C,C], value [C,F] -> [B,T,C].
   The second one is block 0's in models with pre_ffn, where no hook reaches. */
Tensor *channel_mix(Pass *ps, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key, Tensor *receptance,
                    Tensor *value);
Tensor *channel_mix_pre_ffn(Pass *ps, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                            Tensor *receptance, Tensor *value);

/* The parameters of a second channel mix, in place of block 0's time mixing (models with pre_ffn). */
/* clang-format off */
#define PRE_FFN(P, init_mixes)                                                                                   \
  /* field          official name               shape            where          initial value        gain  lr */ \
  P(pre_mix_k,      "ffnPre.time_mix_k",        S3(one, one, C), has_pre_ffn,   init_mixes,             1, 1)    \
  P(pre_mix_r,      "ffnPre.time_mix_r",        S3(one, one, C), has_pre_ffn,   init_mixes,             1, 1)    \
  P(pre_key,        "ffnPre.key.weight",        S2(F, C),        has_pre_ffn,   init_ortho_wide,        1, 1)    \
  P(pre_receptance, "ffnPre.receptance.weight", S2(C, C),        has_pre_ffn,   init_fill,              0, 1)    \
  P(pre_value,      "ffnPre.value.weight",      S2(C, F),        has_pre_ffn,   init_fill,              0, 1)
/* clang-format on */

/* ---- formulas that versions lend to the built-in hooks ---- */

Tensor *v4_decay(Tape *tp, Tensor *w);                                                   /* [v4.3] */
Tensor *v6_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2);               /* [v6.3] */
Tensor *v7_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2, double scale); /* [v7.3] */
Tensor *v7_iclr(Tape *tp, Tensor *x, Tensor *a0, Tensor *a1, Tensor *a2);                /* [v7.5] */
Tensor *v7_gate(Tape *tp, Tensor *x, Tensor *g1, Tensor *g2);                            /* [v7.6] */
Tensor *v7_bonus(Pass *ps, Tensor *r, Tensor *k, Tensor *v, Tensor *r_k);                /* [v7.10] */

#endif
