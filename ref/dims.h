/* The sizes and options of a model, and shapes in terms of them. */
#ifndef AVIARY_DIMS_H
#define AVIARY_DIMS_H

#include "engine/tensor.h"

typedef struct Hook Hook;

/* The slots that a hook can be put into (hook.h). */
/* clang-format off */
typedef enum { HOOK_SHIFT, HOOK_FFN_SHIFT, HOOK_RECEPTANCE, HOOK_DECAY, HOOK_ICLR, HOOK_GATE, HOOK_BONUS, HOOK_KEY_NORM,
               HOOK_KEY_SCALE, HOOK_VALUE_RESIDUAL, HOOK_RECURRENCE, HOOK_NORM, HOOK_TIME_MIX, HOOK_CHANNEL_MIX,
               HOOK_TIME_OUT, HOOK_CHANNEL_OUT, HOOK_EMBED_NORM, HOOK_SLOTS } HookSlot;
/* clang-format on */

/* A size that a version does not have is 0. */
typedef struct {
  int one, four, five, six; /* constants, for shapes such as [1,1,C]; dims_constants */
  int side, square;         /* more of them: of v7a's gate, which is a matrix [side,side] for each token */
  int query;                /* and the channels of the one attention head of v7b */
  int L, V, C;              /* layers, vocabulary, channels (n_embd) */
  int A, F;                 /* channels inside time mixing (dim_att) and channel mixing (dim_ffn) */
  int H, N;                 /* heads and their size: A = H N */
  int Dw, Da, Dv, Dg;       /* ranks of the LoRAs for decay (v6, v7), in-context learning rate, value (v7), gate */
  int Dm, Dx;               /* rank of each mixing LoRA (v6), and of all of them together */
  int Dk, Dka, Dkw;         /* rc2 to rc4: of the removal key, and of what scales keys by iclr and by decay */
  int Q;                    /* width of the copy head (head_q, head_k) */
  int ctx;                  /* v1: the longest sequence; other versions have no limit */
  int pre_ffn;              /* 1: block 0 has a second channel mix instead of time mixing */
  int tied;                 /* 1: the embedding is the head too */
  int tiny_layer, tiny;     /* v4: the layer (from 1) with tiny attention, and its width */
  int streams, ffn_streams; /* mixes of a token with the one before, for the two parts of a block */
  int history;              /* tokens seen so far, in the shape of a state that keeps them all */
  /* After all sizes, the hooks: in each slot one for all layers, or a list [L] of them. NULL: the version does it. */
  const Hook *hook[HOOK_SLOTS];
  const Hook *const *layer_hook[HOOK_SLOTS];
} Dims;

typedef struct {
  int axes;
  size_t size[MAX_AXES]; /* each an offset into Dims, or FIXED(n) */
} ShapeSpec;

const Hook *dims_hook(const Dims *d, HookSlot slot, int layer); /* of this layer; NULL: the version does it */
bool dims_hooked(const Dims *d, HookSlot slot);                 /* in some layer */

#define FIXED(n) (sizeof(Dims) + (size_t)(n)) /* n itself */
/* clang-format off */
#define S1(a) {1, {offsetof(Dims, a)}}
#define S2(a, b) {2, {offsetof(Dims, a), offsetof(Dims, b)}}
#define S3(a, b, c) {3, {offsetof(Dims, a), offsetof(Dims, b), offsetof(Dims, c)}}
/* clang-format on */

void dims_constants(Dims *d); /* sets them */
int *dims_at(Dims *d, size_t offset);
int dims_size(const Dims *d, size_t size); /* of a ShapeSpec */
/* max(32, 32 round(f/32)): the official rule of RWKV-7 for the ranks of its low-rank maps */
int dims_lora_rank(double f);
/* Fails unless A = H N with both at least 1; finds the missing one of H and N. */
void dims_complete_heads(const char *version, Dims *d, int default_head);

#endif
