/* What a model remembers between runs. */
#include "layout.h"
#include "model.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

static void before_reset(TapeWatcher *w);

/* Without the batch axis; all 0 in a layer that does not have it. */
static void part_shape(const LayoutState *p, const Dims *d, int shape[MAX_AXES])
{
  layout_shape(&p->spec->shape, d, shape);
  for (int a = 0; a < p->spec->shape.axes && !p->there; a++) shape[a] = 0;
}

static State *state_empty(const Version *v, const Dims *d, int B)
{
  if (B < 1) rwkv_fail("a state is for a batch of at least 1, not %d", B);
  State *s = rwkv_alloc(1, sizeof *s, "state");
  s->watcher.before_reset = before_reset;
  s->version = v;
  s->d = *d, s->B = B, s->count = layout_states(v, d);
  s->own = rwkv_try_alloc((size_t)s->count + 1, sizeof *s->own);
  s->now = rwkv_try_alloc((size_t)s->count + 1, sizeof *s->now);
  s->heir = rwkv_try_alloc((size_t)s->count + 1, sizeof *s->heir);
  s->seen = rwkv_try_alloc((size_t)B, sizeof *s->seen);
  if (!s->own || !s->now || !s->heir || !s->seen) {
    state_free(s);
    memory_fail((size_t)d->L * sizeof *s->own, "a state");
  }
  return s;
}

typedef struct {
  State *s;
  Dims d; /* with its history */
} New;

static void build(void *arg)
{
  State *s = ((New *)arg)->s;
  const Dims *d = &((New *)arg)->d;
  for (int i = 0; i < s->count; i++) {
    int shape[MAX_AXES + 1] = {s->B};
    LayoutState p = layout_state(s->version, d, i);
    part_shape(&p, d, shape + 1);
    s->own[i] = s->now[i] = tensor_new(p.spec->shape.axes + 1, shape);
    tensor_fill(s->own[i], (real)p.spec->start);
  }
}

State *state_sized(const Version *v, const Dims *d, int B, int history)
{
  New n = {state_empty(v, d, B), *d};
  n.d.history = history;
  const char *error = rwkv_protect(build, &n);
  if (error) {
    state_free(n.s);
    rwkv_fail("%s", error);
  }
  return n.s;
}

State *state_new(const Model *m, int B) { return state_sized(m->version, &m->d, B, 0); }

typedef struct {
  const State *from;
  State *to;
} Copy;

static void copy_values(void *arg)
{
  const State *s = ((Copy *)arg)->from;
  State *c = ((Copy *)arg)->to;
  memcpy(c->seen, s->seen, (size_t)s->B * sizeof *c->seen);
  for (int i = 0; i < s->count; i++) {
    c->own[i] = c->now[i] = tensor_new(s->now[i]->axes, s->now[i]->shape);
    tensor_copy(c->own[i], s->now[i]);
  }
}

State *state_copy(const State *s)
{
  Copy c = {s, state_empty(s->version, &s->d, s->B)};
  const char *error = rwkv_protect(copy_values, &c);
  if (error) {
    state_free(c.to);
    rwkv_fail("%s", error);
  }
  return c.to;
}

bool version_state_grows(const Version *v, const Dims *d)
{
  return version_state_floats(v, d, 1) > version_state_floats(v, d, 0);
}

/* A model that was loaded has hooks of its own, which are called as those of the model that was saved. */
static void check_hook(const State *s, const Model *m, HookSlot slot, int layer)
{
  const Hook *a = dims_hook(&s->d, slot, layer), *b = dims_hook(&m->d, slot, layer);
  if (a == b) return;
  bool alike = a && b && strcmp(a->name, b->name) == 0 && a->state_count == b->state_count;
  for (int i = 0; alike && i < a->state_count; i++)
    alike = strcmp(a->state[i].name, b->state[i].name) == 0 && a->state[i].shape.axes == b->state[i].shape.axes;
  if (!alike) rwkv_fail("the state is of another model: its hook %s is another one", hook_slots[slot].name);
}

void state_check(const State *s, const Model *m)
{
  if (s->version == m->version && memcmp(&s->d, &m->d, sizeof s->d) == 0) return;
  if (s->version != m->version || s->d.L != m->d.L)
    rwkv_fail("the state is of another model: %s, %d layers", s->version->name, s->d.L);
  for (int i = 0; i < m->d.L * HOOK_SLOTS; i++) check_hook(s, m, (HookSlot)(i % HOOK_SLOTS), i / HOOK_SLOTS);
  for (int i = 0; i < s->count; i++) {
    int shape[MAX_AXES];
    LayoutState p = layout_state(m->version, &m->d, i);
    part_shape(&p, &m->d, shape);
    for (int a = 0; a < p.spec->shape.axes; a++)
      if (s->now[i]->shape[a + 1] != shape[a] && !(a == 0 && layout_grows(&p)))
        rwkv_fail("the state is of another model: its %s is %s", state_name(s, i), tensor_shape(s->now[i]));
  }
}

static void check_free(const State *s)
{
  if (s->held) rwkv_fail("this state is at work in the run that called the hook; use a copy of it");
}

static bool has_hooks(const Dims *d, int layer)
{
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++)
    if (dims_hook(d, slot, layer)) return true;
  return false;
}

/* Matrices of layers without hooks, which might show them to a script that looks at them later. */
static void make_heirs(State *s)
{
  for (int i = 0; i < s->count; i++) {
    LayoutState p = layout_state(s->version, &s->d, i);
    bool matrices = p.layer >= 0 && p.there && !layout_grows(&p) && s->own[i]->axes == MAX_AXES;
    if (matrices && !s->heir[i] && !has_hooks(&s->d, p.layer)) s->heir[i] = tensor_new(MAX_AXES, s->own[i]->shape);
  }
  s->heirs = true;
}

/* What a run that is not recorded makes of these entries is written where they stand next: a copy at its end would be a
   tenth of a token's time. A run that fails has changed nothing. */
static void lend_heirs(State *s)
{
  if (!s->heirs) make_heirs(s);
  for (int i = 0; i < s->count; i++)
    if (s->now[i] == s->own[i]) s->own[i]->heir = s->heir[i];
}

void state_attach(State *s, Tape *tp)
{
  check_free(s);
  if (s->tape == tp) return;
  state_detach(s);
  if (!tp->recording) lend_heirs(s);
  s->tape = tp;
  s->watcher.next = tp->watchers;
  tp->watchers = &s->watcher;
}

/* Gives entry i memory of its own again. What it had before may be an operand of the tape, even if it has not changed:
   it goes with the step. */
static void keep_values(State *s, int i, bool tape_ends)
{
  Tensor *old = s->own[i];
  bool needed = s->recorded && !tape_ends;
  if (s->now[i] == old && !needed) return;
  if (s->now[i] == s->heir[i] && !needed) {
    tensor_wrote(s->now[i]);
    s->own[i] = s->now[i], s->heir[i] = old;
    return;
  }
  if (needed || !tensor_same_shape(s->now[i], old)) {
    s->own[i] = tensor_new(s->now[i]->axes, s->now[i]->shape);
    if (needed) tape_dispose(s->tape, old);
    else tensor_free(old);
  }
  tensor_copy(s->own[i], s->now[i]);
  s->now[i] = s->own[i];
}

static void leave_tape(State *s)
{
  if (!s->tape) return;
  TapeWatcher **w = &s->tape->watchers;
  while (*w != &s->watcher) w = &(*w)->next;
  *w = s->watcher.next;
  s->tape = NULL;
  s->recorded = false;
}

static void let_go(State *s, bool tape_ends)
{
  if (!s->tape) return;
  for (int i = 0; i < s->count; i++) keep_values(s, i, tape_ends);
  leave_tape(s);
}

void state_detach(State *s)
{
  check_free(s);
  let_go(s, false);
}

/* The tokens that a copy head remembers are ids, which numbers with a gradient cannot be. */
static void check_ids(const State *s, int i, const Tensor *t, bool gradient)
{
  LayoutState p = layout_state(s->version, &s->d, i);
  if (p.layer >= 0 || strcmp(p.spec->name, "tokens")) return;
  if (gradient) rwkv_fail("state tokens: ids have no gradient");
  real part[256];
  for (size_t from = 0; from < t->n; from += COUNT(part)) {
    size_t count = t->n - from < COUNT(part) ? t->n - from : COUNT(part);
    tensor_read(t, from, count, part);
    for (size_t k = 0; k < count; k++)
      if (!(part[k] >= 0 && part[k] < s->d.V && part[k] == (int)part[k]))
        rwkv_fail("state tokens: %g at place %zu, expected a whole number from 0 to %d", (double)part[k], from + k + 1,
                  s->d.V - 1);
  }
}

void state_put(State *s, Tape *tp, int i, Tensor *t)
{
  check_ids(s, i, t, true);
  state_attach(s, tp);
  s->recorded = true;
  s->now[i] = t_slice(tp, t, 0, 0, s->B); /* a copy: t may get other values before the step ends */
}

void state_set(State *s, Tape *tp, int i, const Tensor *t)
{
  check_free(s);
  check_ids(s, i, t, false);
  bool in_step = s->tape == tp && tp->recording;
  if (!in_step) state_detach(s);
  if (in_step) s->now[i] = tape_copy(tp, t); /* what it had may be an operand */
  else tensor_copy(s->now[i], t);
}

static void before_reset(TapeWatcher *w) { let_go((State *)(void *)w, true); }

void state_free(State *s)
{
  if (!s) return;
  leave_tape(s);
  for (int i = 0; s->own && i < s->count; i++) tensor_free(s->own[i]);
  for (int i = 0; s->heir && i < s->count; i++) tensor_free(s->heir[i]);
  rwkv_release(s->own);
  rwkv_release(s->heir);
  rwkv_release(s->now);
  rwkv_release(s->seen);
  rwkv_release(s);
}

const char *state_name(const State *s, int index)
{
  static char name[PARAM_NAME];
  LayoutState p = layout_state(s->version, &s->d, index);
  if (p.layer < 0) snprintf(name, sizeof name, "%s", p.spec->name);
  else if (p.slot < 0) snprintf(name, sizeof name, "%d.%s", p.layer, p.spec->name);
  else snprintf(name, sizeof name, "%d.%s.%s", p.layer, hook_slots[p.slot].name, p.spec->name);
  return name;
}

int state_index(const State *s, const char *name)
{
  char known[256] = "";
  for (int i = 0; i < s->count; i++)
    if (strcmp(name, state_name(s, i)) == 0) return i;
  for (int i = 0; i < layout_state_count(s->version, &s->d, 0); i++)
    snprintf(known + strlen(known), sizeof known - strlen(known), " %s", strchr(state_name(s, i), '.') + 1);
  rwkv_fail("the state has no \"%s\"; it is a layer 0..%d, a dot and one of%s:%s", name, s->d.L - 1,
            s->d.L > 1 ? " (of layer 0)" : "", known);
}

size_t version_state_floats(const Version *v, const Dims *sizes, int tokens)
{
  Dims d = *sizes;
  d.history = tokens;
  size_t n = 0;
  for (int i = 0; i < layout_states(v, &d); i++) {
    int shape[MAX_AXES];
    LayoutState p = layout_state(v, &d, i);
    part_shape(&p, &d, shape);
    n += shape_count(p.spec->shape.axes, shape);
  }
  return n;
}
