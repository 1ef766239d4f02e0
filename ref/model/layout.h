/* The layout of parameters and state: what the version lists, and what the hooks in it list, layer by layer. */
#ifndef AVIARY_LAYOUT_H
#define AVIARY_LAYOUT_H

#include "version.h"

enum { PARAM_NAME = 120 };

typedef struct {
  const ParamSpec *spec;
  const char *name; /* in full */
  int layer;        /* -1: around the blocks */
  int slot, index;  /* of a hook's parameter: the hook's slot, and which one of the hook's list; -1, 0 */
  bool expected;    /* a model of these sizes has it */
  const Hook *of;   /* which hook's, of a parameter that its layers share (layer -1); NULL otherwise */
} LayoutParam;

/* Calls each(ctx, p) for every parameter that there could be, expected or not. */
typedef void EachParam(void *ctx, const LayoutParam *p);
void layout_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx);
/* It is a matrix of the version's own that only t_linear, t_matmul or t_rows takes. */
bool layout_may_pack(const LayoutParam *p);
/* A token takes a row of it, and nothing is multiplied by it: the embedding, unless it is the head too, and tables of
   blocks. */
bool layout_is_table(const Version *v, const Dims *d, const ParamSpec *spec);
/* Some files hold it for block 0 too, where nothing depends on it: v7's value residual, v8_rc00_hybrid's ln0. */
bool layout_is_spare(const LayoutParam *p);
void layout_shape(const ShapeSpec *s, const Dims *d, int shape[MAX_AXES]);
/* One tensor of a state: layer by layer the version's and then the hooks', slot by slot; then those around the
   blocks. */
typedef struct {
  const StateSpec *spec;
  int layer; /* -1: around the blocks */
  int slot;  /* of a hook's; -1: the version's own */
  bool there;
} LayoutState;
int layout_state_count(const Version *v, const Dims *d, int layer); /* of a layer */
int layout_states(const Version *v, const Dims *d);                 /* all of them */
bool layout_grows(const LayoutState *p);                            /* its first size is that of the tokens seen */
LayoutState layout_state(const Version *v, const Dims *d, int i);

#endif
