/* What a model holds, before it holds it: sizes, shapes of parameters and state, initial values. */
#ifndef AVIARY_SPEC_H
#define AVIARY_SPEC_H

#include "engine/rng.h"
#include "engine/tape.h"

typedef struct Hook Hook;

/* The slots a hook can stand in (hook.h). */
typedef enum { HOOK_SHIFT, HOOK_FFN_SHIFT, HOOK_RECEPTANCE, HOOK_DECAY, HOOK_ICLR, HOOK_GATE, HOOK_BONUS, HOOK_KEY_NORM,
               HOOK_VALUE_RESIDUAL, HOOK_RECURRENCE, HOOK_NORM, HOOK_TIME_MIX, HOOK_CHANNEL_MIX, HOOK_SLOTS } HookSlot;

/* The sizes and options of a model. A size that a version does not have is 0. */
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
  int tied;            /* 1: the embedding is the head too */
  int tiny_layer, tiny; /* v4: the layer (from 1) with tiny attention, and its width */
  int streams, ffn_streams; /* mixes of a token with the one before, for the two parts of a block */
  int history;         /* tokens seen so far, in the shape of a state that keeps them all */
  const Hook *hook[HOOK_SLOTS]; /* what stands in place of the version's own; NULL: nothing. After all sizes */
} Dims;

typedef struct {
  int axes;
  size_t size[MAX_AXES]; /* each an offset into Dims, or FIXED(n) */
} ShapeSpec;

#define FIXED(n) (sizeof(Dims) + (size_t)(n))
#define S1(a) {1, {offsetof(Dims, a)}}
#define S2(a, b) {2, {offsetof(Dims, a), offsetof(Dims, b)}}
#define S3(a, b, c) {3, {offsetof(Dims, a), offsetof(Dims, b), offsetof(Dims, c)}}

/* Whether something stands in a block, under these sizes and options. */
typedef bool Where(const Dims *d, int layer);
Where everywhere, first, has_pre_ffn, has_tiny, has_copy_head;
Where has_head;                          /* of its own, not the embedding */
Where has_att, has_ffn;                  /* time mixing and channel mixing as the version has them, */
Where own_shift, own_ffn_shift, own_receptance, own_decay, own_iclr, own_gate, own_bonus, own_key_norm,
    own_value_residual, own_recurrence, own_norm; /* and their parts, where no hook stands in their place */
Where keeps_shift; /* whether the first part of the block needs the token before */

/* Initial values of one parameter, written in double and rounded to float32 as the official code has it. */
typedef struct {
  double *out;
  size_t n;
  size_t rows, cols; /* of a matrix */
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

/* One part of the state: [B, shape..], all of it 0 long where it does not stand. */
typedef struct {
  const char *name;
  ShapeSpec shape;
  Where *where;
  double start; /* value before the first token */
} StateSpec;

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- initial values (init.c) ---- */
void init_fill(const Init *in);       /* every element is gain */
void init_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_normal(const Init *in);     /* Gaussian of mean 0, deviation gain */
void init_orthogonal(const Init *in); /* rows or columns, whichever are fewer, orthonormal times gain */
void init_ortho_wide(const Init *in); /* the same, times sqrt(rows/cols) where rows > cols */
/* of an embedding; N(0, 0.02) where it is the head too */
void init_emb_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_emb_orthogonal(const Init *in); /* orthogonal times gain sqrt(max(rows, cols)) */
void init_mix(const Init *in);        /* (c/C)^(gain (1 - layer/L)): how much of the current token, v3-v5 */
void init_mix_v(const Init *in);      /* the same with gain 1, + 0.3 layer/(L-1) */
void init_prev_mix(const Init *in);   /* 1 - (c/C)^(gain (1 - layer/L)): how much of the one before, v6, v7 */
void init_prev_mix_v(const Init *in); /* 1 - init_mix_v */
void init_decay_v4(const Init *in);   /* -5 + 8 (n/last)^(0.7 + 1.3 layer/(L-1)), also v3 */
void init_decay_v5(const Init *in);   /* -6 + 5 (n/last)^(0.7 + 1.3 layer/(L-1)), also v6 */
void init_first(const Init *in);      /* log 0.3 and a zigzag of +-1/2, v3 and v4 */
void init_bonus(const Init *in);      /* layer/(L-1) (1 - n/last) and a zigzag of +-0.1, v5.2 and v6 */
void init_ln_x(const Init *in);       /* ((1 + layer) / L)^0.7 */
void init_decay_v7(const Init *in);   /* [v7.3]: -5.5 + 6 (n/last)^.. and a signed square inside each head */
void init_iclr(const Init *in);       /* [v7.5]: -0.19, rising over the channels and inside each head */
void init_value_residual(const Init *in); /* [v7.4]: 0.93 falling to 0.53 */
void init_key_norm(const Init *in);   /* [v7.7]: 0.76 falling to 0.66 */
void init_lerp(const Init *in);       /* [streams,C], each row as init_prev_mix */

/* layer / (L-1), and 0 in a model of one layer (where the official code divides by zero) */
double ratio_0_to_1(const Init *in);
double ratio_1_to_almost0(const Init *in); /* 1 - layer / L */
/* (c/C)^power */
double channel_power(const Init *in, size_t c, double power);
double part_of_last(const Init *in, size_t i); /* i / (n-1), and 0 for n = 1 */

int *dim_at(Dims *d, size_t offset);
int size_of(const Dims *d, size_t size); /* of a ShapeSpec */
/* max(32, 32 round(f/32)): the official rule of RWKV-7 for the ranks of its low-rank maps */
int lora_rank(double f);
/* Fails unless A = H N with both at least 1; finds the missing one of H and N. */
void complete_heads(const char *version, Dims *d, int default_head);

#endif
