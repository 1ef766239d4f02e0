/* What a version of RWKV is made of: its sizes, its parameter lists, its state, and three functions.
   Each vN.c fills in one `Version` (or a few that are close); model.c does the rest for all of them. */
#ifndef AVIARY_VERSION_H
#define AVIARY_VERSION_H

#include "engine/rng.h"
#include "engine/tape.h"

/* The sizes of a model. A size that a version does not have is 0. */
typedef struct {
  int one, four, five; /* constants, for shapes such as [1,1,C] */
  int L, V, C;         /* layers, vocabulary, channels (n_embd) */
  int A, F;            /* channels inside time mixing (dim_att) and channel mixing (dim_ffn) */
  int H, N;            /* heads and their size: A = H N */
  int Dw, Da, Dv, Dg;  /* ranks of the LoRAs for decay (v6, v7), in-context learning rate, value (v7), gate */
  int Dm, Dx;          /* rank of each mixing LoRA (v6), and of all of them together */
  int Q;               /* width of the copy head (head_q, head_k) */
  int ctx;             /* v1: the longest sequence; other versions have no limit */
  int pre_ffn;         /* 1: block 0 has a second channel mix instead of time mixing */
  int tiny_layer, tiny; /* v4: the layer (from 1) with tiny attention, and its width */
  int history;         /* tokens seen so far, in the shape of a state that keeps them all */
} Dims;

typedef struct {
  int axes;
  size_t size[MAX_AXES]; /* each an offset into Dims */
} ShapeSpec;

#define S1(a) {1, {offsetof(Dims, a)}}
#define S2(a, b) {2, {offsetof(Dims, a), offsetof(Dims, b)}}
#define S3(a, b, c) {3, {offsetof(Dims, a), offsetof(Dims, b), offsetof(Dims, c)}}

/* Whether something stands in a block, under these sizes and options. */
typedef bool Where(const Dims *d, int layer);
Where everywhere, first, not_first, has_att, has_pre_ffn, has_tiny, has_copy_head;

/* Initial values of one parameter, written in double and rounded to float32 as the official code has it. */
typedef struct {
  double *out;
  size_t n;
  int rows, cols; /* of a matrix */
  int layer;
  const Dims *d;
  double gain;
  Rng *rng;
} Init;

typedef struct {
  const char *name; /* official name, without "blocks.i." */
  ShapeSpec shape;
  Where *where;
  void (*init)(const Init *in);
  double gain;     /* argument of init */
  double lr_scale; /* multiple of the learning rate in the official trainer's groups */
  size_t field;    /* offset of the Tensor* in the version's struct */
} ParamSpec;

/* A parameter list is written once,  #define V7_BLOCK(P) P(field, "name", shape, where, init, gain, lr) ...
   and gives the struct (with PARAM_FIELD) and the table (with PARAM_SPEC, for the struct called BLOCK). */
#define PARAM_FIELD(field, ...) Tensor *field;
#define PARAM_SPEC(field, name, shape, where, init, gain, lr) \
  {name, shape, where, init, gain, lr, offsetof(BLOCK, field)},

/* The layer norms of a block; block 0 also normalises the embedding. */
#define BLOCK_NORMS(P)                                       \
  P(ln0_w, "ln0.weight", S1(C), first, init_fill, 1, 1)      \
  P(ln0_b, "ln0.bias", S1(C), first, init_fill, 0, 1)        \
  P(ln1_w, "ln1.weight", S1(C), everywhere, init_fill, 1, 1) \
  P(ln1_b, "ln1.bias", S1(C), everywhere, init_fill, 0, 1)   \
  P(ln2_w, "ln2.weight", S1(C), everywhere, init_fill, 1, 1) \
  P(ln2_b, "ln2.bias", S1(C), everywhere, init_fill, 0, 1)

/* One part of the state: [B, shape..], all of it 0 long where it does not stand. */
typedef struct {
  const char *name;
  ShapeSpec shape;
  Where *where;
  double start; /* value before the first token */
} StateSpec;

/* One run of a model over tokens [B,T]: what the blocks share. */
typedef struct {
  Tape *tp;
  const Dims *d;
  const void *outer;     /* the parameters around the blocks */
  Tensor **state, **outer_state; /* of all layers, and the part around them */
  const int *tokens;
  int B, T;
  Tensor *emb;     /* v4: the raw embedding, [B,T,C] */
  Tensor *v_first; /* v7: the values of block 0, [B,T,C] */
  bool rounded_decay; /* v7: 0.606531 for e^{-1/2}, as the official inference code has it */
} Pass;

typedef struct {
  const char *name;  /* "v7" */
  const char *title; /* "RWKV-7 Goose" */
  const ParamSpec *outer, *block; /* parameters around the blocks, and of a block, and the sizes of */
  int outer_count, block_count;   /* the structs that hold them */
  size_t outer_size, block_size;
  const StateSpec *state, *outer_state; /* of a layer, and of the whole */
  int state_count, outer_state_count;
  /* Fills in what was left open with the official defaults; fails on sizes that cannot be. */
  void (*complete)(Dims *d);
  double (*mixing_flops)(const Dims *d, int tokens); /* of a layer's recurrence, for a token after so many */
  Tensor *(*embed)(Pass *ps); /* tokens -> [B,T,C] */
  /* One block: x [B,T,C] -> [B,T,C]. state[i] as listed in `state`, before -> after. */
  Tensor *(*run)(Pass *ps, const void *block, int layer, Tensor *x, Tensor **state);
  /* Logits of x [B,T,C] at `count` rows of [B T,C], or at all of them (row = NULL): [count,V] or [B,T,V]. */
  Tensor *(*logits)(Pass *ps, Tensor *x, const int *row, int count);
} Version;

extern const Version version_v1, version_v2, version_v3, version_v4, version_v5_0, version_v5_1,
    version_v5_2, version_v6, version_v6a, version_v6b, version_v7;

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- around the blocks, from v2 to v7 (outer.c) ---- */

#define OUTER_BASE(P, emb_init, emb_gain)                                     \
  P(emb, "emb.weight", S2(V, C), everywhere, emb_init, emb_gain, 1)           \
  P(ln_out_w, "ln_out.weight", S1(C), everywhere, init_fill, 1, 1)            \
  P(ln_out_b, "ln_out.bias", S1(C), everywhere, init_fill, 0, 1)              \
  P(head, "head.weight", S2(V, C), everywhere, init_ortho_wide, 0.5, 1)

#define OUTER_COPY_HEAD(P)                                                    \
  P(head_q, "head_q.weight", S2(Q, C), has_copy_head, init_fill, 0, 1)        \
  P(head_k, "head_k.weight", S2(Q, C), has_copy_head, init_ortho_wide, 0.1, 1)

typedef struct {
  OUTER_BASE(PARAM_FIELD, 0, 0)
  OUTER_COPY_HEAD(PARAM_FIELD)
} Outer;

/* What the copy head remembers: a key and the token of every position. */
enum { COPY_KEYS, COPY_TOKENS };
#define COPY_STATE                                           \
  [COPY_KEYS] = {"hk", S2(history, Q), has_copy_head, 0},    \
  [COPY_TOKENS] = {"tokens", S1(history), has_copy_head, 0}

Tensor *outer_embed(Pass *ps);
Tensor *outer_logits(Pass *ps, Tensor *x, const int *row, int count);

/* The copy head: to the logits of a position adds, for each position u up to it, (q.k_u)/Q on token_u.
   y [B,T,C] is what q [rows,Q] and k [B,T,Q] were made from. -> [rows,V] or [B,T,V] as `logits`. */
Tensor *add_copies(Pass *ps, Tensor *logits, Tensor *q, Tensor *k, const int *row, int count);

/* ---- channel mixing, from v2 to v5 (channel_mix.c) ---- */

/* x [B,T,C], *carry [B,C]: before -> after; mixes [C], key [F,C], receptance [C,C], value [C,F] -> [B,T,C] */
Tensor *channel_mix(Tape *tp, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                    Tensor *receptance, Tensor *value);

/* A second one, in place of block 0's time mixing (models with pre_ffn). */
#define PRE_FFN(P, init_mixes)                                                                   \
  P(pre_mix_k, "ffnPre.time_mix_k", S3(one, one, C), has_pre_ffn, init_mixes, 1, 1)          \
  P(pre_mix_r, "ffnPre.time_mix_r", S3(one, one, C), has_pre_ffn, init_mixes, 1, 1)          \
  P(pre_key, "ffnPre.key.weight", S2(F, C), has_pre_ffn, init_ortho_wide, 1, 1)              \
  P(pre_receptance, "ffnPre.receptance.weight", S2(C, C), has_pre_ffn, init_fill, 0, 1)      \
  P(pre_value, "ffnPre.value.weight", S2(C, F), has_pre_ffn, init_fill, 0, 1)

/* ---- initial values (init.c) ---- */
void init_fill(const Init *in);       /* every element is gain */
void init_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_orthogonal(const Init *in); /* rows or columns, whichever are fewer, orthonormal times gain */
void init_ortho_wide(const Init *in); /* the same, times sqrt(rows/cols) where rows > cols */
void init_ortho_root(const Init *in); /* orthogonal times gain sqrt(max(rows, cols)) */
void init_mix(const Init *in);        /* (c/C)^(gain (1 - layer/L)): how much of the current token, v3-v5 */
void init_mix_v(const Init *in);      /* the same with gain 1, + 0.3 layer/(L-1) */
void init_prev_mix(const Init *in);   /* 1 - (c/C)^(gain (1 - layer/L)): how much of the one before, v6, v7 */
void init_prev_mix_v(const Init *in); /* 1 - init_mix_v */
void init_decay_v4(const Init *in);   /* -5 + 8 (n/last)^(0.7 + 1.3 layer/(L-1)), also v3 */
void init_decay_v5(const Init *in);   /* -6 + 5 (n/last)^(0.7 + 1.3 layer/(L-1)), also v6 */
void init_first(const Init *in);      /* log 0.3 and a zigzag of +-1/2, v3 and v4 */
void init_bonus(const Init *in);      /* layer/(L-1) (1 - n/last) and a zigzag of +-0.1, v5.2 and v6 */
void init_ln_x(const Init *in);       /* ((1 + layer) / L)^0.7 */

/* layer / (L-1), and 0 in a model of one layer (where the official code divides by zero) */
double ratio_0_to_1(const Init *in);
double ratio_1_to_almost0(const Init *in); /* 1 - layer / L */
/* (c/C)^power */
double channel_power(const Init *in, size_t c, double power);
double part_of_last(const Init *in, size_t i); /* i / (n-1), and 0 for n = 1 */

int *dim_at(Dims *d, size_t offset);
/* Fails unless A = H N with both at least 1; finds the missing one of H and N. */
void complete_heads(const char *version, Dims *d, int default_head);

#endif
