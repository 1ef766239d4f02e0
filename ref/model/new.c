/* New models, with the official initial values. */
#include "build.h"

#include "engine/err.h"

#include <math.h>

typedef struct {
  void (*init)(const Init *in);
  Init in;
} Initial;

static void run_init(void *arg)
{
  const Initial *i = arg;
  i->init(&i->in);
}

static void write_rounded(Tensor *t, const double *values) /* to float32, as the official code has it */
{
  real piece[1024];
  for (size_t at = 0, count; at < t->n; at += count) {
    count = t->n - at < COUNT(piece) ? t->n - at : COUNT(piece);
    for (size_t i = 0; i < count; i++) piece[i] = (real)(float)values[at + i];
    tensor_write(t, at, count, piece);
  }
}

static void initialise(Tensor *t, const ParamSpec *spec, const char *name, int layer, const Dims *d, uint64_t seed)
{
  double *values = rwkv_alloc(t->n, sizeof *values, name);
  Rng rng = rng_named(seed, name);
  size_t rows = t->axes ? (size_t)t->shape[0] : 1;
  Initial initial = {spec->init, {values, t->n, rows, rows ? t->n / rows : 0, layer, d, spec->gain, &rng}};
  const char *error = rwkv_protect(run_init, &initial);
  if (!error) write_rounded(t, values);
  rwkv_release(values);
  if (error) rwkv_fail("%s", error);
}

typedef struct {
  const Version *version;
  Dims d;
  uint64_t seed;
  bool uniform;
  Model *result;
} New;

static ParamSpec uniform_of(const ParamSpec *spec, const Dims *d)
{
  ParamSpec uniform = *spec;
  uniform.init = init_uniform;
  uniform.gain = sqrt(3.0 / dims_size(d, spec->shape.size[1]));
  return uniform;
}

static void new_param(void *ctx, const LayoutParam *p)
{
  New *n = ctx;
  if (!p->expected) return;
  ParamSpec spec = n->uniform && layout_may_pack(p) ? uniform_of(p->spec, &n->d) : *p->spec;
  initialise(model_add_param(n->result, p, NULL), &spec, p->name, p->layer < 0 ? 0 : p->layer, &n->d, n->seed);
}

static void build(void *arg)
{
  New *n = arg;
  n->result = model_empty(n->version, &n->d);
  layout_each_param(n->version, &n->d, new_param, n);
}

static Model *make(New *n)
{
  const char *error = rwkv_protect(build, n);
  if (error) {
    model_free(n->result);
    rwkv_fail("%s", error);
  }
  return n->result;
}

Model *model_new(const Version *v, const Dims *d, uint64_t seed)
{
  return make(&(New){.version = v, .d = version_complete(v, d), .seed = seed});
}

Model *model_new_uniform(const Version *v, const Dims *d, uint64_t seed)
{
  return make(&(New){.version = v, .d = version_complete(v, d), .seed = seed, .uniform = true});
}
