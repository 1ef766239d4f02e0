/* New models, with the official initial values. */
#include "build.h"

#include "engine/err.h"

#include <math.h>

/* ---- what there is while it is made ---- */

typedef struct {
  const Version *version;
  Dims d;
  uint64_t seed;
  bool uniform;
  NewWatch watch;
  size_t done, all; /* numbers */
  Model *result;
} New;

static void count_param(void *ctx, const LayoutParam *p)
{
  New *n = ctx;
  int shape[MAX_AXES];
  size_t count = p->expected;
  layout_shape(&p->spec->shape, &n->d, shape);
  for (int i = 0; i < p->spec->shape.axes; i++) count *= (size_t)shape[i];
  n->all += count;
}

/* How many numbers there are of the parameter at work. */
static void tell(void *arg, size_t done)
{
  New *n = arg;
  if (n->watch.tell) n->watch.tell(n->watch.watching, n->done + done, n->all);
}

/* ---- a parameter ---- */

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

static void initialise(New *n, Tensor *t, const ParamSpec *spec, const char *name, int layer)
{
  double *values = rwkv_alloc(t->n, sizeof *values, name);
  Rng rng = rng_named(n->seed, name);
  size_t rows = t->axes ? (size_t)t->shape[0] : 1;
  Initial initial = {spec->init,
                     {.out = values,
                      .n = t->n,
                      .rows = rows,
                      .cols = rows ? t->n / rows : 0,
                      .layer = layer,
                      .d = &n->d,
                      .gain = spec->gain,
                      .rng = &rng,
                      .watch = tell,
                      .watching = n}};
  const char *error = rwkv_protect(run_init, &initial);
  if (!error) write_rounded(t, values);
  rwkv_release(values);
  if (error) rwkv_fail("%s", error);
  n->done += t->n;
}

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
  initialise(n, model_add_param(n->result, p, NULL), &spec, p->name, p->layer < 0 ? 0 : p->layer);
}

static void build(void *arg)
{
  New *n = arg;
  n->result = model_empty(n->version, &n->d);
  layout_each_param(n->version, &n->d, count_param, n);
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

Model *model_new_watched(const Version *v, const Dims *d, uint64_t seed, bool uniform, NewWatch watch)
{
  return make(&(New){.version = v, .d = version_complete(v, d), .seed = seed, .uniform = uniform, .watch = watch});
}

Model *model_new(const Version *v, const Dims *d, uint64_t seed)
{
  return model_new_watched(v, d, seed, false, (NewWatch){0});
}

Model *model_new_uniform(const Version *v, const Dims *d, uint64_t seed)
{
  return model_new_watched(v, d, seed, true, (NewWatch){0});
}
