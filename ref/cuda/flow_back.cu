/* The way back through a program of steps: each instruction gives to its operands what its gradient is made of. */
#include "flow.h"

typedef struct {
  Flow *flow;
  const StepProgram *program;
  View *g; /* of each register */
} Back;

/* One more part of the gradient by a register: it stands somewhere; */
void flow_give(Flow *f, const StepProgram *p, View *all, int reg, View part)
{
  View *g = &all[reg];
  StepShape s = p->shape[reg];
  part = flow_across(part, s);
  if (flow_none(*g)) {
    *g = part;
    return;
  }
  Code sum = flow_code(TERM_AFFINE, s, part, flow_nothing);
  sum.of[PLUS] = *g;
  *g = flow_add(f, sum);
}

/* or has to be made. */
static void give(const Back *q, int reg, Code part)
{
  View *g = &q->g[reg];
  part.of[PLUS] = *g;
  *g = flow_across(flow_add(q->flow, part), q->program->shape[reg]);
}

/* What an operand was repeated over is summed. */
static Over repeated(StepShape own, StepShape result)
{
  bool rows = own.rows < result.rows, cols = own.cols < result.cols;
  return rows && cols ? OVER_BOTH : rows ? OVER_ROWS : cols ? OVER_COLS : OVER_NOTHING;
}

static void back_binary(const Back *q, const StepInstruction *step, StepShape s, View g)
{
  const StepProgram *p = q->program;
  int operand[] = {step->a, step->b};
  View seen[2];
  for (int i = 0; i < 2; i++) seen[i] = flow_across(q->flow->seen[operand[i]], p->shape[operand[i]]);
  for (int i = 0; i < 2; i++) {
    Code c = flow_code(TERM_AFFINE, s, g, flow_nothing);
    c.over = repeated(p->shape[operand[i]], s);
    switch (step->which) {
    case B_ADD: break;
    case B_SUB: c.scale = i ? -1 : 1; break;
    case B_MUL: c.term = TERM_PRODUCT, c.of[OF_B] = seen[1 - i]; break;
    default:
      c = flow_code(i ? TERM_SLOPE_B : TERM_SLOPE_A, s, seen[0], seen[1]);
      c.of[OF_C] = g, c.which = step->which;
      c.over = repeated(p->shape[operand[i]], s);
    }
    if (c.term == TERM_AFFINE && c.scale == 1 && c.over == OVER_NOTHING)
      flow_give(q->flow, q->program, q->g, operand[i], g);
    else give(q, operand[i], c);
  }
}

static bool by_result(int kind) { return kind == U_TANH || kind == U_SIGMOID || kind == U_SILU; } /* needs f(x) */

static void back_unary(const Back *q, const StepInstruction *step, StepShape s, View y, View g)
{
  View x = q->flow->seen[step->a];
  Code c = flow_code(TERM_SLOPE, s, x, by_result(step->which) ? y : x);
  c.of[OF_C] = g, c.which = step->which;
  give(q, step->a, c);
}

/* Each number of what was summed has the gradient of its sum. */
static void back_sum(const Back *q, const StepInstruction *step, StepShape s, View g)
{
  if (step->scale != 1) {
    Code c = flow_code(TERM_AFFINE, s, g, flow_nothing);
    c.scale = (real)step->scale;
    g = flow_add(q->flow, c);
  }
  if (step->kind == STEP_SUM) g.col = 0;
  else g.row = 0;
  flow_give(q->flow, q->program, q->g, step->a, g);
}

static void back(const Back *q, const StepInstruction *step, int reg)
{
  StepShape s = q->program->shape[reg];
  View g = q->g[reg];
  switch (step->kind) {
  case STEP_NUMBER: break;
  case STEP_UNARY: back_unary(q, step, s, q->flow->seen[reg], g); break;
  case STEP_BINARY: back_binary(q, step, s, g); break;
  case STEP_AFFINE: {
    Code c = flow_code(TERM_AFFINE, s, g, flow_nothing);
    c.scale = (real)step->scale;
    give(q, step->a, c);
    break;
  }
  case STEP_TURN: {
    View turned = {g.value, g.col, g.row};
    flow_give(q->flow, q->program, q->g, step->a, turned);
    break;
  }
  default: back_sum(q, step, s, g);
  }
}

void flow_back(Flow *f, const StepProgram *p, View *g)
{
  Back q = {f, p, g};
  int made = p->inputs + p->states;
  for (int reg = flow_registers(p); reg-- > made;)
    if (!flow_none(g[reg])) back(&q, &p->instruction[reg - made], reg);
}
