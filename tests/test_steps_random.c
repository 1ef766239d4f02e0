/* Random programs of steps against the same built from ops of the tape, gradients included and on both backends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "step_subject.h"

#include <stdio.h>
#include <string.h>

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
    Subject s = subject_new(&p, z, (uint64_t)i);
    snprintf(what, sizeof what, "random program %d", i);
    subject_compare(what, &s, subject_as_ops, 100 * VALUE_TOL);
    subject_free(&s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs)};
  return cmocka_run_group_tests_name("random programs of steps", tests, NULL, NULL);
}
