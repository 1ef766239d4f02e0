/* Sizes without a model: parameters, state, arithmetic. */
#include "layout.h"
#include "model.h"

typedef struct {
  const Version *version;
  const Dims *d;
  Counts n;
} Counting;

/* Whether a token is multiplied by it: a matrix with C or A rows or columns that is not the embedding, unless that is
   the head too; of a hook from Lua, whose shapes are plain numbers, every matrix. */
static bool is_linear_map(const ParamSpec *spec, const int *shape, const Version *v, const Dims *d)
{
  int wide = 0;
  bool has_channels = false;
  for (int i = 0; i < spec->shape.axes; i++) {
    wide += shape[i] > 1;
    size_t size = spec->shape.size[i];
    has_channels |= size == offsetof(Dims, C) || size == offsetof(Dims, A) || size >= sizeof(Dims);
  }
  return wide >= 2 && has_channels && (spec != &v->global.spec[0] || d->tied);
}

/* Other files hold it, and nothing depends on it. */
static bool is_unused(const LayoutParam *p, const Dims *d)
{
  return layout_is_spare(p) && has_time_mix(d, 0) && !dims_hook(d, HOOK_VALUE_RESIDUAL, 0);
}

static void count_param(void *ctx, const LayoutParam *p)
{
  Counting *c = ctx;
  int shape[MAX_AXES];
  layout_shape(&p->spec->shape, c->d, shape);
  size_t n = shape_count(p->spec->shape.axes, shape);
  if (p->expected) c->n.params += n;
  else if (is_unused(p, c->d)) c->n.unused += n;
  if (p->expected && is_linear_map(p->spec, shape, c->version, c->d)) c->n.flops += 2.0 * (double)n;
}

Counts version_counts(const Version *v, const Dims *d, int tokens)
{
  Counting c = {.version = v, .d = d};
  layout_each_param(v, d, count_param, &c);
  c.n.state = version_state_floats(v, d, tokens);
  for (int layer = 0; layer < d->L; layer++) {
    if (!dims_hook(d, HOOK_RECURRENCE, layer) && !dims_hook(d, HOOK_TIME_MIX, layer))
      c.n.flops += v->mixing_flops(d, tokens);
  }
  return c.n;
}
