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

bool layout_is_spare(const LayoutParam *p) { return p->spec->where == has_value_residual && p->layer == 0; }

static void each_of_layer(const Version *v, const Dims *d, int layer, EachParam *each, void *ctx)
{
  char name[PARAM_NAME];
  for (int i = 0; i < v->block.count; i++) {
    snprintf(name, sizeof name, "blocks.%d.%s", layer, v->block.spec[i].name);
    each(ctx, &(LayoutParam){&v->block.spec[i], name, layer, -1, 0, v->block.spec[i].where(d, layer)});
  }
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    const Hook *h = d->hook[slot];
    for (int i = 0; h && i < h->param_count; i++) {
      hook_param_name(name, sizeof name, layer, h, h->param[i].name);
      each(ctx, &(LayoutParam){&h->param[i], name, layer, slot, i, hook_slot_in_layer(d, slot, layer)});
    }
  }
}

void layout_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx)
{
  for (int i = 0; i < v->global.count; i++)
    each(ctx, &(LayoutParam){&v->global.spec[i], v->global.spec[i].name, -1, -1, 0, v->global.spec[i].where(d, -1)});
  for (int layer = 0; layer < d->L; layer++) each_of_layer(v, d, layer, each, ctx);
}

int layout_state_count(const Version *v, const Dims *d)
{
  int n = v->state.count;
  for (int slot = 0; slot < HOOK_SLOTS; slot++) n += d->hook[slot] ? d->hook[slot]->state_count : 0;
  return n;
}
