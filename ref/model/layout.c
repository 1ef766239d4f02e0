/* The parameters of a model, in the order in which they are made: around the blocks, then block by block. */
#include "layout.h"

#include "model.h"

#include <stdio.h>
#include <string.h>

void layout_shape(const ShapeSpec *s, const Dims *d, int shape[MAX_AXES])
{
  for (int i = 0; i < s->axes; i++) shape[i] = dims_size(d, s->size[i]);
}

/* They are called ".weight", or are factors of a low-rank map: w1, a2, time_decay_w1, ... */
bool layout_may_pack(const LayoutParam *p)
{
  const char *name = p->spec->name, *dot = strrchr(name, '.');
  char last = name[strlen(name) - 1];
  return p->slot < 0 && p->spec->shape.axes == 2 &&
         ((dot && strcmp(dot, ".weight") == 0) || last == '1' || last == '2');
}

bool layout_is_table(const Version *v, const Dims *d, const ParamSpec *spec)
{
  bool first = spec == &v->global.spec[0], around = spec >= v->global.spec && spec < v->global.spec + v->global.count;
  return spec->shape.axes == 2 && spec->shape.size[0] == offsetof(Dims, V) && (first ? !d->tied : !around);
}

bool layout_is_spare(const LayoutParam *p)
{
  return p->layer == 0 && (p->spec->where == has_value_residual || p->spec->where == has_idle_ln0);
}

static void each_of_layer(const Version *v, const Dims *d, int layer, EachParam *each, void *ctx)
{
  char name[PARAM_NAME];
  for (int i = 0; i < v->block.count; i++) {
    snprintf(name, sizeof name, "blocks.%d.%s", layer, v->block.spec[i].name);
    each(ctx, &(LayoutParam){&v->block.spec[i], name, layer, -1, 0, v->block.spec[i].where(d, layer), NULL});
  }
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    const Hook *h = dims_hook(d, slot, layer);
    for (int i = 0; h && i < h->param_count; i++) {
      if (h->param[i].shared) continue;
      hook_param_name(name, sizeof name, layer, h, h->param[i].name);
      each(ctx, &(LayoutParam){&h->param[i], name, layer, slot, i, hook_slot_in_layer(d, slot, layer), NULL});
    }
  }
}

/* The layer in which the hook of this layer stands first. */
static int first_layer_of(const Dims *d, HookSlot slot, const Hook *h)
{
  int layer = 0;
  while (layer < d->L && dims_hook(d, slot, layer) != h) layer++;
  return layer;
}

static bool works_anywhere(const Dims *d, HookSlot slot, const Hook *h)
{
  for (int layer = 0; layer < d->L; layer++)
    if (dims_hook(d, slot, layer) == h && hook_slot_in_layer(d, slot, layer)) return true;
  return false;
}

/* The parameters that the layers of a hook share. */
static void each_shared(const Dims *d, HookSlot slot, int layer, EachParam *each, void *ctx)
{
  char name[PARAM_NAME];
  const Hook *h = dims_hook(d, slot, layer);
  if (!h || first_layer_of(d, slot, h) != layer) return;
  for (int i = 0; i < h->param_count; i++) {
    if (!h->param[i].shared) continue;
    hook_param_name(name, sizeof name, -1, h, h->param[i].name);
    each(ctx, &(LayoutParam){&h->param[i], name, -1, slot, i, works_anywhere(d, slot, h), h});
  }
}

void layout_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx)
{
  for (int i = 0; i < v->global.count; i++)
    each(ctx,
         &(LayoutParam){&v->global.spec[i], v->global.spec[i].name, -1, -1, 0, v->global.spec[i].where(d, -1), NULL});
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++)
    for (int layer = 0; layer < d->L; layer++) each_shared(d, slot, layer, each, ctx);
  for (int layer = 0; layer < d->L; layer++) each_of_layer(v, d, layer, each, ctx);
}

static int states_of(const Dims *d, HookSlot slot, int layer)
{
  const Hook *h = dims_hook(d, slot, layer);
  return h ? h->state_count : 0;
}

int layout_state_count(const Version *v, const Dims *d, int layer)
{
  int n = v->state.count;
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) n += states_of(d, slot, layer);
  return n;
}

int layout_states(const Version *v, const Dims *d)
{
  int n = v->global_state.count;
  for (int layer = 0; layer < d->L; layer++) n += layout_state_count(v, d, layer);
  return n;
}

bool layout_grows(const LayoutState *p) { return p->there && p->spec->shape.size[0] == offsetof(Dims, history); }

LayoutState layout_state(const Version *v, const Dims *d, int i)
{
  for (int layer = 0; layer < d->L; layer++) {
    if (i < v->state.count) {
      const StateSpec *spec = &v->state.spec[i];
      return (LayoutState){spec, layer, -1, spec->where(d, layer)};
    }
    i -= v->state.count;
    for (HookSlot slot = 0; slot < HOOK_SLOTS; i -= states_of(d, slot++, layer))
      if (i < states_of(d, slot, layer))
        return (LayoutState){&dims_hook(d, slot, layer)->state[i], layer, (int)slot,
                             hook_slot_in_layer(d, slot, layer)};
  }
  const StateSpec *spec = &v->global_state.spec[i];
  return (LayoutState){spec, -1, -1, spec->where(d, -1)};
}
