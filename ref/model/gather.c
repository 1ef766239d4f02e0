#include "stretch.h"

#include <stdio.h>
#include <string.h>

typedef struct Entry {
  char name[PARAM_NAME];
  Tensor **piece; /* [stretches]; NULL where it was not shown */
  struct Entry *next;
} Entry;

struct Gathered {
  Trace trace;
  Tape *tp;
  const Batch *batch;
  const Stretches *all;
  Trace *to;
  Entry *first, **end; /* in the order of computation */
  int now;             /* the stretch that shows */
};

static Entry *entry_of(Gathered *g, const char *name)
{
  for (Entry *e = g->first; e; e = e->next)
    if (strcmp(e->name, name) == 0) return e;
  Entry *e = arena_alloc(&g->tp->arena, sizeof *e);
  size_t pieces = (size_t)g->all->count * sizeof *e->piece;
  *e = (Entry){.piece = arena_alloc(&g->tp->arena, pieces)};
  memset(e->piece, 0, pieces);
  snprintf(e->name, sizeof e->name, "%s", name);
  *g->end = e, g->end = &e->next;
  return e;
}

static void see(Trace *trace, const char *name, Tensor *t)
{
  Gathered *g = (Gathered *)(void *)trace;
  entry_of(g, name)->piece[g->now] = t;
}

Gathered *gather_new(Tape *tp, const Batch *batch, const Stretches *all, Trace *to)
{
  Gathered *g = arena_alloc(&tp->arena, sizeof *g);
  *g = (Gathered){{see}, tp, batch, all, to, NULL, NULL, 0};
  g->end = &g->first;
  return g;
}

Trace *gather_stretch(Gathered *g, int stretch)
{
  g->now = stretch;
  return &g->trace;
}

/* Where each position of the batch stands among those of all stretches; -1: the sequence has ended. */
static int *places(const Gathered *g)
{
  const Batch *b = g->batch;
  size_t n = (size_t)b->B * (size_t)b->T;
  int *place = arena_alloc(&g->tp->arena, n * sizeof *place), at = 0;
  for (size_t i = 0; i < n; i++) place[i] = -1;
  for (int k = 0; k < g->all->count; k++) {
    const Stretch *s = &g->all->list[k];
    for (int i = 0; i < s->count * s->T; i++) place[stretch_position(s, i, b->T)] = at++;
  }
  return place;
}

static bool has_positions(const Tensor *t, const Stretch *s)
{
  return t && t->axes >= 2 && t->shape[0] == s->count && t->shape[1] == s->T;
}

static Tensor *whole(const Gathered *g, const Entry *e, const int *place)
{
  int count = g->all->count, shape[MAX_AXES];
  Tensor **flat = arena_alloc(&g->tp->arena, (size_t)count * sizeof *flat);
  for (int k = 0; k < count; k++) {
    const Stretch *s = &g->all->list[k];
    if (!has_positions(e->piece[k], s)) return e->piece[0];
    flat[k] = t_reshape(g->tp, e->piece[k], 2, (int[]){s->count * s->T, -1});
  }
  memcpy(shape, e->piece[0]->shape, sizeof shape);
  shape[0] = g->batch->B, shape[1] = g->batch->T;
  Tensor *t = stretches_join(g->tp, flat, count, place, 2, shape);
  return t_reshape(g->tp, t, e->piece[0]->axes, shape);
}

void gather_show(Gathered *g)
{
  const int *place = places(g);
  for (Entry *e = g->first; e; e = e->next) {
    Tensor *t = e->piece[0] ? whole(g, e, place) : NULL;
    if (t) g->to->see(g->to, e->name, t);
  }
}
