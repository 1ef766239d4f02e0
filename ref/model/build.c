/* A model as a piece of memory: made empty, filled parameter by parameter, and given back. */
#include "build.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

static void count_one(void *count, const LayoutParam *p) { (void)p, ++*(int *)count; }

static int most_params(const Version *v, const Dims *d)
{
  int n = 0;
  layout_each_param(v, d, count_one, &n);
  return n;
}

void model_reserve(Model *m, size_t bytes)
{
  m->inference = true;
  arena_alloc(&m->weights, bytes);
  arena_rewind(&m->weights, (ArenaMark){NULL, 0});
}

Model *model_empty(const Version *v, const Dims *d)
{
  Model *m = rwkv_alloc(1, sizeof *m, "model");
  m->version = v;
  m->d = *d;
  m->weights = tensor_arena();
  m->params = rwkv_try_alloc((size_t)most_params(v, d), sizeof *m->params);
  m->global = rwkv_try_alloc(1, v->global.size);
  m->blocks = rwkv_try_alloc((size_t)d->L, sizeof *m->blocks);
  m->hook_params = rwkv_try_alloc((size_t)d->L * HOOK_SLOTS, sizeof *m->hook_params);
  bool whole = m->params && m->global && m->blocks && m->hook_params;
  for (int i = 0; whole && i < d->L; i++) whole = (m->blocks[i] = rwkv_try_alloc(1, v->block.size)) != NULL;
  for (int i = 0; whole && i < d->L * HOOK_SLOTS; i++) {
    const Hook *h = dims_hook(d, (HookSlot)(i % HOOK_SLOTS), i / HOOK_SLOTS);
    if (h) whole = (m->hook_params[i] = rwkv_try_alloc((size_t)h->param_count, sizeof(Tensor *))) != NULL;
  }
  if (!whole) {
    model_free(m);
    memory_fail((size_t)d->L * v->block.size, "a model of %d layers", d->L);
  }
  return m;
}

/* Where the parameter of a hook is looked for: in its layer, or in all that share it. */
static void give_hook(Model *m, const LayoutParam *p, Tensor *t)
{
  HookSlot slot = (HookSlot)p->slot;
  for (int layer = 0; layer < m->d.L; layer++)
    if (p->of ? dims_hook(&m->d, slot, layer) == p->of : layer == p->layer)
      m->hook_params[layer * HOOK_SLOTS + p->slot][p->index] = t;
}

static void add_param(Model *m, const LayoutParam *p, Tensor *t)
{
  Param *added = &m->params[m->count++];
  snprintf(added->name, sizeof added->name, "%s", p->name);
  added->t = t;
  added->lr_scale = p->spec->lr_scale;
  added->unused = !p->expected;
  if (p->slot >= 0) give_hook(m, p, t);
  else memcpy((char *)(p->layer < 0 ? m->global : m->blocks[p->layer]) + p->spec->field, &t, sizeof t);
}

Tensor *model_add_param(Model *m, const LayoutParam *p, const Storage *as)
{
  int shape[MAX_AXES], axes = p->spec->shape.axes;
  layout_shape(&p->spec->shape, &m->d, shape);
  if (as && *as == STORED_F32 && sizeof(real) == sizeof(float)) as = NULL;
  Tensor *t = m->inference ? tensor_in(&m->tensors, &m->weights, axes, shape, as) : tensor_new(axes, shape);
  add_param(m, p, t);
  if (!m->inference) tensor_need_grad(t);
  return t;
}

void model_see_param(Model *m, const LayoutParam *p, Packed numbers)
{
  int shape[MAX_AXES];
  layout_shape(&p->spec->shape, &m->d, shape);
  add_param(m, p, tensor_see(&m->tensors, p->spec->shape.axes, shape, numbers));
}

void model_free(Model *m)
{
  if (!m) return;
  for (int i = 0; m->params && i < m->count; i++) {
    if (!m->inference) tensor_free(m->params[i].t);
    else tensor_free_grad(m->params[i].t); /* somebody may have asked for one; the rest is in `weights` */
  }
  arena_free(&m->tensors);
  arena_free(&m->weights);
  file_close(m->file);
  for (int i = 0; m->blocks && i < m->d.L; i++) rwkv_release(m->blocks[i]);
  for (int i = 0; m->hook_params && i < m->d.L * HOOK_SLOTS; i++) rwkv_release(m->hook_params[i]);
  rwkv_release(m->hook_params);
  rwkv_release(m->blocks);
  rwkv_release(m->global);
  rwkv_release(m->params);
  rwkv_release(m);
}

Param *model_param(Model *m, const char *name)
{
  for (int i = 0; i < m->count; i++)
    if (strcmp(m->params[i].name, name) == 0) return &m->params[i];
  return NULL;
}

size_t model_param_bytes(const Param *p)
{
  return p->t->n * (p->t->packed.bits ? storage_size(p->t->packed.storage) : sizeof(real));
}

size_t model_param_count(const Model *m, bool with_unused)
{
  size_t n = 0;
  for (int i = 0; i < m->count; i++)
    if (with_unused || !m->params[i].unused) n += m->params[i].t->n;
  return n;
}
