/* A program of steps as values and codes. */
#include "flow.h"

const View flow_nothing = {NO_VALUE, 0, 0};
bool flow_none(View v) { return v.value == NO_VALUE; }
unsigned flow_size(const Flow *f, int value) { return f->value[value].rows * f->value[value].cols; }

static int new_value(Flow *f, unsigned rows, unsigned cols)
{
  if (f->values == FLOW_VALUES) device_fail("a program of steps has more values than %d", FLOW_VALUES);
  Value v = {};
  v.rows = rows, v.cols = cols;
  v.maker = v.state = v.becomes = v.at = NO_VALUE;
  f->value[f->values] = v;
  return f->values++;
}

int flow_given(Flow *f, StepShape shape, bool lasts, int state)
{
  int v = new_value(f, (unsigned)shape.rows, (unsigned)shape.cols);
  f->value[v].lasts = lasts, f->value[v].state = state;
  return v;
}

View flow_view(const Flow *f, int value)
{
  View v = {value, f->value[value].cols, 1};
  return v;
}

View flow_across(View v, StepShape own)
{
  if (own.rows == 1) v.row = 0;
  if (own.cols == 1) v.col = 0;
  return v;
}

bool flow_in_order(View v, unsigned rows, unsigned cols)
{
  return (rows == 1 || v.row == cols) && (cols == 1 || v.col == 1);
}

/* ---- codes ---- */

Code flow_code(Term term, StepShape shape, View a, View b)
{
  Code c = {};
  c.term = term, c.over = OVER_NOTHING, c.scale = 1;
  c.rows = (unsigned)shape.rows, c.cols = (unsigned)shape.cols;
  c.of[OF_A] = a, c.of[OF_B] = b, c.of[OF_C] = c.of[PLUS] = flow_nothing;
  return c;
}

View flow_add(Flow *f, Code c)
{
  if (f->codes == FLOW_CODES) device_fail("a program of steps has more codes than %d", FLOW_CODES);
  bool cols = c.over == OVER_COLS || c.over == OVER_BOTH, rows = c.over == OVER_ROWS || c.over == OVER_BOTH;
  if ((rows && c.cols == 1) || (cols && c.rows == 1)) c.over = OVER_BOTH;
  c.out = new_value(f, rows ? 1 : c.rows, cols ? 1 : c.cols);
  f->value[c.out].maker = f->codes;
  f->code[f->codes++] = c;
  return flow_view(f, c.out);
}

int flow_own(Flow *f, View v, StepShape shape)
{
  unsigned rows = (unsigned)shape.rows, cols = (unsigned)shape.cols;
  if (flow_in_order(v, rows, cols) && flow_size(f, v.value) == rows * cols) return v.value;
  return flow_add(f, flow_code(TERM_AFFINE, shape, v, flow_nothing)).value;
}

/* A copy, where what it is is looked at as something else already; and of an operand of the token itself, whose place
   the next token's takes while others still read it. */
int flow_output(Flow *f, int value, int becomes)
{
  const Value *v = &f->value[value];
  bool other = v->state != NO_VALUE && v->state != becomes, twice = v->becomes != NO_VALUE;
  bool fleeting = v->maker == NO_VALUE && !v->lasts;
  if (fleeting || (becomes != NO_VALUE && (other || twice))) {
    StepShape shape = {v->rows, v->cols};
    value = flow_add(f, flow_code(TERM_AFFINE, shape, flow_view(f, value), flow_nothing)).value;
  }
  f->value[value].output = true;
  if (becomes != NO_VALUE) f->value[value].becomes = becomes;
  return value;
}

/* ---- a program ---- */

void flow_lasting(Flow *f, const StepProgram *p)
{
  for (int i = 0; i < p->inputs; i++)
    if (p->input[i] != OF_TOKENS) f->seen[i] = flow_view(f, flow_given(f, p->shape[i], true, NO_VALUE));
}

static Over sum_over(StepKind kind) { return kind == STEP_SUM ? OVER_COLS : OVER_ROWS; }

static Code binary(const StepInstruction *q, StepShape s, View a, View b)
{
  Code c = flow_code(TERM_BINARY, s, a, b);
  c.which = q->which;
  if (q->which == B_MUL) c.term = TERM_PRODUCT;
  if (q->which != B_ADD && q->which != B_SUB) return c;
  c.term = TERM_AFFINE, c.of[OF_A] = b, c.of[OF_B] = flow_nothing, c.of[PLUS] = a; /* a + b, a + -1 b */
  c.scale = q->which == B_ADD ? 1 : -1;
  return c;
}

static View instruction(Flow *f, const StepProgram *p, const StepInstruction *q, StepShape s)
{
  StepShape sa = p->shape[q->a], sb = p->shape[q->b];
  View a = f->seen[q->a], b = f->seen[q->b];
  Code c = flow_code(TERM_AFFINE, s, a, flow_nothing);
  c.scale = (real)q->scale, c.offset = (real)q->offset;
  switch (q->kind) {
  case STEP_NUMBER: c.term = TERM_NUMBER, c.of[OF_A] = flow_nothing; break;
  case STEP_UNARY: c.term = TERM_UNARY, c.which = q->which, c.scale = 1, c.offset = 0; break;
  case STEP_BINARY: c = binary(q, s, flow_across(a, sa), flow_across(b, sb)); break;
  case STEP_SUM:
  case STEP_SUM_DOWN:
    c.rows = (unsigned)sa.rows, c.cols = (unsigned)sa.cols;
    c.over = sum_over(q->kind), c.offset = 0;
    break;
  case STEP_TURN: {
    View turned = {a.value, a.col, a.row};
    return turned;
  }
  default: break;
  }
  return flow_add(f, c);
}

void flow_program(Flow *f, const StepProgram *p, bool states_last)
{
  int made = p->inputs + p->states;
  for (int i = 0; i < made; i++) {
    bool state = i >= p->inputs;
    if (state || p->input[i] == OF_TOKENS)
      f->seen[i] = flow_view(
          f, flow_given(f, p->shape[i], state && states_last, state && states_last ? i - p->inputs : NO_VALUE));
  }
  for (int reg = made; reg < flow_registers(p); reg++)
    f->seen[reg] = instruction(f, p, &p->instruction[reg - made], p->shape[reg]);
}
