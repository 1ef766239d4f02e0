/* One run of a model over tokens: what the blocks share, and who watches. */
#ifndef AVIARY_PASS_H
#define AVIARY_PASS_H

#include "engine/tape.h"
#include "spec.h"

/* Somebody who sees every named intermediate of a run, in the order of computation. */
typedef struct Trace {
  void (*see)(struct Trace *self, const char *name, Tensor *t); /* "blocks.0.att.w" */
} Trace;

typedef struct {
  Tape *tp;
  const Dims *d;
  const int *tokens; /* [B,T], */
  Tensor *vectors;   /* or what stands in place of their embedding, [B,T,C] */
  int B, T;
  const int64_t *seen;             /* [B] tokens that each sequence has seen before */
  const void *global;              /* the parameters around the blocks */
  Tensor **state;                  /* of all layers, before -> after */
  Tensor **global_state;           /* around the blocks, before -> after */
  int layer;                       /* the block that is at work, from 0 */
  Tensor **hook_param[HOOK_SLOTS]; /* the parameters of its hooks */
  Tensor **hook_state[HOOK_SLOTS]; /* and their state, before -> after */
  Tensor *emb;                     /* the embedding for later blocks: v4's raw, v7a's normalised; [B,T,C] */
  Tensor *past_emb;                /* v7b: the same of all tokens up to here, [B,U,C] */
  const struct Past *past;         /* the tokens up to here, where blocks look back at them (past.h) */
  Tensor *v_first;                 /* v7: the values of the first block with time mixing, [B,T,C] */
  bool rounded_decay;              /* v7: 0.606531 for e^{-1/2}, as the official inference code has it */
  const void *host;                /* of the model */
  int *held;                       /* of the state: + 1 while a hook is at work */
  Trace *trace;                    /* who wants to see the intermediates; NULL: nobody */
} Pass;

/* Shows intermediates to whoever traces the run. Their names are part of golden files:
     TRACE(ps, "att", "r w k v", r, w, k, v);   shows "blocks.0.att.r", ...; tensors that are NULL are passed over
     TRACE_GLOBAL(ps, "emb.x", x);              around the blocks */
#define TRACE(ps, part, names, ...) TRACE_LIST(ps, part, names, ((Tensor *[]){__VA_ARGS__}))
#define TRACE_LIST(ps, part, names, list) ((ps)->trace ? trace_tensors(ps, part, names, list, COUNT(list)) : (void)0)
#define TRACE_GLOBAL(ps, name, t) ((ps)->trace ? (ps)->trace->see((ps)->trace, name, t) : (void)0)
void trace_tensors(Pass *ps, const char *part, const char *names, Tensor **t, int count);

#endif
