/* Hooks: the named slots in which a version can be changed. A hook is a function with parameters and state of its own;
   the built-in ones are in variants.h, the others come from Lua, and nobody can tell them apart. */
#ifndef AVIARY_HOOK_H
#define AVIARY_HOOK_H

#include "pass.h"

/* ---- slots ---- */

typedef struct {
  const char *name;    /* "decay" */
  const char *part;    /* "att", "ffn" or "ln0": the part of the block; parameters are called so */
  const char *inputs;  /* what a hook is given; a recurrence is given what its version lists */
  const char *returns; /* for people: shape, unit, range */
  size_t width;        /* the last axis of what it returns, an offset into Dims; [B,T,width] */
  bool constant;       /* may be [width] or [] instead, for all tokens */
  bool nothing;        /* may return nothing: this step of the block is left out */
  bool around;         /* stands around the part: has a place beside a hook that replaces all of it */
  double low, high;    /* its range */
} Slot;

extern const Slot hook_slots[HOOK_SLOTS];
int hook_slot(const char *name);                                  /* fails, naming the slots there are */
bool hook_slot_in_layer(const Dims *d, HookSlot slot, int layer); /* this layer has the slot */
bool hook_works(const Dims *d, HookSlot slot, int layer);         /* a hook stands in the slot, and the layer has it */

/* ---- hooks ---- */

/* One use of a hook. Everything is [B,T,..] unless the slot says otherwise. */
typedef struct {
  const Hook *hook;
  Pass *ps;
  Tensor **in; /* as the slot lists its inputs */
  int in_count;
  Tensor **param; /* as the hook lists its parameters */
  Tensor **state; /* as the hook lists its state: before -> after */
  Tensor **out;   /* for the result; a shift has one a stream */
  int out_count;
} HookCall;

struct Hook {
  HookSlot slot;
  const char *name;
  const char *origin;     /* where it was written, "script.lua:12"; NULL: built-in */
  const ParamSpec *param; /* names without the prefix, see hook_param_name */
  int param_count;
  const StateSpec *state;
  int state_count;
  void (*complete)(Dims *d); /* fills in sizes that it needs; may be NULL */
  void (*apply)(HookCall *c);
};

/* "blocks.0.att.decay.floor.w0"; "att.decay.floor.w0", which all layers share, of layer -1 */
void hook_param_name(char *out, size_t size, int layer, const Hook *h, const char *param);

/* What the hook in the slot makes of the inputs, checked for shape, range and finite numbers. */
Tensor *hook_apply(Pass *ps, HookSlot slot, Tensor **in, int in_count);
int hook_streams(const Dims *d, HookSlot slot); /* of a shift slot: how many mixes its part of the block needs */
/* The mixes that a hook in a shift slot makes of x and the token before, one a stream; NULL if there is no hook. */
Tensor **hook_shift(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev);

/* The result of the hook in the slot; if there is none, `own`, which is what the version does itself. With a hook `own`
   is not run at all: it costs nothing, and may name parameters that the model does not have. */
#define HOOK(ps, slot, own, ...)                                                             \
  (dims_hook((ps)->d, slot, (ps)->layer)                                                     \
       ? hook_apply(ps, slot, (Tensor *[]){__VA_ARGS__}, COUNT(((Tensor *[]){__VA_ARGS__}))) \
       : (own))

#endif
