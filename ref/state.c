/* What a model remembers between runs. */
#include "model.h"

#include "engine/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void before_reset(TapeWatcher *w) { state_detach((State *)(void *)w); }

static State *state_empty(const Version *v, int L, int B)
{
  State *s = rwkv_alloc(1, sizeof *s, "state");
  s->watcher.before_reset = before_reset;
  s->version = v;
  s->L = L, s->B = B, s->count = L * v->state_count;
  s->own = calloc((size_t)s->count, sizeof *s->own);
  s->now = calloc((size_t)s->count, sizeof *s->now);
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
  const Version *v = n->m->version;
  n->s = state_empty(v, n->m->d.L, n->B);
  for (int i = 0; i < n->s->count; i++) {
    const StateSpec *spec = &v->state[i % v->state_count];
    Dims d = n->m->d;
    int shape[MAX_AXES] = {n->B};
    for (int a = 0; a < spec->shape.axes; a++) shape[a + 1] = *dim_at(&d, spec->shape.size[a]);
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

State *state_copy(const State *s)
{
  State *c = state_empty(s->version, s->L, s->B);
  for (int i = 0; i < s->count; i++) {
    c->own[i] = c->now[i] = tensor_new(s->now[i]->axes, s->now[i]->shape);
    memcpy(c->own[i]->data, s->now[i]->data, s->now[i]->n * sizeof(real));
  }
  return c;
}

void state_attach(State *s, Tape *tp)
{
  if (s->tape == tp) return;
  state_detach(s);
  s->tape = tp;
  s->watcher.next = tp->watchers;
  tp->watchers = &s->watcher;
}

void state_detach(State *s)
{
  if (!s->tape) return;
  for (int i = 0; i < s->count; i++)
    if (s->now[i] != s->own[i]) {
      memcpy(s->own[i]->data, s->now[i]->data, s->own[i]->n * sizeof(real));
      s->now[i] = s->own[i];
    }
  TapeWatcher **w = &s->tape->watchers;
  while (*w != &s->watcher) w = &(*w)->next;
  *w = s->watcher.next;
  s->tape = NULL;
}

void state_free(State *s)
{
  if (!s) return;
  state_detach(s);
  for (int i = 0; s->own && i < s->count; i++) tensor_free(s->own[i]);
  free(s->own);
  free(s->now);
  free(s);
}

int state_index(const State *s, const char *name)
{
  int layer, n = s->version->state_count, after = 0;
  char known[256] = "";
  if (sscanf(name, "%d.%n", &layer, &after) == 1 && after && layer >= 0 && layer < s->L)
    for (int i = 0; i < n; i++)
      if (strcmp(name + after, s->version->state[i].name) == 0) return layer * n + i;
  for (int i = 0; i < n; i++)
    snprintf(known + strlen(known), sizeof known - strlen(known), " %s", s->version->state[i].name);
  rwkv_fail("the state has no \"%s\"; it is a layer 0..%d, a dot and one of:%s", name, s->L - 1, known);
}

size_t state_floats(const Model *m)
{
  Dims d = m->d;
  size_t n = 0;
  for (int i = 0; i < m->version->state_count; i++) {
    size_t size = 1;
    const ShapeSpec *s = &m->version->state[i].shape;
    for (int a = 0; a < s->axes; a++) size *= (size_t)*dim_at(&d, s->size[a]);
    n += size;
  }
  return n * (size_t)d.L;
}
