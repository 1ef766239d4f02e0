/* What a model remembers between runs. */
#include "model_build.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

static void before_reset(TapeWatcher *w) { state_detach((State *)(void *)w); }

/* The spec of entry i: of a layer, or of the whole (layer = -1). */
static const StateSpec *spec_of(const Version *v, int L, int i, int *layer)
{
  int in_layers = L * v->state_count;
  *layer = i < in_layers ? i / v->state_count : -1;
  return i < in_layers ? &v->state[i % v->state_count] : &v->outer_state[i - in_layers];
}

/* Without the batch axis; all 0 where it does not stand. */
static void state_shape(const StateSpec *spec, const Dims *d, int layer, int shape[MAX_AXES])
{
  resolve_shape(&spec->shape, d, shape);
  for (int a = 0; a < spec->shape.axes && !spec->where(d, layer); a++) shape[a] = 0;
}

static State *state_empty(const Version *v, int L, int B)
{
  State *s = rwkv_alloc(1, sizeof *s, "state");
  s->watcher.before_reset = before_reset;
  s->version = v;
  s->L = L, s->B = B, s->count = L * v->state_count + v->outer_state_count;
  s->own = rwkv_try_alloc((size_t)s->count + 1, sizeof *s->own);
  s->now = rwkv_try_alloc((size_t)s->count + 1, sizeof *s->now);
  if (!s->own || !s->now) {
    state_free(s);
    memory_fail((size_t)L * sizeof *s->own, "a state");
  }
  return s;
}

typedef struct {
  const Model *m;
  int B;
  State *s;
} New;

static void build(void *arg)
{
  New *n = arg;
  n->s = state_empty(n->m->version, n->m->d.L, n->B);
  for (int i = 0; i < n->s->count; i++) {
    int layer, shape[MAX_AXES + 1] = {n->B};
    const StateSpec *spec = spec_of(n->m->version, n->m->d.L, i, &layer);
    state_shape(spec, &n->m->d, layer, shape + 1);
    n->s->own[i] = n->s->now[i] = tensor_new(spec->shape.axes + 1, shape);
    tensor_fill(n->s->own[i], (real)spec->start);
  }
}

State *state_new(const Model *m, int B)
{
  if (B < 1) rwkv_fail("a state is for a batch of at least 1, not %d", B);
  New n = {m, B, NULL};
  const char *error = rwkv_protect(build, &n);
  if (error) {
    state_free(n.s);
    rwkv_fail("%s", error);
  }
  return n.s;
}

typedef struct {
  const State *from;
  State *to;
} Copy;

static void copy_values(void *arg)
{
  const State *s = ((Copy *)arg)->from;
  State *c = ((Copy *)arg)->to;
  for (int i = 0; i < s->count; i++) {
    c->own[i] = c->now[i] = tensor_new(s->now[i]->axes, s->now[i]->shape);
    memcpy(c->own[i]->data, s->now[i]->data, s->now[i]->n * sizeof(real));
  }
}

State *state_copy(const State *s)
{
  Copy c = {s, state_empty(s->version, s->L, s->B)};
  const char *error = rwkv_protect(copy_values, &c);
  if (error) {
    state_free(c.to);
    rwkv_fail("%s", error);
  }
  return c.to;
}

void state_check(const State *s, const Model *m)
{
  if (s->version != m->version || s->L != m->d.L)
    rwkv_fail("the state is of another model: %s, %d layers", s->version->name, s->L);
  for (int i = 0; i < s->count; i++) {
    int layer, shape[MAX_AXES];
    const StateSpec *spec = spec_of(s->version, s->L, i, &layer);
    state_shape(spec, &m->d, layer, shape);
    for (int a = 0; a < spec->shape.axes; a++)
      if (s->now[i]->shape[a + 1] != shape[a] && spec->shape.size[a] != offsetof(Dims, history))
        rwkv_fail("the state is of another model: its %s is %s", state_name(s, i), tensor_shape(s->now[i]));
  }
}

void state_attach(State *s, Tape *tp)
{
  if (s->tape == tp) return;
  state_detach(s);
  s->tape = tp;
  s->watcher.next = tp->watchers;
  tp->watchers = &s->watcher;
}

static void leave_tape(State *s)
{
  if (!s->tape) return;
  TapeWatcher **w = &s->tape->watchers;
  while (*w != &s->watcher) w = &(*w)->next;
  *w = s->watcher.next;
  s->tape = NULL;
}

void state_detach(State *s)
{
  if (!s->tape) return;
  for (int i = 0; i < s->count; i++)
    if (s->now[i] != s->own[i]) {
      if (!same_shape(s->now[i], s->own[i])) { /* a history that has grown */
        Tensor *grown = tensor_new(s->now[i]->axes, s->now[i]->shape);
        tensor_free(s->own[i]);
        s->own[i] = grown;
      }
      memcpy(s->own[i]->data, s->now[i]->data, s->own[i]->n * sizeof(real));
      s->now[i] = s->own[i];
    }
  leave_tape(s);
}

void state_free(State *s)
{
  if (!s) return;
  leave_tape(s);
  for (int i = 0; s->own && i < s->count; i++) tensor_free(s->own[i]);
  rwkv_release(s->own);
  rwkv_release(s->now);
  rwkv_release(s);
}

const char *state_name(const State *s, int index)
{
  static char name[64];
  int layer;
  const StateSpec *spec = spec_of(s->version, s->L, index, &layer);
  if (layer < 0) snprintf(name, sizeof name, "%s", spec->name);
  else snprintf(name, sizeof name, "%d.%s", layer, spec->name);
  return name;
}

int state_index(const State *s, const char *name)
{
  char known[256] = "";
  for (int i = 0; i < s->count; i++)
    if (strcmp(name, state_name(s, i)) == 0) return i;
  for (int i = 0; i < s->version->state_count; i++)
    snprintf(known + strlen(known), sizeof known - strlen(known), " %s", s->version->state[i].name);
  rwkv_fail("the state has no \"%s\"; it is a layer 0..%d, a dot and one of:%s", name, s->L - 1, known);
}

size_t version_state_floats(const Version *v, const Dims *sizes, int tokens)
{
  Dims d = *sizes;
  d.history = tokens;
  size_t n = 0;
  for (int i = 0; i < d.L * v->state_count + v->outer_state_count; i++) {
    int layer, shape[MAX_AXES];
    const StateSpec *spec = spec_of(v, d.L, i, &layer);
    state_shape(spec, &d, layer, shape);
    n += shape_count(spec->shape.axes, shape);
  }
  return n;
}
