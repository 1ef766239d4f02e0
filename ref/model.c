#include "model_build.h"

#include "engine/err.h"
#include "engine/ops.h"

#include <stdio.h>
#include <string.h>

/* ---- the version table ---- */

static const Version *const versions[] = {&version_v1,   &version_v2,   &version_v3,  &version_v4,
                                          &version_v5_0, &version_v5_1, &version_v5_2, &version_v6,
                                          &version_v6a,  &version_v6b,  &version_v7,  NULL};

const Version *const *version_list(void) { return versions; }

const Version *version_find(const char *name)
{
  char known[256] = "";
  for (int i = 0; versions[i]; i++) {
    if (strcmp(versions[i]->name, name) == 0) return versions[i];
    snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? " " : "", versions[i]->name);
  }
  rwkv_fail("there is no version \"%s\"; there are: %s", name, known);
}

/* ---- parameters ---- */

void resolve_shape(const ShapeSpec *s, const Dims *d, int shape[MAX_AXES])
{
  Dims copy = *d;
  for (int i = 0; i < s->axes; i++) shape[i] = *dim_at(&copy, s->size[i]);
}

static void initialise(Tensor *t, const ParamSpec *spec, const char *name, int layer, const Dims *d, uint64_t seed)
{
  double *values = rwkv_alloc(t->n, sizeof *values, name);
  Rng rng = rng_named(seed, name);
  int rows = t->axes ? t->shape[0] : 1;
  Init in = {values, t->n, rows, rows ? (int)(t->n / (size_t)rows) : 0, layer, d, spec->gain, &rng};
  spec->init(&in);
  for (size_t i = 0; i < t->n; i++) t->data[i] = (real)(float)values[i];
  rwkv_release(values);
}

void model_add_param(Model *m, const ParamSpec *spec, const char *name, int layer, bool unused)
{
  int shape[MAX_AXES];
  void *owner = layer < 0 ? m->outer : m->blocks[layer];
  resolve_shape(&spec->shape, &m->d, shape);
  Tensor *t = tensor_new(spec->shape.axes, shape);
  Param *p = &m->params[m->count++];
  snprintf(p->name, sizeof p->name, "%s", name);
  p->t = t;
  p->lr_scale = spec->lr_scale;
  p->unused = unused;
  t->needs_grad = true;
  t->grad = rwkv_alloc(t->n, sizeof(real), name);
  memcpy((char *)owner + spec->field, &t, sizeof t);
}

void for_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx)
{
  char name[80];
  for (int i = 0; i < v->outer_count; i++) each(ctx, &v->outer[i], v->outer[i].name, -1, v->outer[i].where(d, -1));
  for (int layer = 0; layer < d->L; layer++)
    for (int i = 0; i < v->block_count; i++) {
      snprintf(name, sizeof name, "blocks.%d.%s", layer, v->block[i].name);
      each(ctx, &v->block[i], name, layer, v->block[i].where(d, layer));
    }
}

Model *model_empty(const Version *v, const Dims *d)
{
  Model *m = rwkv_alloc(1, sizeof *m, "model");
  m->version = v;
  m->d = *d;
  m->params = rwkv_try_alloc((size_t)(v->outer_count + d->L * v->block_count), sizeof *m->params);
  m->outer = rwkv_try_alloc(1, v->outer_size);
  m->blocks = rwkv_try_alloc((size_t)d->L, sizeof *m->blocks);
  bool whole = m->params && m->outer && m->blocks;
  for (int i = 0; whole && i < d->L; i++) whole = (m->blocks[i] = rwkv_try_alloc(1, v->block_size)) != NULL;
  if (!whole) {
    model_free(m);
    memory_fail((size_t)d->L * v->block_size, "a model of %d layers", d->L);
  }
  return m;
}

typedef struct {
  const Version *version;
  Dims d;
  uint64_t seed;
  Model *result;
} New;

static void new_param(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected)
{
  New *n = ctx;
  if (!expected) return;
  model_add_param(n->result, spec, name, layer, false);
  initialise(n->result->params[n->result->count - 1].t, spec, name, layer < 0 ? 0 : layer, &n->result->d, n->seed);
}

static void build(void *arg)
{
  New *n = arg;
  n->result = model_empty(n->version, &n->d);
  for_each_param(n->version, &n->d, new_param, n);
}

Dims version_complete(const Version *v, const Dims *d)
{
  Dims full = *d;
  if (d->V < 1 || d->C < 1 || d->L < 1)
    rwkv_fail("%s: vocab %d, dim %d and layers %d must all be at least 1", v->name, d->V, d->C, d->L);
  if (d->V > 1 << 24 || d->C > 1 << 20 || d->L > 1 << 16)
    rwkv_fail("%s: vocab %d, dim %d, layers %d: that is beyond any sense", v->name, d->V, d->C, d->L);
  for (size_t at = 0; at < sizeof(Dims); at += sizeof(int))
    if (*dim_at(&full, at) < 0 || *dim_at(&full, at) > 1 << 24)
      rwkv_fail("%s: a size of %d is not possible", v->name, *dim_at(&full, at));
  full.one = 1, full.four = 4, full.five = 5, full.history = 0;
  v->complete(&full);
  return full;
}

Model *model_new(const Version *v, const Dims *d, uint64_t seed)
{
  New n = {.version = v, .d = version_complete(v, d), .seed = seed};
  const char *error = rwkv_protect(build, &n);
  if (error) {
    model_free(n.result);
    rwkv_fail("%s", error);
  }
  return n.result;
}

void model_free(Model *m)
{
  if (!m) return;
  for (int i = 0; m->params && i < m->count; i++) tensor_free(m->params[i].t);
  for (int i = 0; m->blocks && i < m->d.L; i++) rwkv_release(m->blocks[i]);
  rwkv_release(m->blocks);
  rwkv_release(m->outer);
  rwkv_release(m->params);
  rwkv_release(m);
}

Param *model_param(Model *m, const char *name)
{
  for (int i = 0; i < m->count; i++)
    if (strcmp(m->params[i].name, name) == 0) return &m->params[i];
  return NULL;
}

size_t model_param_count(const Model *m, bool with_unused)
{
  size_t n = 0;
  for (int i = 0; i < m->count; i++)
    if (with_unused || !m->params[i].unused) n += m->params[i].t->n;
  return n;
}

static bool is_matrix_weight(const Param *p)
{
  const char *end = strrchr(p->name, '.');
  int wide = 0;
  for (int i = 0; i < p->t->axes; i++) wide += p->t->shape[i] > 1;
  return end && strcmp(end, ".weight") == 0 && wide >= 2;
}

static void add_moments(void *arg) /* (model, optimizer) */
{
  Model *m = ((void **)arg)[0];
  for (int i = 0; i < m->count; i++)
    opt_add(((void **)arg)[1], i, m->params[i].t, m->params[i].lr_scale, is_matrix_weight(&m->params[i]));
}

Optim *model_optimizer(Model *m, const OptConfig *cfg)
{
  Optim *o = opt_new(cfg, m->count);
  const char *error = rwkv_protect(add_moments, (void *[]){m, o});
  if (error) {
    opt_free(o);
    rwkv_fail("%s", error);
  }
  return o;
}

/* ---- running ---- */

/* Checks the arguments. The blocks work on a copy of the state's list of tensors: a run that fails leaves
   the state as it was. */
static Pass begin(Tape *tp, const Model *m, const int *tokens, int B, int T, State *st)
{
  if (B < 1 || T < 1) rwkv_fail("tokens [%d,%d]: at least one sequence of one token is needed", B, T);
  state_check(st, m);
  if (st->B != B) rwkv_fail("the state is for a batch of %d, the tokens are [%d,%d]", st->B, B, T);
  for (int i = 0; i < B * T; i++)
    if (tokens[i] < 0 || tokens[i] >= m->d.V)
      rwkv_fail("token %d at sequence %d, position %d is outside 0..%d", tokens[i], i / T, i % T, m->d.V - 1);
  state_attach(st, tp);
  Tensor **state = arena_alloc(&tp->arena, (size_t)st->count * sizeof *state);
  memcpy(state, st->now, (size_t)st->count * sizeof *state);
  return (Pass){.tp = tp, .d = &m->d, .outer = m->outer, .tokens = tokens, .B = B, .T = T,
                .rounded_decay = m->rounded_decay, .state = state,
                .outer_state = state + st->L * m->version->state_count};
}

/* [B,T] -> the output of the last block, [B,T,C] */
static Tensor *run_blocks(Pass *ps, const Model *m)
{
  Tensor *x = m->version->embed(ps);
  for (int layer = 0; layer < m->d.L; layer++)
    x = m->version->run(ps, m->blocks[layer], layer, x, ps->state + layer * m->version->state_count);
  return x;
}

static void finish(const Pass *ps, State *st)
{
  memcpy(st->now, ps->state, (size_t)st->count * sizeof *ps->state);
  if (!ps->tp->recording) state_detach(st);
}

Tensor *model_logits(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  Tensor *logits = m->version->logits(&ps, run_blocks(&ps, m), NULL, 0);
  finish(&ps, st);
  return logits;
}

Tensor *model_loss(Tape *tp, Model *m, const int *tokens, const int *targets, int B, int T, State *st,
                   double l2wrap, Score *score)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  int scored = 0, *row = arena_alloc(&tp->arena, (size_t)(B * T) * sizeof *row),
      *target = arena_alloc(&tp->arena, (size_t)(B * T) * sizeof *target);
  for (int i = 0; i < B * T; i++)
    if (targets[i] >= 0) row[scored] = i, target[scored++] = targets[i];
  Tensor *x = run_blocks(&ps, m);
  Tensor *logits = m->version->logits(&ps, x, scored < B * T ? row : NULL, scored); /* [scored,V] or [B,T,V] */
  Tensor *loss = t_cross_entropy(tp, logits, target, l2wrap);
  if (score) {
    int *best = arena_alloc(&tp->arena, (size_t)scored * sizeof *best);
    ops.argmax(best, logits->data, (size_t)scored, (size_t)m->d.V);
    *score = (Score){.scored = scored};
    for (int i = 0; i < scored; i++) score->correct += best[i] == target[i];
  }
  finish(&ps, st);
  return loss;
}
