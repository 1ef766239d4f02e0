/* What a flow leaves out, joins, and in what order it runs. */
#include "f_flow.h"

#include <string.h>

static int root(const Flow *f, int v) { return v == NO_VALUE ? v : f->value[v].seen_as; }
static StepShape shape(const Flow *f, int v) { return f->value[v].shape; }
static bool same_shape(StepShape a, StepShape b) { return a.rows == b.rows && a.cols == b.cols; }

/* ---- what nobody needs ---- */

static void count_uses(Flow *f, const bool *given)
{
  bool needed[FLOW_VALUES] = {false};
  int kept = 0;
  for (int v = 0; v < f->values; v++) f->value[v].uses = 0;
  for (int i = 0; i < f->outputs; i++) needed[root(f, f->output[i])] = true, f->value[root(f, f->output[i])].uses++;
  for (int i = f->codes; i-- > 0;) {
    Code *q = &f->code[i];
    if (!needed[q->out] || given[q->out]) {
      q->out = NO_VALUE;
      continue;
    }
    int of[3] = {root(f, q->a), root(f, q->b), root(f, q->c)};
    for (int k = 0; k < 3; k++)
      if (of[k] != NO_VALUE) needed[of[k]] = true, f->value[of[k]].uses++;
  }
  for (int v = 0; v < f->values; v++) f->value[v].maker = NO_VALUE;
  for (int i = 0; i < f->codes; i++)
    if (f->code[i].out != NO_VALUE) f->value[f->code[i].out].maker = kept, f->code[kept++] = f->code[i];
  f->codes = kept;
}

/* ---- products that only one sum takes ---- */

/* The code of a product that is made for this use alone, in this shape; NULL if there is none. */
static const Code *product(const Flow *f, int v, StepShape as)
{
  const Value *x = &f->value[v];
  if (x->seen_as != v || x->maker == NO_VALUE || x->uses != 1 || !same_shape(x->shape, as)) return NULL;
  const Code *q = &f->code[x->maker];
  return q->kind == CODE_BINARY && q->which == B_MUL ? q : NULL;
}

static void multiply_add(Flow *f, Code *q, int a, const Code *m, acc scale)
{
  (void)f;
  *q = (Code){
      .kind = CODE_MULTIPLY_ADD, .out = q->out, .a = a, .b = m->a, .c = m->b, .scale = scale, .inside = q->inside};
}

static void join(Flow *f, Code *q)
{
  const Code *m;
  StepShape s = q->inside;
  if (q->kind == CODE_BINARY && q->which == B_ADD) {
    if ((m = product(f, q->b, s))) multiply_add(f, q, q->a, m, 1);
    else if ((m = product(f, q->a, s))) multiply_add(f, q, q->b, m, 1);
  } else if (q->kind == CODE_BINARY && q->which == B_SUB) {
    if ((m = product(f, q->b, s))) multiply_add(f, q, q->a, m, -1);
  } else if (q->kind == CODE_SUM && (m = product(f, q->a, s))) {
    if (shape(f, m->a).cols == s.cols && shape(f, m->b).cols == s.cols) q->kind = CODE_DOT, q->a = m->a, q->b = m->b;
  } else if (q->kind == CODE_SUM_DOWN && (m = product(f, q->a, s))) {
    bool first = shape(f, m->a).cols == s.cols, second = shape(f, m->b).cols == s.cols;
    if (s.cols == 1 && !(same_shape(shape(f, m->a), s) && same_shape(shape(f, m->b), s))) return;
    if (first) q->kind = CODE_DOT_DOWN, q->a = m->a, q->b = m->b;
    else if (second) q->kind = CODE_DOT_DOWN, q->a = m->b, q->b = m->a;
  }
}

/* ---- order ---- */

/* A code runs row by row with others, or by itself where all that it makes is made of rows and numbers. Level 2 k is of
   those, level 2 k + 1 of rows of what has more than one. */
static bool by_rows(const Code *q) { return q->inside.rows > 1; }
static bool is_down(const Code *q) { return q->kind == CODE_SUM_DOWN || q->kind == CODE_DOT_DOWN; }

/* The level from which on a code of this kind may read v. */
static int level_after(const Flow *f, const int *level, const Code *q, int v)
{
  int r = root(f, v), maker = r == NO_VALUE ? NO_VALUE : f->value[r].maker;
  if (maker == NO_VALUE) return 0;
  bool rows = by_rows(&f->code[maker]), whole = is_down(&f->code[maker]) || r != v;
  if (rows && (whole || !by_rows(q))) return level[maker] + 1;
  return level[maker];
}

static void order(Flow *f)
{
  int level[FLOW_VALUES], place[FLOW_VALUES], n = 0, top = 0;
  Code sorted[FLOW_VALUES];
  for (int i = 0; i < f->codes; i++) {
    const Code *q = &f->code[i];
    int of[3] = {q->a, q->b, q->c}, l = 0;
    for (int k = 0; k < 3; k++) {
      int after = of[k] == NO_VALUE ? 0 : level_after(f, level, q, of[k]);
      l = after > l ? after : l;
    }
    level[i] = (l % 2 == 1) == by_rows(q) ? l : l + 1;
    top = level[i] > top ? level[i] : top;
    place[i] = NO_VALUE;
  }
  f->loops = 0;
  for (int l = 0; l <= top; l++)
    for (int i = 0; i < f->codes; i++) {
      if (level[i] != l || place[i] != NO_VALUE) continue;
      FlowLoop *loop = &f->loop[f->loops++]; /* all of this level that have as many rows */
      *loop = (FlowLoop){.first = n, .rows = f->code[i].inside.rows};
      for (int k = i; k < f->codes; k++)
        if (level[k] == l && place[k] == NO_VALUE && f->code[k].inside.rows == loop->rows)
          sorted[n] = f->code[k], place[k] = n++;
      loop->codes = n - loop->first;
    }
  memcpy(f->code, sorted, (size_t)n * sizeof *sorted);
  for (int i = 0; i < n; i++) f->value[f->code[i].out].maker = i;
}

/* ---- where values are ---- */

enum { TILE_NUMBERS = 1024 };

static const FlowLoop *loop_of(const Flow *f, int code)
{
  const FlowLoop *loop = f->loop;
  while (code >= loop->first + loop->codes) loop++;
  return loop;
}

/* The last code that reads each value; and values that more than the loop they are made in reads are whole. */
static void find_homes(Flow *f, int *last)
{
  for (int v = 0; v < f->values; v++) last[v] = NO_VALUE;
  for (int i = 0; i < f->codes; i++) {
    const Code *q = &f->code[i];
    Value *made = &f->value[q->out];
    if (made->home != HOME_GIVEN) made->home = made->shape.rows > 1 && made->shape.cols > 1 ? HOME_TILE : HOME_WHOLE;
    int of[3] = {root(f, q->a), root(f, q->b), root(f, q->c)};
    for (int k = 0; k < 3; k++) {
      if (of[k] == NO_VALUE) continue;
      Value *x = &f->value[of[k]];
      last[of[k]] = i;
      if (x->home == HOME_TILE && loop_of(f, x->maker) != loop_of(f, i)) x->home = HOME_WHOLE;
    }
  }
}

static void keep_outputs(Flow *f)
{
  for (int i = 0; i < f->outputs; i++) {
    Value *x = &f->value[root(f, f->output[i])];
    if (x->home == HOME_TILE) x->home = HOME_WHOLE;
  }
}

static size_t aligned(size_t n) { return (n + 15) / 16 * 16; }

/* Rows of matrices take over room in the workspace from such as are no longer read. */
static void place_tiles(Flow *f, FlowLoop *loop, const int *last, size_t from)
{
  size_t widest = 1, end = from;
  int held[FLOW_VALUES], holds = 0; /* values that have room, or had */
  for (int i = loop->first; i < loop->first + loop->codes; i++) widest = larger(widest, f->code[i].inside.cols);
  loop->tile = smaller(loop->rows, larger(8, TILE_NUMBERS / widest / 4 * 4));
  for (int i = loop->first; i < loop->first + loop->codes; i++) {
    Value *x = &f->value[f->code[i].out];
    if (x->home != HOME_TILE) continue;
    size_t n = aligned(loop->tile * x->shape.cols);
    int h = 0;
    while (h < holds && (last[held[h]] >= i || aligned(loop->tile * f->value[held[h]].shape.cols) != n)) h++;
    if (h < holds) x->at = f->value[held[h]].at;
    else x->at = end, end += n, holds++;
    held[h] = f->code[i].out;
  }
  f->room = larger(f->room, end);
}

static void place(Flow *f)
{
  int last[FLOW_VALUES];
  size_t at = 0;
  find_homes(f, last);
  keep_outputs(f);
  for (int v = 0; v < f->values; v++) {
    Value *x = &f->value[v];
    if (x->home != HOME_WHOLE || x->seen_as != v || x->maker == NO_VALUE) continue;
    x->at = at;
    at += aligned(x->shape.rows * x->shape.cols);
  }
  f->room = at;
  for (int i = 0; i < f->loops; i++) place_tiles(f, &f->loop[i], last, at);
}

/* ---- how codes walk ---- */

static Walk walk(const Flow *f, const Code *q, int v)
{
  if (v == NO_VALUE) return (Walk){0, 0, false};
  StepShape s = shape(f, v);
  size_t row = s.rows > 1 ? s.cols : 0, move = f->value[root(f, v)].home == HOME_TILE ? 0 : row;
  if (q->flat) return (Walk){0, row, s.rows > 1};
  return (Walk){row, move, s.cols > 1 || q->inside.cols == 1};
}

static void set_walks(Flow *f)
{
  for (int i = 0; i < f->codes; i++) {
    Code *q = &f->code[i];
    q->flat = q->inside.cols == 1 && q->inside.rows > 1;
    q->to = walk(f, q, q->out);
    q->of[0] = walk(f, q, q->a), q->of[1] = walk(f, q, q->b), q->of[2] = walk(f, q, q->c);
    q->a = root(f, q->a), q->b = root(f, q->b), q->c = root(f, q->c);
  }
}

void f_flow_plan(Flow *f, const bool *given)
{
  if (f->full) return;
  count_uses(f, given);
  for (int i = 0; i < f->codes; i++) join(f, &f->code[i]);
  count_uses(f, given);
  order(f);
  place(f);
  set_walks(f);
}
