#include "stretch.h"

#include "engine/err.h"

#include <string.h>

static bool starts_at(const Batch *b, int row, int t)
{
  return b->starts && b->starts[(size_t)row * (size_t)b->T + (size_t)t];
}

/* cut[t]: some sequence ends before position t, or begins anew there. */
static bool *cuts_of(Tape *tp, const Batch *b)
{
  bool *cut = arena_alloc(&tp->arena, (size_t)b->T + 1);
  memset(cut, 0, (size_t)b->T + 1);
  cut[0] = cut[b->T] = true;
  for (int row = 0; row < b->B; row++) {
    cut[batch_length(b, row)] = true;
    for (int t = 1; b->starts && t < b->T; t++) cut[t] |= starts_at(b, row, t);
  }
  return cut;
}

typedef struct {
  Tape *tp;
  const Batch *batch;
  bool grows;
  Stretches all;
  bool *done; /* [B] rows that are in a stretch from here already */
} Cutting;

/* The stretch of the first row that is in none yet, and of those that go with it. */
static bool next_stretch(Cutting *c, int from, int to)
{
  const Batch *b = c->batch;
  int first = 0, fresh = 0;
  while (first < b->B && (c->done[first] || batch_length(b, first) <= from)) first++;
  if (first == b->B) return false;
  size_t rows = (size_t)b->B;
  int *row = arena_alloc(&c->tp->arena, rows * sizeof *row);
  bool *begins = arena_alloc(&c->tp->arena, rows * sizeof *begins);
  Stretch s = {from, to - from, 0, row, begins, arena_alloc(&c->tp->arena, rows * sizeof *s.seen)};
  for (int r = first; r < b->B; r++) {
    if (c->done[r] || batch_length(b, r) <= from || (c->grows && c->all.seen[r] != c->all.seen[first])) continue;
    c->done[r] = true;
    fresh += begins[s.count] = starts_at(b, r, from);
    s.seen[s.count] = c->all.seen[r];
    row[s.count++] = r;
  }
  if (s.count == b->B) s.row = NULL;
  if (!fresh) s.fresh = NULL;
  c->all.list[c->all.count++] = s;
  return true;
}

/* Some sequences may have seen more than others. */
static bool may_differ(const Batch *b, const State *st)
{
  bool differ = b->starts != NULL;
  for (int row = 1; row < b->B; row++) differ |= st->seen[row] != st->seen[0];
  return differ;
}

/* All of the batch at once. */
static Stretches one_stretch(Tape *tp, const Batch *b, const State *st)
{
  size_t rows = (size_t)b->B;
  int64_t *seen = arena_alloc(&tp->arena, 2 * rows * sizeof *seen);
  Stretch *s = arena_alloc(&tp->arena, sizeof *s);
  *s = (Stretch){.T = b->T, .count = b->B, .seen = seen};
  for (int row = 0; row < b->B; row++) seen[row] = st->seen[row], seen[b->B + row] = st->seen[row] + b->T;
  return (Stretches){s, 1, seen + b->B};
}

Stretches stretches_of(Tape *tp, const Model *m, const Batch *b, const State *st)
{
  if (!b->length && !may_differ(b, st)) return one_stretch(tp, b, st);
  size_t rows = (size_t)b->B;
  int pieces = 0;
  bool *cut = cuts_of(tp, b);
  Cutting c = {tp, b, may_differ(b, st) && version_state_grows(m->version, &m->d),
               .done = arena_alloc(&tp->arena, rows)};
  for (int t = 0; t < b->T; t++) pieces += cut[t];
  c.all.list = arena_alloc(&tp->arena, (size_t)pieces * (c.grows ? rows : 1) * sizeof *c.all.list);
  c.all.seen = arena_alloc(&tp->arena, rows * sizeof *c.all.seen);
  memcpy(c.all.seen, st->seen, rows * sizeof *c.all.seen);
  for (int from = 0, to; from < b->T; from = to) {
    for (to = from + 1; !cut[to];) to++;
    memset(c.done, 0, rows);
    for (int r = 0; r < b->B; r++)
      if (starts_at(b, r, from)) c.all.seen[r] = 0;
    while (next_stretch(&c, from, to)) continue;
    for (int r = 0; r < b->B; r++)
      if (c.done[r]) c.all.seen[r] += to - from;
  }
  return c.all;
}

/* ---- states ---- */

/* Rows of x [B,..], along the first axis. */
static Tensor *rows_of(Tape *tp, Tensor *x, const int *row, int count)
{
  int shape[MAX_AXES], flat[] = {x->shape[0], -1};
  memcpy(shape, x->shape, sizeof shape);
  shape[0] = count;
  if (x->n == 0) return tape_zeros(tp, x->axes, shape);
  return t_reshape(tp, t_rows(tp, t_reshape(tp, x, 2, flat), row, 1, &count), x->axes, shape);
}

/* x with `size` positions, of those it has or zeros. */
static Tensor *of_length(Tape *tp, Tensor *x, int size)
{
  int have = x->shape[1], shape[MAX_AXES];
  if (size == have) return x;
  if (size < have) return t_slice(tp, x, 1, 0, size);
  memcpy(shape, x->shape, sizeof shape);
  shape[1] = size - have;
  return t_concat(tp, (Tensor *[]){x, tape_zeros(tp, x->axes, shape)}, 2, 1);
}

/* x [count,..], with the value that a state begins with in rows that begin anew. */
static Tensor *begun(Tape *tp, Tensor *x, const Stretch *s, double start)
{
  int shape[MAX_AXES] = {s->count, 1, 1, 1};
  Tensor *mask = tape_tensor(tp, x->axes, shape);
  real *is = arena_alloc(&tp->arena, (size_t)s->count * sizeof *is);
  for (int i = 0; i < s->count; i++) is[i] = s->fresh[i];
  tensor_write(mask, 0, mask->n, is);
  return t_where(tp, mask, tape_number(tp, start), x);
}

Tensor **stretch_state(Tape *tp, const Model *m, const Stretch *s, Tensor **state)
{
  int count = layout_states(m->version, &m->d);
  Tensor **before = arena_alloc(&tp->arena, (size_t)count * sizeof *before);
  for (int i = 0; i < count; i++) {
    LayoutState p = layout_state(m->version, &m->d, i);
    before[i] = s->row ? rows_of(tp, state[i], s->row, s->count) : state[i];
    if (layout_grows(&p)) before[i] = of_length(tp, before[i], (int)s->seen[0]);
    else if (s->fresh && before[i]->n) before[i] = begun(tp, before[i], s, p.spec->start);
  }
  return before;
}

/* x [B,..], with these rows in the place of its own. */
static Tensor *with_rows(Tape *tp, Tensor *x, const Stretch *s, Tensor *rows)
{
  int B = x->shape[0], *index = arena_alloc(&tp->arena, (size_t)B * sizeof *index);
  for (int b = 0; b < B; b++) index[b] = b;
  for (int i = 0; i < s->count; i++) index[s->row[i]] = B + i;
  return rows_of(tp, t_concat(tp, (Tensor *[]){x, rows}, 2, 0), index, B);
}

/* What grows must have grown by a position a token, or nobody knows which are of which sequence. */
static void check_grown(const LayoutState *p, const Tensor *rows, const Stretch *s)
{
  if (rows->shape[1] != s->seen[0] + s->T)
    rwkv_fail(
        "layer %d: state %s has %d positions after %lld tokens; with sequences that end or begin inside a batch it "
        "must have one for each",
        p->layer + 1, p->spec->name, rows->shape[1], (long long)(s->seen[0] + s->T));
}

void stretch_keep_state(Tape *tp, const Model *m, const Stretch *s, Tensor **after, Tensor **state)
{
  for (int i = 0, count = layout_states(m->version, &m->d); i < count; i++) {
    LayoutState p = layout_state(m->version, &m->d, i);
    Tensor *rows = after[i];
    if (layout_grows(&p)) check_grown(&p, rows, s);
    if (s->row && layout_grows(&p)) {
      int size = rows->shape[1] > state[i]->shape[1] ? rows->shape[1] : state[i]->shape[1];
      rows = of_length(tp, rows, size), state[i] = of_length(tp, state[i], size);
    }
    state[i] = s->row ? with_rows(tp, state[i], s, rows) : rows;
  }
}

void stretches_trim_state(Tape *tp, const Model *m, const Stretches *all, int B, Tensor **state)
{
  int64_t longest = 0;
  for (int b = 0; b < B; b++) longest = all->seen[b] > longest ? all->seen[b] : longest;
  for (int i = 0, count = layout_states(m->version, &m->d); i < count; i++) {
    LayoutState p = layout_state(m->version, &m->d, i);
    if (layout_grows(&p)) state[i] = of_length(tp, state[i], (int)longest);
  }
}

/* ---- what comes out ---- */

Tensor *stretches_join(Tape *tp, Tensor **piece, int count, const int *place, int axes, const int *shape)
{
  size_t n = shape_count(axes, shape);
  int *row = arena_alloc(&tp->arena, n * sizeof *row), rows = 0, padding = 0;
  Tensor **part = arena_alloc(&tp->arena, ((size_t)count + 1) * sizeof *part);
  memcpy(part, piece, (size_t)count * sizeof *part);
  for (int i = 0; i < count; i++) rows += piece[i]->shape[0];
  for (size_t i = 0; i < n; i++) row[i] = place[i] < 0 ? padding = 1, rows : place[i];
  if (padding) part[count++] = tape_zeros(tp, 2, (int[]){1, piece[0]->shape[1]});
  return t_rows(tp, t_concat(tp, part, count, 0), row, axes, shape);
}
