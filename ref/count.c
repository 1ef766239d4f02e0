/* Sizes without a model: parameters, state, arithmetic. */
#include "model_build.h"

typedef struct {
  const Version *version;
  const Dims *d;
  Counts n;
} Counting;

/* Whether a token is multiplied by it: a matrix with C rows or columns that is not the embedding. */
static bool is_linear_map(const ParamSpec *spec, const int *shape, const Version *v)
{
  int wide = 0;
  bool has_channels = false;
  for (int i = 0; i < spec->shape.axes; i++) {
    wide += shape[i] > 1;
    has_channels |= spec->shape.size[i] == offsetof(Dims, C);
  }
  return wide >= 2 && has_channels && spec != &v->outer[0];
}

static void count_param(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected)
{
  Counting *c = ctx;
  int shape[MAX_AXES];
  (void)name, (void)layer;
  resolve_shape(&spec->shape, c->d, shape);
  size_t n = shape_count(spec->shape.axes, shape);
  if (expected) c->n.params += n;
  else if (spec->where == not_first) c->n.unused += n;
  if (expected && is_linear_map(spec, shape, c->version)) c->n.flops += 2.0 * (double)n;
}

Counts version_counts(const Version *v, const Dims *d, int tokens)
{
  Counting c = {.version = v, .d = d};
  for_each_param(v, d, count_param, &c);
  c.n.state = version_state_floats(v, d, tokens);
  c.n.flops += d->L * v->mixing_flops(d, tokens);
  return c.n;
}
