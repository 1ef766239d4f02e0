/* Products of a column and a row need not be made: what is done with them is done with the column and the row. c, d
   are columns, r, s rows, A is a matrix, x anything.

     x (c r') = (x c) r' or c (x r)'
     (c r') (d s') = (c d) (r s)'
     the sum of c r' along rows = c sum(r), down columns = sum(c) r
     the sum of x (A + c r') = the sum of x A + that of x (c r')

   The last one only where A + c r' is used for nothing but such sums: so it is never made. */
#include "f_flow.h"

#include <string.h>

static StepShape shape(const Flow *f, int v) { return f->value[v].shape; }
static bool is_matrix(StepShape s) { return s.rows > 1 && s.cols > 1; }

/* The code that makes v, not turned; NULL: none. */
static const Code *maker(const Flow *f, int v)
{
  const Value *x = &f->value[v];
  return x->seen_as == v && x->maker != NO_VALUE ? &f->code[x->maker] : NULL;
}

static bool is_binary(const Code *q, BinaryKind which) { return q && q->kind == CODE_BINARY && q->which == (int)which; }

/* v = c r' */
static bool outer(const Flow *f, int v, int *c, int *r)
{
  const Code *q = maker(f, v);
  if (!is_binary(q, B_MUL) || !is_matrix(shape(f, v))) return false;
  bool first = shape(f, q->in[0]).cols == 1;
  *c = q->in[first ? 0 : 1], *r = q->in[first ? 1 : 0];
  return shape(f, *c).cols == 1 && shape(f, *r).rows == 1;
}

static int mul(Flow *f, int a, int b)
{
  int c, r, d, s;
  if (outer(f, a, &c, &r) && outer(f, b, &d, &s)) {
    int column = f_flow_binary(f, B_MUL, c, d);
    return f_flow_binary(f, B_MUL, column, f_flow_binary(f, B_MUL, r, s));
  }
  if (outer(f, a, &c, &r)) d = a, a = b, b = d;
  if (!is_matrix(shape(f, a)) && outer(f, b, &c, &r)) {
    if (shape(f, a).cols == 1) return f_flow_binary(f, B_MUL, f_flow_binary(f, B_MUL, a, c), r);
    return f_flow_binary(f, B_MUL, c, f_flow_binary(f, B_MUL, a, r));
  }
  return f_flow_binary(f, B_MUL, a, b);
}

/* Whether all that is done with a sum is that its products with lines are summed. */
static bool is_only_summed(const Flow *f, const Code *old, int codes, int v)
{
  int sums = 0;
  for (int i = 0; i < codes; i++)
    for (int k = 0; k < old[i].ins; k++) {
      if (old[i].in[k] == NO_VALUE || f->value[old[i].in[k]].seen_as != v) continue;
      if (!is_binary(&old[i], B_MUL) || f->value[old[i].out].uses != 1) return false;
      if (is_matrix(shape(f, old[i].in[1 - k]))) {
        int c, r;
        if (!outer(f, old[i].in[1 - k], &c, &r)) return false;
      }
      for (int n = 0; n < codes; n++)
        if (old[n].in[0] == old[i].out && (old[n].kind == CODE_SUM || old[n].kind == CODE_SUM_DOWN)) sums++;
    }
  return sums > 0 && sums == f->value[v].uses;
}

static int sum(Flow *f, CodeKind kind, int v, const bool *only_summed)
{
  int c, r;
  const Code *m = maker(f, v);
  if (outer(f, v, &c, &r))
    return kind == CODE_SUM ? f_flow_binary(f, B_MUL, c, f_flow_sum(f, CODE_SUM, r))
                            : f_flow_binary(f, B_MUL, f_flow_sum(f, CODE_SUM_DOWN, c), r);
  for (int k = 0; is_binary(m, B_MUL) && k < 2; k++) {
    int x = m->in[1 - k], a = m->in[k];
    if (f->value[a].seen_as != a || !only_summed[a]) continue;
    const Code *q = maker(f, a);
    int first = q->in[0], second = q->in[1]; /* q is gone when codes are added */
    first = sum(f, kind, mul(f, x, first), only_summed);
    return f_flow_binary(f, B_ADD, first, sum(f, kind, mul(f, x, second), only_summed));
  }
  return f_flow_sum(f, kind, v);
}

/* The code that made v last makes `out` instead. */
static void rename_last(Flow *f, int v, int out)
{
  Code *q = &f->code[f->codes - 1];
  if (f->full || v == out) return;
  if (q->out == v) q->out = out;
  else v = f_flow_affine(f, v, 1, 0, shape(f, out)), f->code[f->codes - 1].out = out;
  f->value[out].maker = f->codes - 1;
}

void f_flow_simplify(Flow *f)
{
  Code old[FLOW_VALUES];
  bool only_summed[FLOW_VALUES] = {false};
  int codes = f->codes;
  memcpy(old, f->code, (size_t)codes * sizeof *old);
  for (int i = 0; i < codes; i++) f->value[old[i].out].maker = NO_VALUE; /* until it is there again */
  f->codes = 0;
  for (int i = 0, c, r; i < codes && !f->full; i++) {
    const Code *q = &old[i];
    only_summed[q->out] = is_binary(q, B_ADD) && is_matrix(shape(f, q->out)) &&
                          (outer(f, q->in[0], &c, &r) || outer(f, q->in[1], &c, &r)) &&
                          is_only_summed(f, old, codes, q->out);
    if (is_binary(q, B_MUL)) rename_last(f, mul(f, q->in[0], q->in[1]), q->out);
    else if (q->kind == CODE_SUM || q->kind == CODE_SUM_DOWN)
      rename_last(f, sum(f, q->kind, q->in[0], only_summed), q->out);
    else f->value[q->out].maker = f->codes, f->code[f->codes++] = *q;
  }
}
