#include "model.h"

#include "engine/err.h"
#include "engine/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the version table ---- */

static const Version *const versions[] = {&version_v4, &version_v7, NULL};

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

static void resolve(const ShapeSpec *s, Dims *d, int shape[MAX_AXES])
{
  for (int i = 0; i < s->axes; i++) shape[i] = *dim_at(d, s->size[i]);
}

static void initialise(Tensor *t, const ParamSpec *spec, const char *name, int layer, const Dims *d, uint64_t seed)
{
  double *values = rwkv_alloc(t->n, sizeof *values, name);
  Rng rng = rng_named(seed, name);
  int rows = t->axes ? t->shape[0] : 1;
  Init in = {values, t->n, rows, rows ? (int)(t->n / (size_t)rows) : 0, layer, d, spec->gain, &rng};
  spec->init(&in);
  for (size_t i = 0; i < t->n; i++) t->data[i] = (real)(float)values[i];
  free(values);
}

static void add_param(Model *m, const ParamSpec *spec, const char *name, void *owner, bool unused)
{
  int shape[MAX_AXES];
  resolve(&spec->shape, &m->d, shape);
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

static bool stands_in(const ParamSpec *spec, int layer)
{
  return spec->where == EVERY || (spec->where == FIRST) == (layer == 0);
}

/* Calls each for every place of the version's parameter list; it says whether a parameter stands there. */
typedef void EachParam(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected);

static void for_each_param(const Version *v, int L, EachParam *each, void *ctx)
{
  char name[80];
  for (int i = 0; i < v->outer_count; i++) each(ctx, &v->outer[i], v->outer[i].name, -1, true);
  for (int layer = 0; layer < L; layer++)
    for (int i = 0; i < v->param_count; i++) {
      snprintf(name, sizeof name, "blocks.%d.%s", layer, v->params[i].name);
      each(ctx, &v->params[i], name, layer, stands_in(&v->params[i], layer));
    }
}

static void *owner_of(Model *m, int layer) { return layer < 0 ? (void *)&m->outer : m->blocks[layer]; }

static Model *model_empty(const Version *v, const Dims *d)
{
  Model *m = rwkv_alloc(1, sizeof *m, "model");
  m->version = v;
  m->d = *d;
  m->params = rwkv_alloc((size_t)(v->outer_count + d->L * v->param_count), sizeof *m->params, "parameters");
  m->blocks = rwkv_alloc((size_t)d->L, sizeof *m->blocks, "blocks");
  for (int i = 0; i < d->L; i++) m->blocks[i] = rwkv_alloc(1, v->block_size, "block");
  return m;
}

typedef struct {
  Model *m;
  uint64_t seed;
} New;

static void new_param(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected)
{
  New *n = ctx;
  if (!expected) return;
  add_param(n->m, spec, name, owner_of(n->m, layer), false);
  initialise(n->m->params[n->m->count - 1].t, spec, name, layer < 0 ? 0 : layer, &n->m->d, n->seed);
}

typedef struct {
  const Version *version;
  Dims d;
  uint64_t seed;
  StFile *file;
  Model *result;
} Build;

static void build_new(void *arg)
{
  Build *b = arg;
  b->result = model_empty(b->version, &b->d);
  for_each_param(b->version, b->d.L, new_param, &(New){b->result, b->seed});
}

static Model *build(Build *b, void (*how)(void *))
{
  const char *error = rwkv_protect(how, b);
  if (error) {
    model_free(b->result);
    rwkv_fail("%s", error);
  }
  return b->result;
}

Model *model_new(const Version *v, const Dims *d, uint64_t seed)
{
  Build b = {.version = v, .d = *d, .seed = seed};
  b.d.one = 1;
  if (d->V < 1 || d->C < 1 || d->L < 1)
    rwkv_fail("%s: vocab %d, dim %d and layers %d must all be at least 1", v->name, d->V, d->C, d->L);
  if (d->V > 1 << 24 || d->C > 1 << 20 || d->L > 1 << 16)
    rwkv_fail("%s: vocab %d, dim %d, layers %d: that is beyond any sense", v->name, d->V, d->C, d->L);
  for (size_t at = 0; at < sizeof(Dims); at += sizeof(int))
    if (*dim_at(&b.d, at) < 0 || *dim_at(&b.d, at) > 1 << 24)
      rwkv_fail("%s: a size of %d is not possible", v->name, *dim_at(&b.d, at));
  v->complete(&b.d);
  return build(&b, build_new);
}

void model_free(Model *m)
{
  if (!m) return;
  for (int i = 0; i < m->count; i++) tensor_free(m->params[i].t);
  for (int i = 0; i < m->d.L; i++) free(m->blocks[i]);
  free(m->blocks);
  free(m->params);
  free(m);
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

Optim *model_optimizer(Model *m, const OptConfig *cfg)
{
  Optim *o = opt_new(cfg, m->count);
  for (int i = 0; i < m->count; i++)
    opt_add(o, i, m->params[i].t, m->params[i].lr_scale, is_matrix_weight(&m->params[i]));
  return o;
}

/* ---- files: a file is of the version whose parameter list it fills ---- */

/* How far a file is from a version: the number of tensors that do not fit, and the first of them. */
typedef struct {
  const Version *version;
  StFile *file;
  Dims d;
  int known, misfits;
  char problem[400];
} Fit;

static void misfit(Fit *fit, const char *text)
{
  if (fit->misfits++ == 0) snprintf(fit->problem, sizeof fit->problem, "%s", text);
}

static void fit_param(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected)
{
  Fit *fit = ctx;
  const StEntry *e = st_find(fit->file, name);
  char text[400];
  (void)layer;
  if (!e) {
    snprintf(text, sizeof text, "%s is missing", name);
    if (expected) misfit(fit, text);
    return;
  }
  if (!expected && spec->where != NOT_FIRST) return; /* counts as left over */
  fit->known++;

  int extra = e->axes - spec->shape.axes, want[MAX_AXES]; /* [C] may stand for [1,1,C] and back */
  bool fits = true;
  for (int i = 0; i < extra; i++) fits &= e->shape[i] == 1;
  for (int i = 0; i < spec->shape.axes; i++) {
    int found = i + extra >= 0 ? e->shape[i + extra] : 1, *size = dim_at(&fit->d, spec->shape.size[i]);
    if (*size == 0) *size = found;
    fits &= *size == found;
  }
  if (!fits) {
    resolve(&spec->shape, &fit->d, want);
    snprintf(text, sizeof text, "%s has shape %s, expected %s", name, shape_text(e->axes, e->shape),
             shape_text(spec->shape.axes, want));
    misfit(fit, text);
  }
}

static int count_blocks(StFile *f)
{
  int L = 0;
  for (int i = 0; i < st_count(f); i++) {
    int layer;
    if (sscanf(st_entry(f, i)->name, "blocks.%d.", &layer) == 1 && layer >= L && layer < 1 << 16) L = layer + 1;
  }
  return L;
}

static bool is_model_tensor(const char *name) { return strncmp(name, "optim.", 6) != 0; }

static void left_over(Fit *fit, int total)
{
  if (fit->known < total) {
    char text[400];
    snprintf(text, sizeof text, "%d tensors of the file have no place in it", total - fit->known);
    misfit(fit, text);
    fit->misfits += total - fit->known - 1;
  }
}

static Fit closest_version(StFile *f)
{
  Fit best = {.misfits = -1};
  int total = 0, L = count_blocks(f);
  for (int i = 0; i < st_count(f); i++) total += is_model_tensor(st_entry(f, i)->name);
  for (int i = 0; versions[i]; i++) {
    Fit fit = {.version = versions[i], .file = f, .d = {.one = 1, .L = L}};
    for_each_param(versions[i], L, fit_param, &fit);
    left_over(&fit, total);
    if (best.misfits < 0 || fit.misfits < best.misfits) best = fit;
  }
  return best;
}

static void load_param(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected)
{
  Build *b = ctx;
  const StEntry *e = st_find(b->file, name);
  if (!e) return;
  add_param(b->result, spec, name, owner_of(b->result, layer), !expected);
  st_read(b->file, e, b->result->params[b->result->count - 1].t->data);
}

static void build_loaded(void *arg)
{
  Build *b = arg;
  b->result = model_empty(b->version, &b->d);
  for_each_param(b->version, b->d.L, load_param, b);
}

Model *model_load(StFile *f)
{
  Fit fit = closest_version(f);
  if (fit.d.L < 1) rwkv_fail("%s: no tensor is called \"blocks.0...\": not an RWKV model", st_path(f));
  if (fit.misfits)
    rwkv_fail("%s: not a model of any version; %s comes closest, but %s%s", st_path(f), fit.version->name,
              fit.problem, fit.misfits > 1 ? " (and more)" : "");
  fit.version->complete(&fit.d);
  return build(&(Build){.version = fit.version, .d = fit.d, .file = f}, build_loaded);
}

void model_write(const Model *m, StWriter *w)
{
  char text[32];
  const struct {
    const char *name;
    int value;
  } sizes[] = {{"n_layer", m->d.L}, {"n_embd", m->d.C}, {"vocab_size", m->d.V}, {"head_size", m->d.N}};
  st_put_meta(w, "version", m->version->name);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    snprintf(text, sizeof text, "%d", sizes[i].value);
    if (sizes[i].value) st_put_meta(w, sizes[i].name, text);
  }
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    st_put(w, m->params[i].name, t->axes, t->shape, t->data);
  }
}

void opt_write(const Optim *o, const Model *m, StWriter *w)
{
  char name[100];
  for (int i = 0; i < o->count; i++) {
    const Tensor *t = m->params[i].t;
    snprintf(name, sizeof name, "optim.m.%s", m->params[i].name);
    st_put(w, name, t->axes, t->shape, o->params[i].m);
    snprintf(name, sizeof name, "optim.v.%s", m->params[i].name);
    st_put(w, name, t->axes, t->shape, o->params[i].v);
  }
  snprintf(name, sizeof name, "%ld", o->step);
  st_put_meta(w, "optim.step", name);
}

static const StEntry *moment(StFile *f, const char *which, const Param *p)
{
  char name[100];
  snprintf(name, sizeof name, "optim.%s.%s", which, p->name);
  const StEntry *e = st_find(f, name);
  if (!e || e->n != p->t->n) rwkv_fail("%s: not a checkpoint of this model: %s is %s", st_path(f), name,
                                       e ? "of another size" : "missing");
  return e;
}

void opt_restore(Optim *o, Model *m, StFile *f)
{
  const char *step = st_meta(f, "optim.step");
  if (!step) rwkv_fail("%s: not a checkpoint: it holds no optimizer", st_path(f));
  for (int i = 0; i < o->count; i++) moment(f, "m", &m->params[i]), moment(f, "v", &m->params[i]);
  for (int i = 0; i < o->count; i++) {
    st_read(f, moment(f, "m", &m->params[i]), o->params[i].m);
    st_read(f, moment(f, "v", &m->params[i]), o->params[i].v);
  }
  o->step = strtol(step, NULL, 10);
}

/* ---- running ---- */

Tensor *model_hidden(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  if (B < 1 || T < 1) rwkv_fail("tokens [%d,%d]: at least one sequence of one token is needed", B, T);
  if (st->version != m->version || st->L != m->d.L)
    rwkv_fail("the state is of another model: %s, %d layers", st->version->name, st->L);
  if (st->B != B) rwkv_fail("the state is for a batch of %d, the tokens are [%d,%d]", st->B, B, T);
  for (int i = 0; i < B * T; i++)
    if (tokens[i] < 0 || tokens[i] >= m->d.V)
      rwkv_fail("token %d at sequence %d, position %d is outside 0..%d", tokens[i], i / T, i % T, m->d.V - 1);

  Pass ps = {.tp = tp, .model = m, .d = &m->d, .tokens = tokens, .B = B, .T = T};
  state_attach(st, tp);
  Tensor *x = t_rows(tp, m->outer.emb, tokens, 2, (int[]){B, T});          /* [B,T,C] */
  for (int layer = 0; layer < m->d.L; layer++)
    x = m->version->block(&ps, m->blocks[layer], layer, x, st->now + layer * m->version->state_count);
  if (!tp->recording) state_detach(st);
  return t_layer_norm(tp, x, m->outer.ln_out_w, m->outer.ln_out_b, 1e-5);
}

Tensor *model_logits(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  return t_linear(tp, model_hidden(tp, m, tokens, B, T, st), m->outer.head);
}

Tensor *model_loss(Tape *tp, Model *m, const int *tokens, const int *targets, int B, int T, State *st,
                   double l2wrap, Score *score)
{
  Tensor *hidden = model_hidden(tp, m, tokens, B, T, st);
  int scored = 0, *row = arena_alloc(&tp->arena, (size_t)(B * T) * sizeof *row),
      *target = arena_alloc(&tp->arena, (size_t)(B * T) * sizeof *target);
  for (int i = 0; i < B * T; i++)
    if (targets[i] >= 0) row[scored] = i, target[scored++] = targets[i];
  if (scored < B * T)
    hidden = t_rows(tp, t_reshape(tp, hidden, 2, (int[]){B * T, m->d.C}), row, 1, &scored);
  Tensor *logits = t_linear(tp, hidden, m->outer.head);                    /* [scored,V] or [B,T,V] */
  if (score) {
    int *best = arena_alloc(&tp->arena, (size_t)scored * sizeof *best);
    ops.argmax(best, logits->data, (size_t)scored, (size_t)m->d.V);
    *score = (Score){.scored = scored};
    for (int i = 0; i < scored; i++) score->correct += best[i] == target[i];
  }
  return t_cross_entropy(tp, logits, target, l2wrap);
}
