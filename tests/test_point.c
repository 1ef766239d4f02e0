/* Pointwise ops of one operand, affine maps, mixes: values against formulas written down again here, and gradients
   against finite differences. Of operands that broadcast: test_broadcast.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>

/* ---- unary ---- */

static double again(UnaryKind kind, double x)
{
  double e = exp(x), e2 = (1 + e) * (1 + e);
  switch (kind) {
  case U_NEG: return 0 - x;
  case U_EXP: return 1 / exp(-x);
  case U_LOG: return log2(x) * log(2);
  case U_SQRT: return pow(x, 0.5);
  case U_SQUARE: return pow(x, 2);
  case U_ABS: return x < 0 ? -x : x;
  case U_TANH: return (e * e - 1) / (e * e + 1);
  case U_SIGMOID: return e / (1 + e);
  case U_SILU: return x * e / (1 + e);
  case U_RELU: return x < 0 ? 0 : x;
  case U_RELU2: return x < 0 ? 0 : x * x;
  case U_SOFTPLUS: return log(1 + e);
  case U_MISH: return x * (e2 - 1) / (e2 + 1);
  case U_SIN: return cos(x - 1.5707963267948966);
  case U_COS: return 1 - 2 * sin(x / 2) * sin(x / 2);
  case UNARY_COUNT: break;
  }
  return NAN;
}

static Tensor *run_unary(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_unary(tp, (UnaryKind)c->arg[0], leaf[0]);
}

static void want_unary(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) y[i] = again((UnaryKind)c->arg[0], x[0][i]);
}

static void unary_ops(void **state)
{
  (void)state;
  static const Shape shapes[] = {SHAPE(2, 3, 5), SHAPE(17), SHAPE(1), SCALAR, SHAPE(1, 3, 1, 2)};
  for (int kind = 0; kind < UNARY_COUNT; kind++)
    for (size_t s = 0; s < COUNT_OF(shapes); s++)
      check_op(
          &(OpCase){k_unary_functions[kind].name, run_unary, want_unary, fill_around_zero, 1, {shapes[s]}, {kind}});
}

static void unary_ops_at_extremes(void **state)
{
  (void)state;
  static const struct {
    UnaryKind kind;
    double x, y, slope;
  } points[] = {
      {U_SIGMOID, 1000, 1, 0},
      {U_SIGMOID, -1000, 0, 0},
      {U_TANH, 1000, 1, 0},
      {U_TANH, -1000, -1, 0},
      {U_SILU, 1000, 1000, 1},
      {U_SILU, -1000, 0, 0},
      {U_SOFTPLUS, 1000, 1000, 1},
      {U_SOFTPLUS, -1000, 0, 0},
      {U_MISH, 1000, 1000, 1},
      {U_MISH, -1000, 0, 0},
      {U_EXP, -1000, 0, 0},
      {U_RELU, -1e30, 0, 0},
      {U_RELU, 1e30, 1e30, 1},
      {U_RELU2, 1e15, 1e30, 2e15},
      {U_RELU2, 0, 0, 0},
      {U_SOFTPLUS, 0, 0.6931471805599453, 0.5},
      {U_SILU, 0, 0, 0.5},
      {U_MISH, 0, 0, 0.6},
      {U_LOG, 1e30, 69.07755278982137, 1e-30},
  };
  for (size_t i = 0; i < COUNT_OF(points); i++) {
    Tape *tp = tape_new();
    Tensor *x = new_leaf(0, NULL, true);
    x->data[0] = (real)points[i].x;
    Tensor *y = t_unary(tp, points[i].kind, x);
    tape_backward(tp, y);
    check_tensor(k_unary_functions[points[i].kind].name, y, &points[i].y, VALUE_TOL);
    check_number(k_unary_functions[points[i].kind].name, (double)x->grad[0], points[i].slope, VALUE_TOL);
    tensor_free(x);
    tape_free(tp);
  }
}

/* A NaN that an op swallows is found far from where it arose, or never. */
static void unary_ops_pass_nan_on(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = tape_zeros(tp, 1, (int[]){1});
  x->data[0] = (real)NAN;
  for (int kind = 0; kind < UNARY_COUNT; kind++)
    if (!isnan(t_unary(tp, (UnaryKind)kind, x)->data[0])) fail_msg("%s swallows a NaN", k_unary_functions[kind].name);
  tape_free(tp);
}

/* ---- clamp ---- */

static Tensor *run_clamp(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_clamp(tp, leaf[0], c->number[0], c->number[1]);
}

static void want_clamp(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) y[i] = fmin(fmax(x[0][i], c->number[0]), c->number[1]);
}

static void clamp(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"clamp, some inside", run_clamp, want_clamp, fill_combs, 1, {SHAPE(3, 17)}, .number = {-1.12, 0.63}},
      {"clamp, all inside", run_clamp, want_clamp, fill_combs, 1, {SHAPE(2, 3, 5)}, .number = {-60, 30}},
      {"clamp, all below", run_clamp, want_clamp, fill_combs, 1, {SHAPE(17)}, .number = {10, 20}},
      {"clamp, all above", run_clamp, want_clamp, fill_combs, 1, {SHAPE(17)}, .number = {-20, -10}},
      {"clamp a scalar", run_clamp, want_clamp, fill_combs, 1, {SCALAR}, .number = {-60, 30}},
  };
  check_all(cases, COUNT_OF(cases));
}

static void clamp_lets_gradient_through_inside_only(void **state)
{
  (void)state;
  static const double x[] = {-3, -2, -1, 0, 1, 2}, gradient[] = {0, 1, 1, 1, 1, 0};
  Tape *tp = tape_new();
  Tensor *leaf = new_leaf(1, (int[]){COUNT_OF(x)}, true);
  for (size_t i = 0; i < COUNT_OF(x); i++) leaf->data[i] = (real)x[i];
  tape_backward(tp, t_sum_all(tp, t_clamp(tp, leaf, -2, 1))); /* both ends count as inside */
  for (size_t i = 0; i < COUNT_OF(x); i++) check_number("gradient of clamp", (double)leaf->grad[i], gradient[i], 0);
  leaf->data[0] = (real)NAN;
  assert_true(isnan(t_clamp(tp, leaf, -2, 1)->data[0]));
  tensor_free(leaf);
  tape_free(tp);
}

/* ---- affine, lerp ---- */

static Tensor *run_affine(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_affine(tp, leaf[0], c->number[0], c->number[1]);
}

static void want_affine(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) y[i] = c->number[1] + x[0][i] * c->number[0];
}

static Tensor *run_lerp(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return (void)c, t_lerp(tp, leaf[0], leaf[1], leaf[2]);
}

static void want_lerp(double *y, double *const *x, const OpCase *c)
{
  size_t period = count_of(&c->leaf[2]);
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) {
    double mu = x[2][i % period];
    y[i] = (1 - mu) * x[0][i] + mu * x[1][i];
  }
}

static Tensor *run_lerp_same(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return (void)c, t_lerp(tp, leaf[0], leaf[0], leaf[1]);
}

static void affine_and_lerp(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"affine", run_affine, want_affine, NULL, 1, {SHAPE(2, 3, 5)}, .number = {-1.5, 0.25}},
      {"affine of a scalar", run_affine, want_affine, NULL, 1, {SCALAR}, .number = {3, -1}},
      {"affine by 0", run_affine, want_affine, NULL, 1, {SHAPE(17)}, .number = {0, 2}},
      {"lerp by channel", run_lerp, want_lerp, NULL, 3, {SHAPE(2, 3, 5), SHAPE(2, 3, 5), SHAPE(5)}},
      {"lerp by [1,1,C]", run_lerp, want_lerp, NULL, 3, {SHAPE(2, 3, 5), SHAPE(2, 3, 5), SHAPE(1, 1, 5)}},
      {"lerp by element", run_lerp, want_lerp, NULL, 3, {SHAPE(2, 3, 5), SHAPE(2, 3, 5), SHAPE(2, 3, 5)}},
      {"lerp of a row", run_lerp, want_lerp, NULL, 3, {SHAPE(17), SHAPE(17), SHAPE(17)}},
      {"lerp, C = 1", run_lerp, want_lerp, NULL, 3, {SHAPE(3, 2, 1), SHAPE(3, 2, 1), SHAPE(1)}},
      {"lerp of scalars", run_lerp, want_lerp, NULL, 3, {SCALAR, SCALAR, SCALAR}},
      {"lerp of the same", run_lerp_same, want_first, NULL, 2, {SHAPE(4, 5), SHAPE(5)}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"lerp: x [2,3] and p [3] differ", {.run = run_lerp, .leaves = 3, .leaf = {SHAPE(2, 3), SHAPE(3), SHAPE(3)}}},
      {"lerp: mu [2] fits neither the last axis of x [2,3] nor all of it",
       {.run = run_lerp, .leaves = 3, .leaf = {SHAPE(2, 3), SHAPE(2, 3), SHAPE(2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_ops),
      cmocka_unit_test(unary_ops_at_extremes),
      cmocka_unit_test(unary_ops_pass_nan_on),
      cmocka_unit_test(clamp),
      cmocka_unit_test(clamp_lets_gradient_through_inside_only),
      cmocka_unit_test(affine_and_lerp),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("point", tests, NULL, NULL);
}
