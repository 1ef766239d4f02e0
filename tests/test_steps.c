/* Recurrences that are programs: those of v4, v6 and v7 against the built-in ones, every instruction against the
   same built from ops of the tape, gradients included and on both backends; cut anywhere; and what is refused.
   Random programs are in test_steps_random.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "step_subject.h"

#include <string.h>

#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

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
      Subject s = subject_new(step_program(cases[c].program, sizes[i].N), sizes[i], i);
      with_sign(s.in[cases[c].decay], -1);
      if (cases[c].program == STEPS_V4) with_sign(s.S, 1);
      subject_compare(cases[c].name, &s, cases[c].own, 100 * VALUE_TOL);
      subject_free(&s);
    }
}

static void every_instruction(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (StepProgramName name = 0; name < STEP_PROGRAMS; name++) {
      Subject s = subject_new(step_program(name, sizes[i].N), sizes[i], i);
      subject_compare("every instruction", &s, subject_as_ops, 1000 * VALUE_TOL); /* 33 tokens through tanh and log */
      subject_free(&s);
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
    Subject s = subject_new(step_program(name, 3), (Sizes){2, 35, 2, 3}, 5);
    subject_run(subject_as_steps, &s, &whole);
    for (cut_at = 1; cut_at < s.z.T; cut_at++) {
      subject_run(in_two, &s, &two);
      size_t values = (size_t)(s.z.B * s.z.T * s.z.H * s.z.N) + s.S->n;
      assert_memory_equal(two.number, whole.number, values * sizeof(real));
      check_close("gradients of a cut", two.number, whole.number, whole.n, 10 * VALUE_TOL);
    }
    subject_free(&s);
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
  Subject s = subject_new(step_program(STEPS_V7, 3), (Sizes){2, 5, 2, 3}, 1);
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
  subject_free(&s);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_built_in_ones),
      cmocka_unit_test(every_instruction),
      cmocka_unit_test(a_sequence_may_be_cut_anywhere),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
