/* A program of steps as a flow of values. */
#include "f_flow.h"

#include <string.h>

int f_flow_value(Flow *f, StepShape shape)
{
  if (f->values == FLOW_VALUES) {
    f->full = true;
    return 0;
  }
  f->value[f->values] = (Value){.shape = shape, .seen_as = f->values, .maker = NO_VALUE, .home = HOME_WHOLE};
  return f->values++;
}

int f_flow_number(Flow *f, real number)
{
  int v = f_flow_value(f, (StepShape){1, 1});
  f->value[v].home = HOME_NUMBER, f->value[v].number = number;
  return v;
}

int f_flow_add(Flow *f, Code code, StepShape shape)
{
  int out = f_flow_value(f, shape);
  if (f->full) return 0;
  code.out = out;
  if (code.inside.rows == 0) code.inside = shape;
  f->value[out].maker = f->codes;
  f->code[f->codes++] = code;
  return out;
}

static StepShape shape(const Flow *f, int v) { return f->value[v].shape; }
static bool same_shape(StepShape a, StepShape b) { return a.rows == b.rows && a.cols == b.cols; }

int f_flow_affine(Flow *f, int a, acc scale, acc offset, StepShape as)
{
  return f_flow_add(f, (Code){.kind = CODE_AFFINE, .in = {a}, .ins = 1, .scale = scale, .offset = offset}, as);
}

static StepShape common(StepShape a, StepShape b)
{
  return (StepShape){larger(a.rows, b.rows), larger(a.cols, b.cols)};
}

int f_flow_binary(Flow *f, BinaryKind which, int a, int b)
{
  return f_flow_add(f, (Code){.kind = CODE_BINARY, .which = which, .in = {a, b}, .ins = 2},
                    common(shape(f, a), shape(f, b)));
}

int f_flow_sum(Flow *f, CodeKind kind, int a)
{
  StepShape s = shape(f, a), to = kind == CODE_SUM ? (StepShape){s.rows, 1} : (StepShape){1, s.cols};
  if (same_shape(s, to)) return a;
  return f_flow_add(f, (Code){.kind = kind, .in = {a}, .ins = 1, .inside = s}, to);
}

int f_flow_turn(Flow *f, int a)
{
  int v = f_flow_value(f, (StepShape){shape(f, a).cols, shape(f, a).rows});
  f->value[v].seen_as = f->value[a].seen_as;
  return v;
}

int f_flow_whole(Flow *f, int v, StepShape as)
{
  return same_shape(shape(f, v), as) ? v : f_flow_affine(f, v, 1, 0, as);
}

int f_flow_own(Flow *f, int v)
{
  if (f->value[v].home == HOME_GIVEN || f->value[v].maker == NO_VALUE) v = f_flow_affine(f, v, 1, 0, shape(f, v));
  f->value[v].home = HOME_GIVEN;
  f_flow_output(f, v);
  return v;
}

void f_flow_output(Flow *f, int v)
{
  for (int i = 0; i < f->outputs; i++)
    if (f->output[i] == v) return;
  f->output[f->outputs++] = v;
}

/* ---- a program ---- */

static int instruction(Flow *f, const StepInstruction *q)
{
  int a = q->kind == STEP_NUMBER ? NO_VALUE : f->of[q->a], v;
  switch (q->kind) {
  case STEP_NUMBER: return f_flow_number(f, (real)q->offset);
  case STEP_UNARY:
    return f_flow_add(f, (Code){.kind = CODE_UNARY, .which = q->which, .in = {a}, .ins = 1}, shape(f, a));
  case STEP_BINARY: return f_flow_binary(f, (BinaryKind)q->which, a, f->of[q->b]);
  case STEP_AFFINE: return f_flow_affine(f, a, q->scale, q->offset, shape(f, a));
  case STEP_TURN: return f_flow_turn(f, a);
  default:
    v = f_flow_sum(f, q->kind == STEP_SUM ? CODE_SUM : CODE_SUM_DOWN, a);
    return q->scale == 1 ? v : f_flow_affine(f, v, q->scale, 0, shape(f, v));
  }
}

void f_flow_program(Flow *f, const StepProgram *p)
{
  f->values = f->codes = f->outputs = 0, f->full = false;
  int given = p->inputs + p->states;
  for (int reg = 0; reg < k_steps_registers(p); reg++) {
    f->of[reg] = reg < given ? f_flow_value(f, p->shape[reg]) : instruction(f, &p->instruction[reg - given]);
    if (reg < given) f->value[f->of[reg]].home = HOME_GIVEN;
  }
}
