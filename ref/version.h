/* What a version of RWKV is made of: its sizes, its parameter list, its state, and one function.
   Each vN.c fills in one `Version`; model.c does the rest for all of them. */
#ifndef AVIARY_VERSION_H
#define AVIARY_VERSION_H

#include "engine/rng.h"
#include "engine/tape.h"

/* The sizes of a model. A size that a version does not have is 0. */
typedef struct {
  int one;            /* always 1: for shapes such as [1,1,C] */
  int L, V, C;        /* layers, vocabulary, channels (n_embd) */
  int A, F;           /* channels inside time mixing (dim_att) and channel mixing (dim_ffn) */
  int H, N;           /* heads and their size: A = H N */
  int Dw, Da, Dv, Dg; /* ranks of the LoRAs for decay, in-context learning rate, value, gate (v7) */
} Dims;

typedef struct {
  int axes;
  size_t size[MAX_AXES]; /* each an offset into Dims */
} ShapeSpec;

#define S1(a) {1, {offsetof(Dims, a)}}
#define S2(a, b) {2, {offsetof(Dims, a), offsetof(Dims, b)}}
#define S3(a, b, c) {3, {offsetof(Dims, a), offsetof(Dims, b), offsetof(Dims, c)}}

/* In which blocks a parameter stands. */
typedef enum {
  EVERY,
  FIRST,    /* block 0 only */
  NOT_FIRST /* all but block 0; a file may hold it there too, where it has no effect */
} Where;

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
  Where where;
  void (*init)(const Init *in);
  double gain;     /* argument of init */
  double lr_scale; /* multiple of the learning rate in the official trainer's groups */
  size_t field;    /* offset of the Tensor* in the version's block */
} ParamSpec;

/* A parameter list is written once,  #define V7_BLOCK(P) P(field, "name", shape, where, init, gain, lr) ...
   and gives the struct (with PARAM_FIELD) and the table (with PARAM_SPEC, for the struct called BLOCK). */
#define PARAM_FIELD(field, ...) Tensor *field;
#define PARAM_SPEC(field, name, shape, where, init, gain, lr) \
  {name, shape, where, init, gain, lr, offsetof(BLOCK, field)},

/* The parameters around the blocks, the same from v4 to v7 but for the range of the embedding. */
#define OUTER(P, emb_range)                                                   \
  P(emb, "emb.weight", S2(V, C), EVERY, init_uniform, emb_range, 1)           \
  P(ln_out_w, "ln_out.weight", S1(C), EVERY, init_fill, 1, 1)                 \
  P(ln_out_b, "ln_out.bias", S1(C), EVERY, init_fill, 0, 1)                   \
  P(head, "head.weight", S2(V, C), EVERY, init_ortho_wide, 0.5, 1)

typedef struct {
  OUTER(PARAM_FIELD, 0)
} Outer;

#define OUTER_SPEC(field, name, shape, where, init, gain, lr) \
  {name, shape, where, init, gain, lr, offsetof(Outer, field)},

/* One part of the state of a layer: [B, shape..]. */
typedef struct {
  const char *name;
  ShapeSpec shape;
  double start; /* value before the first token */
} StateSpec;

typedef struct Model Model;

/* One run of a model over tokens [B,T]: what the blocks share. */
typedef struct {
  Tape *tp;
  const Model *model;
  const Dims *d;
  const int *tokens;
  int B, T;
  Tensor *v_first; /* v7: the values of block 0, [B,T,C] */
} Pass;

typedef struct {
  const char *name;  /* "v7" */
  const char *title; /* "RWKV-7 Goose" */
  const ParamSpec *outer, *params; /* around the blocks, and of a block */
  int outer_count, param_count;
  size_t block_size; /* of the struct that holds a block's parameters */
  const StateSpec *state;
  int state_count;
  /* Fills in what was left open with the official defaults; fails on sizes that cannot be. */
  void (*complete)(Dims *d);
  /* One block: x [B,T,C] -> [B,T,C]. state[i] as listed in `state`, before -> after. */
  Tensor *(*block)(Pass *ps, const void *params, int layer, Tensor *x, Tensor **state);
} Version;

extern const Version version_v4, version_v7;

/* ---- initial values (init.c) ---- */
void init_fill(const Init *in);       /* every element is gain */
void init_uniform(const Init *in);    /* uniform in [-gain, gain] */
void init_orthogonal(const Init *in); /* rows or columns, whichever are fewer, orthonormal times gain */
void init_ortho_wide(const Init *in); /* the same, times sqrt(rows/cols) where rows > cols */
void init_ln_x(const Init *in);       /* ((1 + layer) / L)^0.7 */

/* layer / (L-1), and 0 in a model of one layer (where the official code divides by zero) */
double ratio_0_to_1(const Init *in);
double ratio_1_to_almost0(const Init *in); /* 1 - layer / L */
/* (c/C)^power in float32, as torch computes it */
float channel_power(const Init *in, size_t c, double power);

int *dim_at(Dims *d, size_t offset);
/* Fails unless A = H N with both at least 1; finds the missing one of H and N. */
void complete_heads(const char *version, Dims *d, int default_head);

#endif
