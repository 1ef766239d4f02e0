/* Tape op of a recurrence that is a program. Whatever the program says, it is checked here: a register before it
   is made, shapes that do not fit, or too many numbers are errors. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "expect.h"
#include "node.h"

#include <limits.h>
#include <string.h>

/* ---- names ---- */

static const char *const kind_names[STEP_KINDS] = {
    [STEP_NUMBER] = "number", [STEP_AFFINE] = "affine", [STEP_SUM] = "sum", [STEP_SUM_DOWN] = "sum_down",
    [STEP_TURN] = "turn"};

StepInstruction t_steps_instruction(const char *name)
{
  for (int i = 0; i < STEP_KINDS; i++)
    if (kind_names[i] && strcmp(name, kind_names[i]) == 0) return (StepInstruction){.kind = (StepKind)i, .scale = 1};
  for (int i = 0; i < UNARY_COUNT; i++)
    if (strcmp(name, k_unary_functions[i].name) == 0) return (StepInstruction){.kind = STEP_UNARY, .which = i};
  for (int i = 0; i < BINARY_COUNT; i++)
    if (strcmp(name, k_binary_functions[i].name) == 0) return (StepInstruction){.kind = STEP_BINARY, .which = i};
  rwkv_fail("steps: there is no instruction '%s'", name);
}

/* ---- checks ---- */

static StepShape shape_of(const StepProgram *p, int reg, int before)
{
  if (reg < 0 || reg >= before) rwkv_fail("steps: register %d, expected 0 to %d", reg, before - 1);
  return p->shape[reg];
}

static size_t common(size_t a, size_t b, const char *what)
{
  if (a != b && a != 1 && b != 1) rwkv_fail("steps: %zu and %zu %s do not fit", a, b, what);
  return a == 1 ? b : a;
}

static bool is_line(StepShape s) { return s.rows == 1 || s.cols == 1; }

static StepShape made_shape(const StepProgram *p, const StepInstruction *q, int reg)
{
  if (q->kind == STEP_NUMBER) return (StepShape){1, 1};
  StepShape a = shape_of(p, q->a, reg);
  switch (q->kind) {
  case STEP_UNARY:
    if (q->which < 0 || q->which >= UNARY_COUNT) rwkv_fail("steps: there is no function %d", q->which);
    return a;
  case STEP_BINARY: {
    StepShape b = shape_of(p, q->b, reg);
    if (q->which < 0 || q->which >= BINARY_COUNT) rwkv_fail("steps: there is no function %d", q->which);
    return (StepShape){common(a.rows, b.rows, "rows"), common(a.cols, b.cols, "columns")};
  }
  case STEP_AFFINE: return a;
  case STEP_SUM: return (StepShape){a.rows, 1};
  case STEP_SUM_DOWN: return (StepShape){1, a.cols};
  case STEP_TURN:
    if (!is_line(a)) rwkv_fail("steps: a matrix of %zu rows and %zu columns cannot be turned", a.rows, a.cols);
    return (StepShape){a.cols, a.rows};
  default: rwkv_fail("steps: there is no instruction of kind %d", (int)q->kind);
  }
}

static void check_count(const char *what, int n, int low, int high)
{
  if (n < low || n > high) rwkv_fail("steps: %d %s, expected %d to %d", n, what, low, high);
}

/* Numbers of one head: more than any model has, and few enough that no product of sizes overflows. */
enum { MOST_NUMBERS = 1 << 20 };

static void check_program(StepProgram *p)
{
  check_count("inputs", p->inputs, 0, STEP_INPUTS);
  check_count("states", p->states, 1, STEP_STATES);
  check_count("instructions", p->instructions, 0, STEP_INSTRUCTIONS);
  int given = p->inputs + p->states, registers = k_steps_registers(p);
  size_t numbers = 0;
  for (int reg = 0; reg < registers; reg++) {
    StepShape *s = &p->shape[reg];
    if (reg >= given) *s = made_shape(p, &p->instruction[reg - given], reg);
    if (s->rows < 1 || s->cols < 1 || s->rows > MOST_NUMBERS || s->cols > MOST_NUMBERS / s->rows)
      rwkv_fail("steps: register %d has %zu rows and %zu columns", reg, s->rows, s->cols);
    numbers += s->rows * s->cols;
  }
  if (numbers > MOST_NUMBERS) rwkv_fail("steps: %zu numbers a head, expected at most %d", numbers, MOST_NUMBERS);
  if (!is_line(shape_of(p, p->y, registers))) rwkv_fail("steps: the output is a matrix, expected a row");
  for (int i = 0; i < p->inputs; i++)
    if (p->input[i] < OF_TOKENS || p->input[i] > OF_ALL) rwkv_fail("steps: there is no kind of input %d", p->input[i]);
  for (int i = 0; i < p->states; i++) {
    StepShape after = shape_of(p, p->after[i], registers), before = p->shape[p->inputs + i];
    if (after.rows != before.rows || after.cols != before.cols)
      rwkv_fail("steps: state %d becomes [%zu,%zu], expected [%zu,%zu]", i, after.rows, after.cols, before.rows,
                before.cols);
  }
}

/* ---- the op ---- */

static void steps_backward(Node *nd)
{
  const Steps *f = nd->op;
  StepsBackward op = {.gy = node_flow(nd->out[0]), .gS1 = node_flow(nd->out[1]), .forward = *f};
  int inputs = f->program->inputs;
  for (int i = 0; i < inputs; i++) op.gin[i] = node_grad(nd, nd->in[i]);
  op.gS0 = node_grad(nd, nd->in[inputs]);
  run_steps_backward(&op);
}

Tensor *t_steps(Tape *tp, const StepProgram *program, Tensor *const *in, int T, Tensor **S)
{
  StepProgram *p = node_keep(tp, program, sizeof *program);
  check_program(p);
  int state = (int)k_steps_state(p), B = (*S)->shape[0], H = (*S)->shape[1], y_size = (int)k_steps_size(p, p->y);
  if ((*S)->axes != 3 || B < 1 || H < 1 || (*S)->shape[2] != state)
    rwkv_fail("steps: state is %s, expected [B,H,%d]", tensor_shape(*S), state);
  if (T < 1 || H > INT_MAX / y_size) rwkv_fail("steps: %d tokens, %d heads of %d numbers", T, H, y_size);
  Tensor *y = tape_tensor(tp, 3, (int[]){B, T, H * y_size}), *S1 = tape_tensor(tp, 3, (*S)->shape);
  Steps op = {.y = y->data, .S1 = S1->data, .S0 = (*S)->data, .program = p,
              .B = (size_t)B, .T = (size_t)T, .H = (size_t)H};
  Tensor *all[NODE_INPUTS + 2];
  for (int i = 0; i < p->inputs; i++) {
    size_t n = k_steps_held(&op, i);
    if (in[i]->n != n) rwkv_fail("steps: input %d is %s, expected %zu numbers", i, tensor_shape(in[i]), n);
    op.in[i] = in[i]->data, all[i] = in[i];
  }
  all[p->inputs] = *S, all[p->inputs + 1] = y, all[p->inputs + 2] = S1;
  Node *nd = node_new(tp, steps_backward, p->inputs + 1, all, 2, all + p->inputs + 1);
  if (nd) op.segments = node_numbers(tp, k_segments(op.T) * S1->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_steps(&op);
  *S = S1;
  return y;
}
