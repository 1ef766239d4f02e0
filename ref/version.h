/* What a version of RWKV is: its parameter lists, its state, and three functions. Each vN.c fills in one
   `Version` (or a few that are close); ref/model does the rest for all of them. */
#ifndef AVIARY_VERSION_H
#define AVIARY_VERSION_H

#include "hook.h"

/* The layer norms of a block; block 0 also normalises the embedding, where `embed` says so. */
/* clang-format off */
#define BLOCK_NORMS_WHERE(P, embed)                                                                              \
  /* field          official name               shape            where          initial value        gain  lr */ \
  P(ln0_w,          "ln0.weight",               S1(C),           embed,         init_fill,              1, 1)    \
  P(ln0_b,          "ln0.bias",                 S1(C),           embed,         init_fill,              0, 1)    \
  P(ln1_w,          "ln1.weight",               S1(C),           always,        init_fill,              1, 1)    \
  P(ln1_b,          "ln1.bias",                 S1(C),           always,        init_fill,              0, 1)    \
  P(ln2_w,          "ln2.weight",               S1(C),           always,        init_fill,              1, 1)    \
  P(ln2_b,          "ln2.bias",                 S1(C),           always,        init_fill,              0, 1)
#define BLOCK_NORMS(P) BLOCK_NORMS_WHERE(P, has_ln0)
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
  bool reads_tokens;                                 /* its blocks look at tables of tokens */
  bool rounds_decay;                                 /* official inference code does: 0.606531 for e^{-1/2} */
  double (*mixing_flops)(const Dims *d, int tokens); /* of a layer's recurrence, for a token after so many */
  Tensor *(*embed)(Pass *ps);                        /* tokens -> [B,T,C] */
  /* One block: x [B,T,C] -> [B,T,C]. state[i] as listed in `state`, before -> after. */
  Tensor *(*run)(Pass *ps, const void *block, Tensor *x, Tensor **state);
  /* What gives the logits of x [B,T,C] at `count` positions, each 0 .. B T-1, or at all of them (NULL). */
  Head (*head)(Pass *ps, Tensor *x, const int *position, int count);
} Version;

/* All versions, in the order in which people are told of them. */
/* clang-format off */
#define VERSIONS(V)                              \
  V(v1) V(v2) V(v3) V(v4)                        \
  V(v5_0) V(v5_1) V(v5_2) V(v6) V(v6a) V(v6b)    \
  V(rc2) V(rc3) V(rc4) V(rc4a) V(v7)             \
  V(v7a)                                         \
  V(v7b) V(v8_rc00) V(v8_rc00_hybrid)
/* clang-format on */
#define VERSION_DECLARED(id) extern const Version version_##id;
VERSIONS(VERSION_DECLARED)

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
/* The rows of a table [V,..] for the tokens of this run: [B,T,..]. */
Tensor *token_rows(Pass *ps, Tensor *table);
Tensor *token_numbers(Pass *ps); /* the tokens of this run as numbers, which a state can hold: [B,T] */
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

Tensor *v4_decay(Tape *tp, Tensor *w);                                     /* [v4.3] */
Tensor *v6_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2); /* [v6.3] */

#endif
