/* The way back through a program of steps, as codes. A gradient that is the same for all rows or columns stays
   one row or column until somebody needs it whole. */
#include "f_flow.h"

static StepShape shape(const Flow *f, int v) { return f->value[v].shape; }

static void collect(Flow *f, int *g, int v) { *g = *g == NO_VALUE ? v : f_flow_binary(f, B_ADD, *g, v); }

/* What an operand of shape `to` gets of a gradient v by a result of shape `of`. */
static int reduced(Flow *f, int v, StepShape of, StepShape to)
{
  acc times = 1;
  if (to.cols == 1 && of.cols > 1) {
    if (shape(f, v).cols > 1) v = f_flow_sum(f, CODE_SUM, v);
    else times *= (acc)of.cols;
  }
  if (to.rows == 1 && of.rows > 1) {
    if (shape(f, v).rows > 1) v = f_flow_sum(f, CODE_SUM_DOWN, v);
    else times *= (acc)of.rows;
  }
  return times == 1 ? v : f_flow_affine(f, v, times, 0, shape(f, v));
}

static int slope(Flow *f, UnaryKind which, int g, int x, int y)
{
  if (which == U_NEG) return f_flow_affine(f, g, -1, 0, shape(f, g));
  if (which == U_EXP) return f_flow_binary(f, B_MUL, g, y);
  return f_flow_binary(
      f, B_MUL, g, f_flow_add(f, (Code){.kind = CODE_SLOPE, .which = (int)which, .in = {x, y}, .ins = 2}, shape(f, x)));
}

/* The gradients by both operands of y = f(a, b), before what was repeated is summed. */
static void slopes(Flow *f, BinaryKind which, int g, int a, int b, int y, int *ga, int *gb)
{
  StepShape of = shape(f, y);
  *ga = *gb = g;
  switch (which) {
  case B_ADD: return;
  case B_SUB: *gb = f_flow_affine(f, g, -1, 0, shape(f, g)); return;
  case B_MUL: *ga = f_flow_binary(f, B_MUL, g, b), *gb = f_flow_binary(f, B_MUL, g, a); return;
  case B_DIV:
    *ga = f_flow_binary(f, B_DIV, g, b);
    *gb = f_flow_binary(f, B_MUL, g, f_flow_binary(f, B_DIV, y, b));
    *gb = f_flow_affine(f, *gb, -1, 0, shape(f, *gb));
    return;
  default: {
    CodeKind kind = which == B_MAX ? CODE_AT_LEAST : CODE_AT_MOST;
    int first = f_flow_add(f, (Code){.kind = kind, .in = {a, b}, .ins = 2}, of);
    *ga = f_flow_binary(f, B_MUL, g, first), *gb = f_flow_binary(f, B_MUL, g, f_flow_affine(f, first, -1, 1, of));
  }
  }
}

static void back(Flow *f, const StepProgram *p, int reg, int *g)
{
  const StepInstruction *q = &p->instruction[reg - p->inputs - p->states];
  if (q->kind == STEP_NUMBER) return;
  int gy = g[reg], a = f->of[q->a], y = f->of[reg], ga, gb;
  switch (q->kind) {
  case STEP_UNARY: ga = slope(f, (UnaryKind)q->which, gy, a, y); break;
  case STEP_BINARY:
    slopes(f, (BinaryKind)q->which, gy, a, f->of[q->b], y, &ga, &gb);
    collect(f, &g[q->a], reduced(f, ga, p->shape[reg], p->shape[q->a]));
    collect(f, &g[q->b], reduced(f, gb, p->shape[reg], p->shape[q->b]));
    return;
  case STEP_TURN: ga = f_flow_turn(f, gy); break;
  default: ga = q->scale == 1 ? gy : f_flow_affine(f, gy, q->scale, 0, shape(f, gy));
  }
  collect(f, &g[q->a], ga);
}

void f_flow_back(Flow *f, const StepProgram *p, int *g)
{
  for (int reg = k_steps_registers(p); reg-- > p->inputs + p->states && !f->full;)
    if (g[reg] != NO_VALUE) back(f, p, reg, g);
}
