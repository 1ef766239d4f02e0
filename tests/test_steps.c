/* Recurrences that are programs: those of v4, v6 and v7 against the built-in ones, random programs against the same
   built from ops of the tape, gradients included and on both backends; cut anywhere; and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/backend.h"
#include "engine/err.h"
#include "fast/fast.h"
#include "step_programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int B, T, H, N;
} Sizes;

#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* ---- what comes of a run: the output, the states after, the gradients by all leaves; one after the other ---- */

enum { MOST = 1 << 16 };
typedef struct {
  real number[MOST];
  size_t n;
} Result;

static void keep(Result *r, const Tensor *t, bool grad)
{
  assert_true(r->n + t->n <= MOST);
  if (grad) tensor_read_grad(t, 0, t->n, r->number + r->n);
  else tensor_read(t, 0, t->n, r->number + r->n);
  r->n += t->n;
}

typedef struct {
  const StepProgram *p;
  Sizes z;
  Tensor *in[STEP_INPUTS], *S; /* leaves */
} Subject;

/* y [B,T,A] of a subject, and the state after it */
typedef Tensor *Run(Tape *tp, const Subject *s, Tensor **S);

/* The loss is a sum of y and of the states, each number with a weight of its own. */
static void run(Run *f, Subject *s, Result *r)
{
  Tape *tp = tape_new();
  Tensor *S = s->S, *y = f(tp, s, &S), *parts[] = {y, S}, *loss = NULL;
  Rng rng = rng_new(9, 1);
  r->n = 0;
  for (int i = 0; i < 2; i++) {
    Tensor *flat = t_reshape(tp, parts[i], 1, (int[]){-1}), *weight = random_leaf(1, flat->shape, &rng, 1, false);
    tape_dispose(tp, weight);
    keep(r, parts[i], false);
    Tensor *sum = t_sum_all(tp, t_mul(tp, flat, weight));
    loss = loss ? t_add(tp, loss, sum) : sum;
  }
  zero_grads(s->in, s->p->inputs), zero_grads(&s->S, 1);
  tape_backward(tp, loss);
  for (int i = 0; i < s->p->inputs; i++) keep(r, s->in[i], true);
  keep(r, s->S, true);
  tape_free(tp);
}

static Tensor *as_steps(Tape *tp, const Subject *s, Tensor **S) { return t_steps(tp, s->p, s->in, s->z.T, S); }

/* ---- the same from ops of the tape ---- */

/* A register as [B or 1,H or 1,rows,cols]. */
static Tensor *in_heads(Tape *tp, const Subject *s, int input, int t)
{
  const StepProgram *p = s->p;
  int rows = (int)p->shape[input].rows, cols = (int)p->shape[input].cols;
  Tensor *x = s->in[input];
  if (p->input[input] == OF_ALL) return t_reshape(tp, x, 4, (int[]){1, 1, rows, cols});
  if (p->input[input] == OF_HEADS) return t_reshape(tp, x, 4, (int[]){1, s->z.H, rows, cols});
  x = t_reshape(tp, x, 3, (int[]){s->z.B, s->z.T, -1});
  return t_reshape(tp, t_slice(tp, x, 1, t, 1), 4, (int[]){s->z.B, s->z.H, rows, cols});
}

static Tensor *made(Tape *tp, const StepInstruction *q, Tensor *const *x)
{
  switch (q->kind) {
  case STEP_NUMBER: return t_reshape(tp, tape_number(tp, q->offset), 4, (int[]){1, 1, 1, 1});
  case STEP_UNARY: return t_unary(tp, (UnaryKind)q->which, x[q->a]);
  case STEP_BINARY: return t_binary(tp, (BinaryKind)q->which, x[q->a], x[q->b]);
  case STEP_AFFINE: return t_affine(tp, x[q->a], q->scale, q->offset);
  case STEP_TURN: return t_transpose(tp, x[q->a], 2, 3);
  default: return t_affine(tp, t_sum(tp, x[q->a], q->kind == STEP_SUM ? 3 : 2, true), q->scale, 0);
  }
}

/* In full: a register may be the same for all heads or sequences. */
static Tensor *spread(Tape *tp, const Subject *s, Tensor *x, int reg)
{
  Tensor *zeros = tape_zeros(tp, 4, (int[]){s->z.B, s->z.H, 1, 1});
  return t_reshape(tp, t_add(tp, x, zeros), 3, (int[]){s->z.B, s->z.H, (int)k_steps_size(s->p, reg)});
}

static Tensor *as_ops(Tape *tp, const Subject *s, Tensor **S)
{
  const StepProgram *p = s->p;
  Tensor *x[STEP_REGISTERS], *y[64], *state[STEP_STATES];
  for (int t = 0; t < s->z.T; t++) {
    for (int i = 0; i < p->inputs; i++) x[i] = in_heads(tp, s, i, t);
    for (int i = 0, from = 0; i < p->states; i++) {
      int reg = p->inputs + i, n = (int)k_steps_size(p, reg);
      x[reg] = t_reshape(tp, t_slice(tp, *S, 2, from, n), 4,
                         (int[]){s->z.B, s->z.H, (int)p->shape[reg].rows, (int)p->shape[reg].cols});
      from += n;
    }
    for (int i = 0; i < p->instructions; i++) x[p->inputs + p->states + i] = made(tp, &p->instruction[i], x);
    y[t] = t_reshape(tp, spread(tp, s, x[p->y], p->y), 3, (int[]){s->z.B, 1, -1});
    for (int i = 0; i < p->states; i++) state[i] = spread(tp, s, x[p->after[i]], p->after[i]);
    *S = t_concat(tp, state, p->states, 2);
  }
  return t_concat(tp, y, s->z.T, 1);
}

/* ---- the built-in ones; inputs in the order of step_programs.c ---- */

static Tensor *flat(Tape *tp, const Subject *s, int i)
{
  return t_reshape(tp, s->in[i], 3, (int[]){s->z.B, s->z.T, s->z.H * s->z.N});
}

static Tensor *own_v7(Tape *tp, const Subject *s, Tensor **S)
{
  Tensor *x[6], *state = t_reshape(tp, *S, 4, (int[]){s->z.B, s->z.H, s->z.N, s->z.N});
  for (int i = 0; i < 6; i++) x[i] = flat(tp, s, i);
  Tensor *y = t_wkv7(tp, x[3], x[5], x[2], x[4], x[0], x[1], &state);
  *S = state;
  return y;
}

static Tensor *own_v6(Tape *tp, const Subject *s, Tensor **S)
{
  Tensor *x[4], *state = t_reshape(tp, *S, 4, (int[]){s->z.B, s->z.H, s->z.N, s->z.N});
  for (int i = 0; i < 4; i++) x[i] = flat(tp, s, i);
  Tensor *y = t_wkv6(tp, x[1], x[3], x[0], x[2], s->in[4], &state);
  *S = state;
  return y;
}

static Tensor *own_v4(Tape *tp, const Subject *s, Tensor **S)
{
  Tensor *state[3];
  int A[1] = {s->z.H * s->z.N};
  for (int i = 0; i < 3; i++)
    state[i] = t_reshape(tp, t_slice(tp, *S, 2, i * s->z.N, s->z.N), 2, (int[]){s->z.B, A[0]});
  Tensor *y = t_wkv4(tp, t_reshape(tp, s->in[3], 1, A), t_reshape(tp, s->in[2], 1, A), flat(tp, s, 0), flat(tp, s, 1),
                     &state[0], &state[1], &state[2]);
  for (int i = 0; i < 3; i++) state[i] = t_reshape(tp, state[i], 3, (int[]){s->z.B, s->z.H, s->z.N});
  *S = t_concat(tp, state, 3, 2);
  return y;
}

/* ---- subjects ---- */

static Subject subject(const StepProgram *p, Sizes z, uint64_t seed)
{
  Subject s = {.p = p, .z = z};
  Rng rng = rng_new(seed, 0);
  for (int i = 0; i < p->inputs; i++) {
    int n = (int)k_steps_size(p, i), many[] = {z.B * z.T * z.H * n, z.H * n, n};
    s.in[i] = random_leaf(1, &many[p->input[i]], &rng, 0.5, true);
  }
  s.S = random_leaf(3, (int[]){z.B, z.H, (int)k_steps_state(p)}, &rng, 0.5, true);
  return s;
}

/* What must not be above 0, or below. */
static void with_sign(Tensor *t, double sign)
{
  for (size_t i = 0; i < t->n; i++) {
    real x;
    tensor_read(t, i, 1, &x);
    if (((double)x < 0) == (sign > 0)) x = -x;
    tensor_write(t, i, 1, &x);
  }
}

static void free_subject(Subject *s)
{
  free_leaves(s->in, s->p->inputs);
  tensor_free(s->S);
}

/* The program, on the reference and on the fast backend, against g on the reference, gradients included. */
static void compare_all(const char *what, Subject *s, Run *g, double tol)
{
  static Result reference, fast, want;
  run(g, s, &want);
  run(as_steps, s, &reference);
  check_close(what, reference.number, want.number, want.n, tol);
  backend_use(&backend_fast);
  run(as_steps, s, &fast);
  backend_use(&backend_reference);
  check_close(what, fast.number, want.number, want.n, tol);
}

static const Sizes sizes[] = {{1, 1, 1, 1}, {2, 5, 2, 3}, {1, 17, 3, 4}, {2, 33, 1, 8}, {1, 18, 1, 17}};

static void the_built_in_ones(void **state)
{
  static const struct {
    const char *name;
    StepProgramName program;
    Run *own;
    int decay;
  } cases[] = {{"v7", STEPS_V7, own_v7, 5}, {"v6", STEPS_V6, own_v6, 3}, {"v4", STEPS_V4, own_v4, 3}};
  (void)state;
  for (size_t c = 0; c < COUNT_OF(cases); c++)
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
      Subject s = subject(step_program(cases[c].program, sizes[i].N), sizes[i], i);
      with_sign(s.in[cases[c].decay], -1);
      if (cases[c].program == STEPS_V4) with_sign(s.S, 1);
      compare_all(cases[c].name, &s, cases[c].own, 100 * VALUE_TOL);
      free_subject(&s);
    }
}

static void every_instruction(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (StepProgramName name = 0; name < STEP_PROGRAMS; name++) {
      Subject s = subject(step_program(name, sizes[i].N), sizes[i], i);
      compare_all("every instruction", &s, as_ops, 1000 * VALUE_TOL); /* 33 tokens through tanh and log */
      free_subject(&s);
    }
}

/* ---- random programs ---- */

static int pick(Rng *rng, int below) { return (int)rng_below(rng, (uint64_t)below); }

/* A register that can be had of any other is bounded by tanh now and then, so that nothing grows without end. */
static int random_instruction(StepProgram *p, Rng *rng)
{
  static const char *const pointwise[] = {"neg", "tanh", "sigmoid", "silu", "square", "tanh", "exp", "softplus"};
  static const char *const binary[] = {"add", "sub", "mul", "mul", "mul", "add", "max", "min"};
  int registers = k_steps_registers(p), a = pick(rng, registers), b = pick(rng, registers);
  StepShape sa = p->shape[a], sb = p->shape[b];
  switch (pick(rng, 8)) {
  case 0: {
    const char *name = pointwise[pick(rng, 8)];
    if (strcmp(name, "exp") == 0 || strcmp(name, "square") == 0) a = steps_do(p, "tanh", a, 0);
    return steps_do(p, name, a, 0);
  }
  case 1: return steps_affine(p, a, 0.7, pick(rng, 2) ? 0.1 : 0);
  case 2: return steps_sum(p, "sum", a, 1.0 / (double)sa.cols);
  case 3: return steps_sum(p, "sum_down", a, 1.0 / (double)sa.rows);
  case 4: return sa.rows == 1 || sa.cols == 1 ? steps_do(p, "turn", a, 0) : steps_do(p, "tanh", a, 0);
  default:
    if ((sa.rows != sb.rows && sa.rows != 1 && sb.rows != 1) || (sa.cols != sb.cols && sa.cols != 1 && sb.cols != 1))
      return steps_do(p, "tanh", a, 0);
    return steps_do(p, binary[pick(rng, 8)], a, b);
  }
}

/* Some register as one of this shape, bounded. */
static int fitted(StepProgram *p, Rng *rng, int rows, int cols)
{
  int a = pick(rng, k_steps_registers(p));
  if (p->shape[a].rows != (size_t)rows && p->shape[a].rows > 1) a = steps_sum(p, "sum_down", a, 0.3);
  if (p->shape[a].cols != (size_t)cols && p->shape[a].cols > 1) a = steps_sum(p, "sum", a, 0.3);
  for (int i = 0; i < k_steps_registers(p); i++) /* something of the shape, to be spread to */
    if (p->shape[i].rows == (size_t)rows && p->shape[i].cols == (size_t)cols)
      return steps_do(p, "tanh", steps_do(p, "add", a, i), 0);
  return a;
}

static void random_program(StepProgram *p, int N, uint64_t seed)
{
  Rng rng = rng_new(seed, 3);
  int rows = pick(&rng, 3) ? N : N + 2, made = 1 + pick(&rng, 14);
  memset(p, 0, sizeof *p);
  for (int i = 0; i < 3; i++) steps_input(p, OF_TOKENS, 1, N);
  steps_input(p, OF_TOKENS, rows, 1);
  if (pick(&rng, 2)) steps_input(p, OF_HEADS, 1, N);
  if (pick(&rng, 2)) steps_input(p, OF_ALL, rows, 1);
  steps_state(p, rows, N);
  bool second = pick(&rng, 2);
  if (second) steps_state(p, 1, N);
  for (int i = 0; i < made; i++) random_instruction(p, &rng);
  p->after[0] = fitted(p, &rng, rows, N);
  if (second) p->after[1] = fitted(p, &rng, 1, N);
  p->y = fitted(p, &rng, 1, N);
}

static void random_programs(void **state)
{
  static StepProgram p;
  (void)state;
  for (int i = 0; i < 400; i++) {
    static const int heads[] = {1, 3, 4, 8, 18};
    char what[40];
    Sizes z = {1 + i % 2, 1 + i % 19, 1 + i % 3, heads[i % 5]};
    random_program(&p, z.N, (uint64_t)i);
    Subject s = subject(&p, z, (uint64_t)i);
    snprintf(what, sizeof what, "random program %d", i);
    compare_all(what, &s, as_ops, 100 * VALUE_TOL);
    free_subject(&s);
  }
}

/* ---- cut anywhere, bit for bit ---- */

static int cut_at;

static Tensor *in_two(Tape *tp, const Subject *s, Tensor **S)
{
  Tensor *y[2];
  for (int k = 0; k < 2; k++) {
    Subject part = *s;
    int from = k ? cut_at : 0, count = k ? s->z.T - cut_at : cut_at;
    for (int i = 0; i < s->p->inputs; i++)
      if (s->p->input[i] == OF_TOKENS)
        part.in[i] = t_slice(tp, t_reshape(tp, s->in[i], 3, (int[]){s->z.B, s->z.T, -1}), 1, from, count);
    y[k] = t_steps(tp, s->p, part.in, count, S);
  }
  return t_concat(tp, y, 2, 1);
}

static void a_sequence_may_be_cut_anywhere(void **state)
{
  static Result whole, two;
  (void)state;
  for (StepProgramName name = 0; name < STEP_PROGRAMS; name++) {
    Subject s = subject(step_program(name, 3), (Sizes){2, 35, 2, 3}, 5);
    run(as_steps, &s, &whole);
    for (cut_at = 1; cut_at < s.z.T; cut_at++) {
      run(in_two, &s, &two);
      size_t values = (size_t)(s.z.B * s.z.T * s.z.H * s.z.N) + s.S->n;
      assert_memory_equal(two.number, whole.number, values * sizeof(real));
      check_close("gradients of a cut", two.number, whole.number, whole.n, 10 * VALUE_TOL);
    }
    free_subject(&s);
  }
}

/* ---- what is refused ---- */

static StepProgram wrong;

static Tape *tape;

static void try_wrong(void *arg)
{
  Subject *s = arg;
  Tensor *S = s->S;
  t_steps(tape, &wrong, s->in, s->z.T, &S);
}

#define REFUSED(text, ...)               \
  do {                                   \
    wrong = *s.p;                        \
    __VA_ARGS__;                         \
    expect_failure(try_wrong, &s, text); \
  } while (0)

static void refused(void **state)
{
  (void)state;
  Subject s = subject(step_program(STEPS_V7, 3), (Sizes){2, 5, 2, 3}, 1);
  tape = tape_new();
  REFUSED("steps: 13 inputs, expected 0 to 12", wrong.inputs = 13);
  REFUSED("steps: -1 instructions, expected 0 to 128", wrong.instructions = -1);
  REFUSED("steps: 0 states, expected 1 to 8", wrong.states = 0);
  REFUSED("steps: register 7, expected 0 to 6", wrong.instruction[0].a = 7);
  REFUSED("steps: register -1, expected 0 to", wrong.instruction[0].b = -1);
  REFUSED("steps: there is no function 99", wrong.instruction[0].which = 99);
  REFUSED("steps: there is no instruction of kind 50", wrong.instruction[0].kind = (StepKind)50);
  REFUSED("steps: register 0 has 0 rows and 3 columns", wrong.shape[0].rows = 0);
  REFUSED("steps: register 0 has 2 rows and 576460752303423488 columns",
          wrong.shape[0] = ((StepShape){2, SIZE_MAX / 32 + 1}));
  REFUSED("steps: 3 and 4 columns do not fit", wrong.shape[0].cols = 4);
  REFUSED("steps: input 1 is [60], expected 20 numbers", wrong.shape[1].cols = 1);
  REFUSED("steps: there is no kind of input 3", wrong.input[2] = (StepInputKind)3);
  REFUSED("steps: register 200, expected", wrong.y = 200);
  REFUSED("steps: the output is a matrix", wrong.y = wrong.after[0]);
  REFUSED("steps: state 0 becomes [1,3], expected [3,3]", wrong.after[0] = 0);
  REFUSED("steps: a matrix of 3 rows and 3 columns cannot be turned",
          wrong.instruction[1] = ((StepInstruction){.kind = STEP_TURN, .a = 6}));
  tape_free(tape);
  free_subject(&s);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_built_in_ones), cmocka_unit_test(every_instruction),
      cmocka_unit_test(random_programs),   cmocka_unit_test(a_sequence_may_be_cut_anywhere),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
