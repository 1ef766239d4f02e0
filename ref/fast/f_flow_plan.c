/* What a flow leaves out, joins, and in what order it runs. */
#include "f_flow.h"

#include <string.h>

static int root(const Flow *f, int v) { return v == NO_VALUE ? v : f->value[v].seen_as; }
static StepShape shape(const Flow *f, int v) { return f->value[v].shape; }
static bool same_shape(StepShape a, StepShape b) { return a.rows == b.rows && a.cols == b.cols; }

/* ---- what nobody needs ---- */

void f_flow_count(Flow *f, const bool *given)
{
  bool needed[FLOW_VALUES] = {false};
  int kept = 0;
  for (int v = 0; v < f->values; v++) f->value[v].uses = 0, f->value[v].maker = NO_VALUE;
  for (int i = 0; i < f->outputs; i++) needed[root(f, f->output[i])] = true, f->value[root(f, f->output[i])].uses++;
  for (int i = f->codes; i-- > 0;) {
    Code *q = &f->code[i];
    if (!needed[q->out] || given[q->out]) {
      q->out = NO_VALUE;
      continue;
    }
    for (int k = 0; k < q->ins; k++)
      if (q->in[k] != NO_VALUE) needed[root(f, q->in[k])] = true, f->value[root(f, q->in[k])].uses++;
  }
  for (int i = 0; i < f->codes; i++)
    if (f->code[i].out != NO_VALUE) f->value[f->code[i].out].maker = kept, f->code[kept++] = f->code[i];
  f->codes = kept;
}

/* ---- products that only one sum takes ---- */

static bool is_product(const Code *q) { return q->kind == CODE_BINARY && q->which == B_MUL; }
static bool is_matrix(StepShape s) { return s.rows > 1 && s.cols > 1; }

/* The code that makes v in this shape; NULL if v is given, or seen turned. */
static const Code *made(const Flow *f, int v, StepShape as)
{
  const Value *x = &f->value[v];
  return x->seen_as == v && x->maker != NO_VALUE && same_shape(x->shape, as) ? &f->code[x->maker] : NULL;
}

static void put_product(const Flow *f, Code *q, int a, int b, real sign)
{
  bool swap = shape(f, b).cols < shape(f, a).cols || (q->inside.cols == 1 && shape(f, b).rows < shape(f, a).rows);
  q->sign[q->ins / 2] = sign;
  q->in[q->ins++] = swap ? b : a;
  q->in[q->ins++] = swap ? a : b;
}

/* Adds v to the sum q, as products where it is made of such; false if there is no place. A product of a column
   and a row is made once more rather than read. */
static bool take(const Flow *f, Code *q, int v, real sign)
{
  const Code *m = made(f, v, q->inside);
  bool own = m && f->value[v].uses == 1;
  if (m && is_product(m) &&
      (own || (is_matrix(q->inside) && !is_matrix(shape(f, m->in[0])) && !is_matrix(shape(f, m->in[1]))))) {
    if (q->ins + 2 > CODE_INPUTS) return false;
    put_product(f, q, m->in[0], m->in[1], sign);
    return true;
  }
  if (own && m->kind == CODE_PRODUCTS) {
    if (m->in[0] != NO_VALUE && (q->in[0] != NO_VALUE || sign < 0)) return false;
    if (q->ins + m->ins - 1 > CODE_INPUTS) return false;
    if (m->in[0] != NO_VALUE) q->in[0] = m->in[0];
    for (int k = 1; k < m->ins; k += 2) put_product(f, q, m->in[k], m->in[k + 1], sign * m->sign[k / 2]);
    return true;
  }
  if (q->in[0] != NO_VALUE || sign < 0) return false;
  q->in[0] = v;
  return true;
}

/* The product that the sum q alone takes; NULL if there is none. */
static const Code *summed_product(const Flow *f, const Code *q)
{
  const Code *m = made(f, q->in[0], q->inside);
  return m && is_product(m) && f->value[q->in[0]].uses == 1 ? m : NULL;
}

static void join(Flow *f, Code *q)
{
  const Code *m;
  StepShape s = q->inside;
  if (q->kind == CODE_BINARY && (q->which == B_ADD || q->which == B_SUB)) {
    Code sum = {.kind = CODE_PRODUCTS, .out = q->out, .in = {NO_VALUE}, .ins = 1, .inside = s};
    if (take(f, &sum, q->in[0], 1) && take(f, &sum, q->in[1], q->which == B_ADD ? 1 : -1) && sum.ins > 1) *q = sum;
  } else if (q->kind == CODE_SUM && (m = summed_product(f, q))) {
    if (shape(f, m->in[0]).cols != s.cols || shape(f, m->in[1]).cols != s.cols) return;
    q->kind = CODE_DOT, q->in[0] = m->in[0], q->in[1] = m->in[1], q->ins = 2;
  } else if (q->kind == CODE_SUM_DOWN && (m = summed_product(f, q))) {
    bool first = shape(f, m->in[0]).cols == s.cols, second = shape(f, m->in[1]).cols == s.cols;
    if (s.cols == 1 && !(same_shape(shape(f, m->in[0]), s) && same_shape(shape(f, m->in[1]), s))) return;
    if (first && second) first = is_matrix(shape(f, m->in[0])) || !is_matrix(shape(f, m->in[1]));
    q->kind = CODE_DOT_DOWN, q->in[0] = m->in[first ? 0 : 1], q->in[1] = m->in[first ? 1 : 0], q->ins = 2;
  }
}

/* ---- order ---- */

/* A code runs row by row with others, or by itself where nothing that it makes is a matrix. Level 2 k is of
   those, level 2 k + 1 of rows. */
static bool is_down(const Code *q) { return q->kind == CODE_SUM_DOWN || q->kind == CODE_DOT_DOWN; }

/* The level from which on a code that runs by rows, or as a whole, may read v. */
static int level_after(const Flow *f, const int *level, bool by_rows, int v)
{
  int r = root(f, v), maker = r == NO_VALUE ? NO_VALUE : f->value[r].maker;
  if (maker == NO_VALUE) return 0;
  bool whole = is_down(&f->code[maker]) || r != v || !by_rows;
  return level[maker] + (f->code[maker].by_rows && whole);
}

static int level_of(const Flow *f, const int *level, const Code *q, bool by_rows)
{
  int l = 0;
  for (int k = 0; k < q->ins; k++) {
    int after = q->in[k] == NO_VALUE ? 0 : level_after(f, level, by_rows, q->in[k]);
    l = after > l ? after : l;
  }
  return (l % 2 == 1) == by_rows ? l : l + 1;
}

static void order(Flow *f)
{
  int level[FLOW_VALUES], place[FLOW_VALUES], n = 0, top = 0;
  Code sorted[FLOW_VALUES];
  for (int i = 0; i < f->codes; i++) {
    Code *q = &f->code[i];
    int whole = level_of(f, level, q, false), by_rows = level_of(f, level, q, true);
    q->by_rows = q->inside.rows > 1 && (q->inside.cols > 1 || by_rows < whole); /* a column: where it is sooner */
    level[i] = q->by_rows ? by_rows : whole;
    top = level[i] > top ? level[i] : top;
    place[i] = NO_VALUE;
  }
  f->loops = 0;
  for (int l = 0; l <= top; l++)
    for (int i = 0; i < f->codes; i++) {
      if (level[i] != l || place[i] != NO_VALUE) continue;
      FlowLoop *loop = &f->loop[f->loops++]; /* all of this level that have as many rows */
      *loop = (FlowLoop){.first = n, .rows = f->code[i].by_rows ? f->code[i].inside.rows : 1};
      for (int k = i; k < f->codes; k++)
        if (level[k] == l && place[k] == NO_VALUE && (l % 2 == 0 || f->code[k].inside.rows == loop->rows))
          sorted[n] = f->code[k], place[k] = n++;
      loop->codes = n - loop->first;
    }
  memcpy(f->code, sorted, (size_t)n * sizeof *sorted);
  for (int i = 0; i < n; i++) f->value[f->code[i].out].maker = i;
}

/* ---- where values are ---- */

enum { TILE_NUMBERS = 2048 };

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
    for (int k = 0; k < q->ins; k++) {
      int of = root(f, q->in[k]);
      if (of == NO_VALUE) continue;
      Value *x = &f->value[of];
      last[of] = i;
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
    for (int k = 0; k < q->ins; k++) q->of[k] = walk(f, q, q->in[k]), q->in[k] = root(f, q->in[k]);
  }
}

void f_flow_plan(Flow *f, const bool *given)
{
  if (f->full) return;
  f_flow_count(f, given);
  f_flow_simplify(f);
  if (f->full) return;
  f_flow_count(f, given);
  for (int i = 0; i < f->codes; i++) join(f, &f->code[i]);
  f_flow_count(f, given);
  order(f);
  place(f);
  set_walks(f);
}

bool f_flow_in_place(const Flow *f, int before, int after)
{
  int maker = f->value[after].maker;
  if (maker == NO_VALUE || f->value[before].seen_as != before) return false;
  const Code *last = &f->code[maker];
  for (int i = 0; i < f->outputs; i++)
    if (root(f, f->output[i]) == before) return false; /* somebody looks at it afterwards */
  if (last->kind == CODE_SUM || last->kind == CODE_DOT || is_down(last)) return false;
  for (int i = 0; i < f->codes; i++)
    for (int k = 0; k < f->code[i].ins; k++) {
      const Walk *w = &f->code[i].of[k];
      if (f->code[i].in[k] != before) continue;
      if (i > maker || (i == maker && (w->row != last->to.row || w->move != last->to.move || !w->columns)))
        return false;
    }
  return true;
}
