/* Sizes without a model: parameters, state, arithmetic. */
#include "layout.h"
#include "model.h"

typedef struct {
  const Version *version;
  const Dims *d;
  Counts n;
} Counting;

/* Whether a token is multiplied by it: a matrix with C, A or one of the fixed sizes, but no table of tokens, unless
   that is the head; of a hook from Lua, whose shapes are plain numbers, every matrix. */
static bool is_linear_map(const ParamSpec *spec, const int *shape, const Version *v, const Dims *d)
{
  int wide = 0;
  bool has_channels = false;
  for (int i = 0; i < spec->shape.axes; i++) {
    wide += shape[i] > 1;
    size_t size = spec->shape.size[i];
    has_channels |= size == offsetof(Dims, C) || size == offsetof(Dims, A) || size >= sizeof(Dims);
    has_channels |= size == offsetof(Dims, side) || size == offsetof(Dims, query);
  }
  return wide >= 2 && has_channels && !layout_is_table(v, d, spec);
}

/* Other files hold it, and nothing depends on it. */
static bool is_unused(const LayoutParam *p, const Dims *d)
{
  bool hooked = !has_time_mix(d, 0) || dims_hook(d, HOOK_VALUE_RESIDUAL, 0);
  return layout_is_spare(p) && !(p->spec->where == has_value_residual && hooked);
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
