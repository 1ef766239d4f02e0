#include "build.h"

#include "engine/err.h"

#include <math.h>
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
  for (int i = 0; i < s->axes; i++) shape[i] = size_of(d, s->size[i]);
}

typedef struct {
  void (*init)(const Init *in);
  Init in;
} Initial;

static void run_init(void *arg)
{
  const Initial *i = arg;
  i->init(&i->in);
}

static void initialise(Tensor *t, const ParamSpec *spec, const char *name, int layer, const Dims *d, uint64_t seed)
{
  double *values = rwkv_alloc(t->n, sizeof *values, name);
  Rng rng = rng_named(seed, name);
  size_t rows = t->axes ? (size_t)t->shape[0] : 1;
  Initial initial = {spec->init, {values, t->n, rows, rows ? t->n / rows : 0, layer, d, spec->gain, &rng}};
  const char *error = rwkv_protect(run_init, &initial);
  for (size_t at = 0, count; !error && at < t->n; at += count) {
    real piece[1024];
    count = t->n - at < 1024 ? t->n - at : 1024;
    for (size_t i = 0; i < count; i++) piece[i] = (real)(float)values[at + i];
    tensor_write(t, at, count, piece);
  }
  rwkv_release(values);
  if (error) rwkv_fail("%s", error);
}

/* They are called ".weight", or are factors of a low-rank map: w1, a2, time_decay_w1, ... */
bool is_multiplied(const Place *place)
{
  const char *name = place->spec->name, *dot = strrchr(name, '.');
  char last = name[strlen(name) - 1];
  return place->slot < 0 && place->spec->shape.axes == 2 &&
         ((dot && strcmp(dot, ".weight") == 0) || last == '1' || last == '2');
}

Tensor *model_add_param(Model *m, const Place *place, const Storage *as)
{
  int shape[MAX_AXES];
  const ParamSpec *spec = place->spec;
  resolve_shape(&spec->shape, &m->d, shape);
  if (as && *as == STORED_F32 && sizeof(real) == sizeof(float)) as = NULL;
  Tensor *t = m->inference ? tensor_in(&m->weights, spec->shape.axes, shape, as) : tensor_new(spec->shape.axes, shape);
  Param *p = &m->params[m->count++];
  snprintf(p->name, sizeof p->name, "%s", place->name);
  p->t = t;
  p->lr_scale = spec->lr_scale;
  p->unused = !place->expected;
  if (!m->inference) tensor_need_grad(t);
  void *owner = place->layer < 0 ? m->outer : m->blocks[place->layer];
  if (place->slot < 0) memcpy((char *)owner + spec->field, &t, sizeof t);
  else m->hook_params[place->layer * HOOK_SLOTS + place->slot][place->index] = t;
  return t;
}

static void each_of_layer(const Version *v, const Dims *d, int layer, EachParam *each, void *ctx)
{
  char name[PARAM_NAME];
  for (int i = 0; i < v->block_count; i++) {
    snprintf(name, sizeof name, "blocks.%d.%s", layer, v->block[i].name);
    each(ctx, &(Place){&v->block[i], name, layer, -1, 0, v->block[i].where(d, layer)});
  }
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    const Hook *h = d->hook[slot];
    for (int i = 0; h && i < h->param_count; i++) {
      hook_param_name(name, sizeof name, layer, h, h->param[i].name);
      each(ctx, &(Place){&h->param[i], name, layer, slot, i, slot_stands(d, slot, layer)});
    }
  }
}

void for_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx)
{
  for (int i = 0; i < v->outer_count; i++)
    each(ctx, &(Place){&v->outer[i], v->outer[i].name, -1, -1, 0, v->outer[i].where(d, -1)});
  for (int layer = 0; layer < d->L; layer++) each_of_layer(v, d, layer, each, ctx);
}

static int block_params(const Version *v, const Dims *d) /* at most, in a layer */
{
  int n = v->block_count;
  for (int slot = 0; slot < HOOK_SLOTS; slot++) n += d->hook[slot] ? d->hook[slot]->param_count : 0;
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
  m->params = rwkv_try_alloc((size_t)(v->outer_count + d->L * block_params(v, d)), sizeof *m->params);
  m->outer = rwkv_try_alloc(1, v->outer_size);
  m->blocks = rwkv_try_alloc((size_t)d->L, sizeof *m->blocks);
  m->hook_params = rwkv_try_alloc((size_t)d->L * HOOK_SLOTS, sizeof *m->hook_params);
  bool whole = m->params && m->outer && m->blocks && m->hook_params;
  for (int i = 0; whole && i < d->L; i++) whole = (m->blocks[i] = rwkv_try_alloc(1, v->block_size)) != NULL;
  for (int i = 0; whole && i < d->L * HOOK_SLOTS; i++) {
    const Hook *h = d->hook[i % HOOK_SLOTS];
    if (h) whole = (m->hook_params[i] = rwkv_try_alloc((size_t)h->param_count, sizeof(Tensor *))) != NULL;
  }
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
  bool uniform;
  Model *result;
} New;

static ParamSpec uniform_of(const ParamSpec *spec, const Dims *d)
{
  ParamSpec uniform = *spec;
  uniform.init = init_uniform;
  uniform.gain = sqrt(3.0 / size_of(d, spec->shape.size[1]));
  return uniform;
}

static void new_param(void *ctx, const Place *p)
{
  New *n = ctx;
  if (!p->expected) return;
  ParamSpec spec = n->uniform && is_multiplied(p) ? uniform_of(p->spec, &n->d) : *p->spec;
  initialise(model_add_param(n->result, p, NULL), &spec, p->name, p->layer < 0 ? 0 : p->layer, &n->d, n->seed);
}

static void build(void *arg)
{
  New *n = arg;
  n->result = model_empty(n->version, &n->d);
  for_each_param(n->version, &n->d, new_param, n);
}

/* Every hook must have a slot in this version, and a place in the block. */
static void check_hooks(const Version *v, const Dims *d)
{
  char known[256] = "";
  for (int slot = 0; slot < HOOK_SLOTS; slot++)
    if (v->own[slot]) snprintf(known + strlen(known), sizeof known - strlen(known), " %s", hook_slots[slot].name);
  for (int slot = 0; slot < HOOK_SLOTS; slot++) {
    const char *name = hook_slots[slot].name;
    if (!d->hook[slot]) continue;
    if (d->hook[slot]->slot != (HookSlot)slot)
      rwkv_fail("%s: hook \"%s\" is for %s, not for %s", v->name, d->hook[slot]->name,
                hook_slots[d->hook[slot]->slot].name, name);
    if (!v->own[slot]) rwkv_fail("%s has no hook %s; it has:%s", v->name, name, known);
    HookSlot whole = strcmp(hook_slots[slot].part, "att") == 0 ? HOOK_TIME_MIX : HOOK_CHANNEL_MIX;
    if ((HookSlot)slot != whole && d->hook[whole])
      rwkv_fail("%s: hook %s has no place beside hook %s, which replaces all of it", v->name, name,
                hook_slots[whole].name);
  }
}

static bool knows_pre_ffn(const Version *v)
{
  for (int i = 0; i < v->block_count; i++)
    if (v->block[i].where == has_pre_ffn) return true;
  return false;
}

static int count_words(const char *text)
{
  int n = 0;
  for (; text && *text; text++) n += *text != ' ' && (text[1] == ' ' || !text[1]);
  return n;
}

Dims version_complete(const Version *v, const Dims *d)
{
  Dims full = *d;
  if (d->V < 1 || d->C < 1 || d->L < 1)
    rwkv_fail("%s: vocab %d, dim %d and layers %d must all be at least 1", v->name, d->V, d->C, d->L);
  if (d->V > 1 << 24 || d->C > 1 << 20 || d->L > 1 << 16)
    rwkv_fail("%s: vocab %d, dim %d, layers %d: that is beyond any sense", v->name, d->V, d->C, d->L);
  for (size_t at = 0; at < offsetof(Dims, hook); at += sizeof(int))
    if (*dim_at(&full, at) < 0 || *dim_at(&full, at) > 1 << 24)
      rwkv_fail("%s: a size of %d is not possible", v->name, *dim_at(&full, at));
  if (d->pre_ffn && !knows_pre_ffn(v)) rwkv_fail("%s has no second channel mix in block 0 (pre_ffn)", v->name);
  full.one = 1, full.four = 4, full.five = 5, full.history = 0;
  full.streams = count_words(v->streams), full.ffn_streams = count_words(v->ffn_streams);
  v->complete(&full);
  check_hooks(v, &full);
  for (int slot = 0; slot < HOOK_SLOTS; slot++)
    if (full.hook[slot] && full.hook[slot]->complete) full.hook[slot]->complete(&full);
  return full;
}

static Model *finished(New *n)
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
  return finished(&(New){.version = v, .d = version_complete(v, d), .seed = seed});
}

Model *model_new_uniform(const Version *v, const Dims *d, uint64_t seed)
{
  return finished(&(New){.version = v, .d = version_complete(v, d), .seed = seed, .uniform = true});
}

void model_flush(const Model *m)
{
  if (m->params && m->count) tensor_read(m->params[0].t, 0, 0, NULL);
}

void model_free(Model *m)
{
  if (!m) return;
  model_flush(m);
  for (int i = 0; m->params && i < m->count; i++) {
    if (!m->inference) tensor_free(m->params[i].t);
    else rwkv_release(m->params[i].t->grad); /* somebody may have asked for one; the rest is in `weights` */
  }
  arena_free(&m->weights);
  for (int i = 0; m->blocks && i < m->d.L; i++) rwkv_release(m->blocks[i]);
  for (int i = 0; m->hook_params && i < m->d.L * HOOK_SLOTS; i++) rwkv_release(m->hook_params[i]);
  rwkv_release(m->hook_params);
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

size_t param_bytes(const Param *p)
{
  return p->t->n * (p->t->packed.bits ? storage_size(p->t->packed.storage) : sizeof(real));
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
  st->recorded |= tp->recording;
  tape_batch(tp, (size_t)B, (size_t)T, (size_t)m->d.C);
  Tensor **state = arena_alloc(&tp->arena, (size_t)st->count * sizeof *state);
  memcpy(state, st->now, (size_t)st->count * sizeof *state);
  return (Pass){.tp = tp, .d = &m->d, .outer = m->outer, .tokens = tokens, .B = B, .T = T,
                .rounded_decay = m->rounded_decay, .host = m->host, .held = &st->held, .state = state,
                .outer_state = state + m->d.L * layer_state_count(m->version, &m->d)};
}

/* [B,T] -> the output of the last block, [B,T,C] */
static Tensor *run_blocks(Pass *ps, const Model *m)
{
  Tensor *x = m->version->embed(ps);
  for (int layer = 0; layer < m->d.L; layer++) {
    Tensor **state = ps->state + layer * layer_state_count(m->version, &m->d), **next = state + m->version->state_count;
    ps->layer = layer;
    for (int slot = 0; slot < HOOK_SLOTS; slot++) {
      ps->hook_param[slot] = m->hook_params[layer * HOOK_SLOTS + slot];
      ps->hook_state[slot] = next;
      next += m->d.hook[slot] ? m->d.hook[slot]->state_count : 0;
    }
    x = m->version->run(ps, m->blocks[layer], x, state);
    TRACE(ps, "out", x);
  }
  return x;
}

static void finish(const Pass *ps, State *st)
{
  memcpy(st->now, ps->state, (size_t)st->count * sizeof *ps->state);
  if (!ps->tp->recording) state_detach(st);
}

Tensor *model_trace(Tape *tp, Model *m, const int *tokens, int B, int T, State *st, Trace *trace)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  ps.trace = trace;
  Tensor *logits = m->version->logits(&ps, run_blocks(&ps, m), NULL, 0);
  finish(&ps, st);
  return logits;
}

Tensor *model_logits(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  return model_trace(tp, m, tokens, B, T, st, NULL);
}

Tensor *model_logits_last(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  int *row = arena_alloc(&tp->arena, (size_t)B * sizeof *row);
  for (int b = 0; b < B; b++) row[b] = b * T + T - 1;
  Tensor *logits = m->version->logits(&ps, run_blocks(&ps, m), row, B); /* [B,V] */
  finish(&ps, st);
  return t_reshape(tp, logits, 3, (int[]){B, 1, m->d.V});
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
    t_argmax(tp, logits, best);
    *score = (Score){.scored = scored};
    for (int i = 0; i < scored; i++) score->correct += best[i] == target[i];
  }
  finish(&ps, st);
  return loss;
}
