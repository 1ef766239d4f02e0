#include "step_programs.h"

#include "engine/tape.h"

#include <string.h>

static int given(StepProgram *p, int rows, int cols)
{
  int reg = p->inputs + p->states;
  p->shape[reg] = (StepShape){(size_t)rows, (size_t)cols};
  return reg;
}

int steps_input(StepProgram *p, StepInputKind kind, int rows, int cols)
{
  int reg = given(p, rows, cols);
  p->input[p->inputs++] = kind;
  return reg;
}

int steps_state(StepProgram *p, int rows, int cols)
{
  int reg = given(p, rows, cols);
  p->states++;
  return reg;
}

/* The shape as t_steps.c works it out. */
static int put(StepProgram *p, StepInstruction q)
{
  int reg = k_steps_registers(p);
  StepShape a = p->shape[q.a], b = p->shape[q.b], *s = &p->shape[reg];
  *s = a;
  if (q.kind == STEP_NUMBER) *s = (StepShape){1, 1};
  if (q.kind == STEP_BINARY) *s = (StepShape){a.rows > b.rows ? a.rows : b.rows, a.cols > b.cols ? a.cols : b.cols};
  if (q.kind == STEP_SUM) s->cols = 1;
  if (q.kind == STEP_SUM_DOWN) s->rows = 1;
  if (q.kind == STEP_TURN) *s = (StepShape){a.cols, a.rows};
  p->instruction[p->instructions++] = q;
  return reg;
}

static int put_full(StepProgram *p, const char *name, int a, int b, double scale, double offset)
{
  StepInstruction q = t_steps_instruction(name);
  q.a = a, q.b = b, q.scale = scale, q.offset = offset;
  return put(p, q);
}

int steps_do(StepProgram *p, const char *name, int a, int b) { return put_full(p, name, a, b, 1, 0); }
int steps_affine(StepProgram *p, int a, double scale, double offset)
{
  return put_full(p, "affine", a, 0, scale, offset);
}
int steps_number(StepProgram *p, double value) { return put_full(p, "number", 0, 0, 1, value); }
int steps_sum(StepProgram *p, const char *name, int a, double scale) { return put_full(p, name, a, 0, scale, 0); }

static int turn(StepProgram *p, int a) { return steps_do(p, "turn", a, 0); }
static int mul(StepProgram *p, int a, int b) { return steps_do(p, "mul", a, b); }
static int plus(StepProgram *p, int a, int b) { return steps_do(p, "add", a, b); }
static int f(StepProgram *p, const char *name, int a) { return steps_do(p, name, a, 0); }

/* As in lua/pages/hooks.md. Inputs in the order of their names. */
static void v7(StepProgram *p, int N)
{
  int in[6]; /* a b k r v w */
  for (int i = 0; i < 6; i++) in[i] = steps_input(p, OF_TOKENS, 1, N);
  int S = steps_state(p, N, N);
  int removed = steps_sum(p, "sum", mul(p, S, in[0]), 1);
  int kept = mul(p, S, f(p, "exp", in[5]));
  int S1 = plus(p, plus(p, kept, mul(p, removed, in[1])), mul(p, turn(p, in[4]), in[2]));
  p->y = turn(p, steps_sum(p, "sum", mul(p, S1, in[3]), 1));
  p->after[0] = S1;
}

static void v6(StepProgram *p, int N)
{
  int in[4]; /* k r v w */
  for (int i = 0; i < 4; i++) in[i] = steps_input(p, OF_TOKENS, 1, N);
  int u = steps_input(p, OF_HEADS, 1, N), S = steps_state(p, N, N);
  int kv = mul(p, turn(p, in[0]), in[2]);
  p->y = steps_sum(p, "sum_down", mul(p, turn(p, in[1]), plus(p, S, mul(p, turn(p, u), kv))), 1);
  p->after[0] = plus(p, mul(p, S, turn(p, f(p, "exp", in[3]))), kv);
}

static void v4(StepProgram *p, int N)
{
  int k = steps_input(p, OF_TOKENS, 1, N), v = steps_input(p, OF_TOKENS, 1, N);
  int u = steps_input(p, OF_HEADS, 1, N), w = steps_input(p, OF_HEADS, 1, N);
  int a = steps_state(p, 1, N), b = steps_state(p, 1, N), m = steps_state(p, 1, N);
  int bonus = plus(p, u, k), top = steps_do(p, "max", m, bonus);
  int past = f(p, "exp", steps_do(p, "sub", m, top)), now = f(p, "exp", steps_do(p, "sub", bonus, top));
  int above = plus(p, mul(p, past, a), mul(p, now, v)), below = plus(p, mul(p, past, b), now);
  int faded = plus(p, m, w);
  p->y = steps_do(p, "div", above, below);
  top = steps_do(p, "max", faded, k);
  past = f(p, "exp", steps_do(p, "sub", faded, top)), now = f(p, "exp", steps_do(p, "sub", k, top));
  p->after[0] = plus(p, mul(p, past, a), mul(p, now, v));
  p->after[1] = plus(p, mul(p, past, b), now);
  p->after[2] = top;
}

/* Twelve inputs and four states of all kinds and shapes, each instruction, sums both ways, what is summed used as a row
   and as a column, a state that becomes another, and one that stays. Numbers stay near 1: tanh bounds them. */
static void mixed(StepProgram *p, int N)
{
  int r = steps_input(p, OF_TOKENS, 1, N), k = steps_input(p, OF_TOKENS, N, 1), w = steps_input(p, OF_TOKENS, 1, N);
  int in3 = steps_input(p, OF_TOKENS, 1, 1), M = steps_input(p, OF_HEADS, N, N), h = steps_input(p, OF_HEADS, N, 1);
  int in6 = steps_input(p, OF_HEADS, 1, 1), all = steps_input(p, OF_ALL, N, N), in8 = steps_input(p, OF_ALL, 1, N);
  int in9 = steps_input(p, OF_ALL, 1, 1), in10 = steps_input(p, OF_TOKENS, N, N), in11 = steps_input(p, OF_HEADS, 1, N);
  int S = steps_state(p, N, N), z = steps_state(p, 1, N), c = steps_state(p, N, 1), n = steps_state(p, 1, 1);
  int decay = f(p, "sigmoid", plus(p, w, in11)), gate = f(p, "silu", mul(p, h, in3));
  int read = steps_sum(p, "sum", mul(p, S, r), 1.0 / N);           /* [N,1] */
  int down = steps_sum(p, "sum_down", mul(p, S, k), 1.0 / N);      /* [1,N] */
  int both = steps_do(p, "sub", mul(p, turn(p, read), in8), down); /* read as a row: all rows are there */
  int write = f(p, "tanh", plus(p, mul(p, turn(p, both), r), mul(p, k, f(p, "relu", both))));
  int mean = steps_sum(p, "sum_down", steps_sum(p, "sum", mul(p, write, M), 1.0 / N), 1.0 / N); /* a number */
  int S1 = plus(p, mul(p, S, decay), steps_do(p, "sub", mul(p, write, gate), steps_affine(p, in10, 0.1, 0.01)));
  S1 = steps_do(p, "min", S1, steps_do(p, "max", steps_affine(p, mul(p, all, in6), 1, 0.1), steps_number(p, -0.5)));
  int size = steps_do(p, "div", f(p, "abs", mean), plus(p, f(p, "square", in9), steps_number(p, 1)));
  int root = f(p, "sqrt", steps_affine(p, f(p, "square", size), 1, 1)), log = f(p, "log", root);
  int wave = plus(p, f(p, "sin", z), f(p, "cos", mul(p, z, f(p, "exp", f(p, "neg", log)))));
  int soft = plus(p, f(p, "softplus", c), plus(p, f(p, "mish", k), f(p, "relu2", gate)));
  p->y = steps_do(p, "sub", plus(p, mul(p, wave, n), both), turn(p, steps_do(p, "div", soft, root)));
  p->after[0] = S1;
  p->after[1] = turn(p, read);
  p->after[2] = c;
  p->after[3] = plus(p, steps_affine(p, n, 0.5, 0), size);
}

/* Nothing is made: what comes out is the state before, which the token then replaces. */
static void small(StepProgram *p, int N)
{
  p->after[0] = steps_input(p, OF_TOKENS, 1, N);
  p->y = steps_state(p, 1, N);
}

/* An operand of the token is part of the output, as it came, and becomes a state: who reads it reads on when the next
   token's is there. */
static void carried(StepProgram *p, int N)
{
  int k = steps_input(p, OF_TOKENS, 1, N), v = steps_input(p, OF_TOKENS, 1, N);
  int S = steps_state(p, N, N), before = steps_state(p, 1, N);
  p->after[0] = plus(p, S, mul(p, turn(p, v), before));
  p->after[1] = k;
  p->y = plus(p, steps_sum(p, "sum_down", p->after[0], 1), k);
}

const StepProgram *step_program(StepProgramName name, int N)
{
  static void (*const write[STEP_PROGRAMS])(StepProgram *, int) = {v7, v6, v4, mixed, small, carried};
  enum { KEPT = 64 };
  static StepProgram kept[KEPT];
  static struct {
    StepProgramName name;
    int N;
  } is[KEPT];
  static int count;
  for (int i = 0; i < count; i++)
    if (is[i].name == name && is[i].N == N) return &kept[i];
  int i = count++ % KEPT;
  memset(&kept[i], 0, sizeof kept[i]);
  is[i].name = name, is[i].N = N;
  write[name](&kept[i], N);
  return &kept[i];
}
