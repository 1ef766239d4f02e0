#include "models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool version_uses(const Version *v, size_t size)
{
  Dims d = {.one = 1, .V = 16, .C = 64, .L = 4};
  v->complete(&d);
  return *dims_at(&d, size) != 0;
}

static void set_if_used(const Version *v, Dims *d, size_t size, int value)
{
  if (version_uses(v, size)) *dims_at(d, size) = value;
}

static bool is(const Version *v, const char *name) { return strcmp(v->name, name) == 0; }

Dims small_dims(const Version *v, int variant)
{
  static const struct {
    int C, N, L, V, Dw, Da, Dv, Dg;
  } sizes[SMALL_SIZES] = {
      {15, 5, 3, 13, 3, 4, 2, 6},
      {9, 3, 2, 11, 2, 5, 3, 4},
      {8, 2, 1, 17, 5, 3, 2, 1},
      {6, 3, 2, 9, 1, 2, 3, 4},
  };
  Dims d = {.L = sizes[variant].L, .V = sizes[variant].V, .C = sizes[variant].C};
  set_if_used(v, &d, offsetof(Dims, N), sizes[variant].N);
  set_if_used(v, &d, offsetof(Dims, Dw), sizes[variant].Dw);
  set_if_used(v, &d, offsetof(Dims, Da), sizes[variant].Da);
  set_if_used(v, &d, offsetof(Dims, Dv), sizes[variant].Dv);
  set_if_used(v, &d, offsetof(Dims, Dg), sizes[variant].Dg);
  set_if_used(v, &d, offsetof(Dims, Dm), sizes[variant].Da);
  set_if_used(v, &d, offsetof(Dims, Dk), sizes[variant].Dv + 1);
  set_if_used(v, &d, offsetof(Dims, Dka), sizes[variant].Dg);
  set_if_used(v, &d, offsetof(Dims, Dkw), sizes[variant].Da + 1);
  set_if_used(v, &d, offsetof(Dims, Q), 4 + variant);
  set_if_used(v, &d, offsetof(Dims, ctx), SMALL_LENGTH);
  if (variant == 3) d.pre_ffn = is(v, "v3") || is(v, "v4");
  if (variant == 3 && is(v, "v4")) d.tiny_layer = 2, d.tiny = 4, d.Q = 5;
  return d;
}

real *numbers_of(const Tensor *t)
{
  real *x = calloc(t->n + 1, sizeof *x);
  tensor_read(t, 0, t->n, x);
  return x;
}

Model *random_model(const Version *v, const Dims *d, uint64_t seed)
{
  Model *m = model_new(v, d, seed);
  for (int i = 0; i < m->count; i++) {
    Tensor *t = m->params[i].t;
    Rng r = rng_named(seed + 1, m->params[i].name);
    real *x = numbers_of(t);
    for (size_t j = 0; j < t->n; j++) {
      if (!(fabs((double)x[j]) < 100)) x[j] = 0; /* v3 initialises ffnPre's mixes to infinity */
      x[j] += (real)(0.25 * rng_normal(&r));
    }
    tensor_write(t, 0, t->n, x);
    free(x);
  }
  return m;
}

Model *small_model(const Version *v, int variant)
{
  Dims d = small_dims(v, variant);
  return random_model(v, &d, 100 + (uint64_t)variant);
}

int *random_tokens(uint64_t seed, int n, int V)
{
  Rng r = rng_named(seed, "tokens");
  int *tokens = calloc((size_t)n, sizeof *tokens);
  for (int i = 0; i < n; i++) tokens[i] = (int)rng_below(&r, (uint64_t)V);
  tokens[n - 1] = 0;
  tokens[0] = V - 1;
  return tokens;
}

void zero_model_grads(Model *m)
{
  for (int i = 0; i < m->count; i++) tensor_clear_grad(m->params[i].t);
}

double *model_grads(const Model *m, size_t *n)
{
  *n = model_param_count(m, true);
  double *all = calloc(*n, sizeof *all), *next = all;
  real *grads = calloc(*n, sizeof *grads);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    tensor_read_grad(t, 0, t->n, grads);
    for (size_t j = 0; j < t->n; j++) *next++ = (double)grads[j];
  }
  free(grads);
  return all;
}

bool same_states(const State *a, const State *b)
{
  if (a->count != b->count) return false;
  for (int i = 0; i < a->count; i++) {
    if (!tensor_same_shape(a->now[i], b->now[i])) return false;
    real *x = numbers_of(a->now[i]), *y = numbers_of(b->now[i]);
    bool same = memcmp(x, y, a->now[i]->n * sizeof *x) == 0;
    free(x), free(y);
    if (!same) return false;
  }
  return true;
}

real *logits_of(Model *m, const int *tokens, int B, int T, State *st)
{
  Tape *tp = tape_new();
  tp->recording = false;
  real *out = numbers_of(model_logits(tp, m, TOKENS(tokens, B, T), st));
  tape_reset(tp);
  tape_free(tp);
  return out;
}

void load_model_file(void *loading)
{
  ModelLoading *l = loading;
  l->file = file_open(l->path);
  l->model = model_load(l->file, NULL);
}
