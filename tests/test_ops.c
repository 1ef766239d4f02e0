/* Every tape op but those along time (test_wkv.c): values against formulas written down again here, and
   gradients against finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_all(const OpCase *cases, size_t n)
{
  for (size_t i = 0; i < n; i++)
    check_op(&cases[i]);
}

/* ---- unary ---- */

static double again(UnaryKind kind, double x)
{
  double e = exp(x), e2 = (1 + e) * (1 + e);
  switch (kind) {
  case U_NEG:
    return 0 - x;
  case U_EXP:
    return 1 / exp(-x);
  case U_LOG:
    return log2(x) * log(2);
  case U_SQRT:
    return pow(x, 0.5);
  case U_SQUARE:
    return pow(x, 2);
  case U_ABS:
    return x < 0 ? -x : x;
  case U_TANH:
    return (e * e - 1) / (e * e + 1);
  case U_SIGMOID:
    return e / (1 + e);
  case U_SILU:
    return x * e / (1 + e);
  case U_RELU:
    return x < 0 ? 0 : x;
  case U_RELU2:
    return x < 0 ? 0 : x * x;
  case U_SOFTPLUS:
    return log(1 + e);
  case U_MISH:
    return x * (e2 - 1) / (e2 + 1);
  case U_SIN:
    return cos(x - 1.5707963267948966);
  case U_COS:
    return 1 - 2 * sin(x / 2) * sin(x / 2);
  case UNARY_COUNT:
    break;
  }
  return NAN;
}

static Tensor *run_unary(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_unary(tp, (UnaryKind)c->arg[0], leaf[0]);
}

static void want_unary(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++)
    y[i] = again((UnaryKind)c->arg[0], x[0][i]);
}

/* Both signs, but not within 0.2 of the kinks at 0. */
static void fill_around_zero(Tensor **leaf, const OpCase *c, Rng *rng)
{
  bool positive = c->arg[0] == U_LOG || c->arg[0] == U_SQRT;
  for (size_t i = 0; i < leaf[0]->n; i++) {
    double x = 0.2 + 2.5 * rng_uniform(rng);
    leaf[0]->data[i] = (real)(positive || i % 2 ? x : -x);
  }
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
    if (!isnan(t_unary(tp, (UnaryKind)kind, x)->data[0]))
      fail_msg("%s swallows a NaN", k_unary_functions[kind].name);
  tape_free(tp);
}

static void binary_ops_pass_nan_on(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = tape_zeros(tp, 1, (int[]){1}), *one = tape_zeros(tp, 1, (int[]){1});
  x->data[0] = (real)NAN;
  one->data[0] = 1;
  for (int kind = 0; kind < BINARY_COUNT; kind++) {
    bool first = isnan(t_binary(tp, (BinaryKind)kind, x, one)->data[0]);
    bool second = isnan(t_binary(tp, (BinaryKind)kind, one, x)->data[0]);
    if (!first || !second)
      fail_msg("%s swallows a NaN in its %s operand", k_binary_functions[kind].name, first ? "second" : "first");
  }
  tape_free(tp);
}

/* ---- binary ---- */

static const Shape pairs[][2] = {
    {SHAPE(2, 3, 5), SHAPE(2, 3, 5)},
    {SHAPE(2, 3, 5), SHAPE(5)},
    {SHAPE(5), SHAPE(2, 3, 5)},
    {SHAPE(2, 3, 5), SHAPE(1, 1, 5)},
    {SHAPE(2, 3, 4, 1), SHAPE(2, 3, 4, 5)},
    {SHAPE(2, 3, 4, 5), SHAPE(2, 1, 4, 1)},
    {SHAPE(2, 3, 5), SCALAR},
    {SHAPE(2, 3, 5), SHAPE(1)},
    {SCALAR, SHAPE(3)},
    {SCALAR, SCALAR},
    {SHAPE(1), SHAPE(1, 1)},
    {SHAPE(3, 1), SHAPE(1, 4)},
    {SHAPE(2, 1, 5), SHAPE(1, 3, 5)},
    {SHAPE(2, 3, 1, 5), SHAPE(4, 1)},
    {SHAPE(1, 3, 1, 5), SHAPE(2, 1, 4, 1)},
    {SHAPE(3, 5), SHAPE(2, 1, 3, 1)},
    {SHAPE(17), SHAPE(17)},
    {SHAPE(17, 1), SHAPE(17)},
};

static double combine(BinaryKind kind, double a, double b)
{
  switch (kind) {
  case B_ADD:
    return a + b;
  case B_SUB:
    return a - b;
  case B_MUL:
    return a * b;
  case B_DIV:
    return a * (1 / b);
  case B_MAX:
    return a > b ? a : b;
  case B_MIN:
    return a < b ? a : b;
  case BINARY_COUNT:
    break;
  }
  return NAN;
}

static Shape broadcast_of(const Shape *a, const Shape *b)
{
  Shape y = a->axes > b->axes ? *a : *b;
  for (int d = 1; d <= y.axes; d++) {
    int na = d <= a->axes ? a->shape[a->axes - d] : 1, nb = d <= b->axes ? b->shape[b->axes - d] : 1;
    y.shape[y.axes - d] = na > nb ? na : nb;
  }
  return y;
}

/* The place in an operand of a coordinate of the result. */
static size_t place_in(const Shape *operand, const int *coordinate, const Shape *result)
{
  int own[MAX_AXES], dropped = result->axes - operand->axes;
  for (int d = 0; d < operand->axes; d++)
    own[d] = operand->shape[d] == 1 ? 0 : coordinate[d + dropped];
  return ravel(own, operand);
}

static void want_binary(double *y, double *const *x, const OpCase *c)
{
  Shape result = broadcast_of(&c->leaf[0], &c->leaf[1]);
  int at[MAX_AXES];
  for (size_t i = 0; i < count_of(&result); i++) {
    unravel(i, &result, at);
    y[i] = combine((BinaryKind)c->arg[0], x[0][place_in(&c->leaf[0], at, &result)],
                   x[1][place_in(&c->leaf[1], at, &result)]);
  }
}

static Tensor *run_binary(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_binary(tp, (BinaryKind)c->arg[0], leaf[0], leaf[1]);
  Shape result = broadcast_of(&c->leaf[0], &c->leaf[1]);
  assert_int_equal(y->axes, result.axes);
  assert_memory_equal(y->shape, result.shape, (size_t)y->axes * sizeof(int));
  return y;
}

/* On two combs that are 0.25 apart: no two are close (max, min), the second is not near 0 (div). */
static void fill_combs(Tensor **leaf, const OpCase *c, Rng *rng)
{
  for (int i = 0; i < c->leaves; i++)
    for (size_t e = 0; e < leaf[i]->n; e++)
      leaf[i]->data[e] =
          (real)(0.5 * ((double)rng_below(rng, 9) - 4) + 0.25 * i + 0.1 * (rng_uniform(rng) - 0.5));
}

static void binary_ops(void **state)
{
  (void)state;
  for (int kind = 0; kind < BINARY_COUNT; kind++)
    for (size_t p = 0; p < COUNT_OF(pairs); p++) {
      char name[64];
      snprintf(name, sizeof name, "%s of shapes %zu", k_binary_functions[kind].name, p);
      check_op(&(OpCase){name, run_binary, want_binary, fill_combs, 2, {pairs[p][0], pairs[p][1]}, {kind}});
    }
}

static Tensor *run_with_itself(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_binary(tp, (BinaryKind)c->arg[0], leaf[0], leaf[0]);
  return t_add(tp, y, t_mul(tp, leaf[0], t_reshape(tp, leaf[0], 3, (int[]){1, 3, 5})));
}

static void want_with_itself(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++)
    y[i] = combine((BinaryKind)c->arg[0], x[0][i], x[0][i]) + x[0][i] * x[0][i];
}

static void an_operand_may_be_used_twice(void **state)
{
  (void)state;
  for (int kind = 0; kind < BINARY_COUNT; kind++)
    check_op(
        &(OpCase){"with itself", run_with_itself, want_with_itself, fill_combs, 1, {SHAPE(3, 5)}, {kind}});
}

static void a_tie_passes_its_gradient_on_once(void **state)
{
  (void)state;
  for (int kind = B_MAX; kind <= B_MIN; kind++) {
    Tape *tp = tape_new();
    Tensor *a = new_leaf(1, (int[]){3}, true), *b = new_leaf(1, (int[]){3}, true);
    tape_backward(tp, t_sum_all(tp, t_binary(tp, (BinaryKind)kind, a, b)));
    for (int i = 0; i < 3; i++)
      assert_true(a->grad[i] + b->grad[i] == 1);
    tensor_free(a);
    tensor_free(b);
    tape_free(tp);
  }
}

/* ---- comparing, choosing, repeating ---- */

static Tensor *run_compare(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_compare(tp, (CompareKind)c->arg[0], leaf[0], leaf[1]);
  assert_false(y->needs_grad);
  return y;
}

static void want_compare(double *y, double *const *x, const OpCase *c)
{
  Shape result = broadcast_of(&c->leaf[0], &c->leaf[1]);
  int at[MAX_AXES];
  for (size_t i = 0; i < count_of(&result); i++) {
    unravel(i, &result, at);
    double d = x[0][place_in(&c->leaf[0], at, &result)] - x[1][place_in(&c->leaf[1], at, &result)];
    bool less = d < 0, more = d > 0;
    bool holds[COMPARE_COUNT] = {[C_GT] = more, [C_GE] = !less, [C_LT] = less, [C_LE] = !more,
                                 [C_EQ] = !less && !more, [C_NE] = less || more};
    y[i] = holds[c->arg[0]];
  }
}

/* Few different numbers: some are equal. */
static void fill_whole(Tensor **leaf, const OpCase *c, Rng *rng)
{
  for (int i = 0; i < c->leaves; i++)
    for (size_t e = 0; e < leaf[i]->n; e++)
      leaf[i]->data[e] = (real)((double)rng_below(rng, 5) - 2);
}

static void comparisons(void **state)
{
  (void)state;
  for (int kind = 0; kind < COMPARE_COUNT; kind++)
    for (size_t p = 0; p < COUNT_OF(pairs); p++)
      check_value(&(OpCase){
          k_compare_names[kind], run_compare, want_compare, fill_whole, 2, {pairs[p][0], pairs[p][1]}, {kind}});
}

static void a_nan_is_only_unequal(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *nan = tape_number(tp, NAN), *one = tape_number(tp, 1);
  for (int kind = 0; kind < COMPARE_COUNT; kind++)
    for (int way = 0; way < 3; way++) {
      Tensor *y = t_compare(tp, (CompareKind)kind, way == 1 ? one : nan, way == 2 ? one : nan);
      assert_true(y->data[0] == (kind == C_NE));
    }
  tape_free(tp);
}

/* Leaves: mask, a, b. The mask gets no gradient. */
static Tensor *run_where(Tape *tp, Tensor **leaf, const OpCase *c)
{
  (void)c;
  return t_where(tp, t_compare(tp, C_GT, leaf[0], tape_number(tp, 0.25)), leaf[1], leaf[2]);
}

static void want_where(double *y, double *const *x, const OpCase *c)
{
  Shape both = broadcast_of(&c->leaf[1], &c->leaf[2]), result = broadcast_of(&c->leaf[0], &both);
  int at[MAX_AXES];
  for (size_t i = 0; i < count_of(&result); i++) {
    unravel(i, &result, at);
    int from = x[0][place_in(&c->leaf[0], at, &result)] > 0.25 ? 1 : 2;
    y[i] = x[from][place_in(&c->leaf[from], at, &result)];
  }
}

static void choices(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"where", run_where, want_where, fill_combs, 3, {SHAPE(3, 5), SHAPE(3, 5), SHAPE(3, 5)}},
      {"where, a number", run_where, want_where, fill_combs, 3, {SHAPE(2, 3, 5), SHAPE(2, 3, 5), SCALAR}},
      {"where, a smaller mask", run_where, want_where, fill_combs, 3, {SHAPE(3, 1), SHAPE(2, 1, 4), SHAPE(4)}},
      {"where, a larger mask", run_where, want_where, fill_combs, 3, {SHAPE(2, 3, 4), SCALAR, SHAPE(4)}},
      {"where of scalars", run_where, want_where, fill_combs, 3, {SCALAR, SCALAR, SCALAR}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* What is not chosen does no harm, and what is chosen gets the gradient whole. */
static void an_infinity_that_is_not_chosen(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = new_leaf(1, (int[]){2}, true), *mask = tape_zeros(tp, 1, (int[]){2});
  x->data[0] = (real)INFINITY, x->data[1] = 3, mask->data[1] = -2;
  Tensor *y = t_where(tp, mask, x, tape_number(tp, 1));
  assert_true(y->data[0] == 1 && y->data[1] == 3);
  tape_backward(tp, t_sum_all(tp, y));
  assert_true(x->grad[0] == 0 && x->grad[1] == 1);
  tensor_free(x);
  tape_free(tp);
}

static Tensor *run_expand(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_expand(tp, leaf[0], c->arg[0], c->arg + 1);
  assert_int_equal(y->axes, c->arg[0]);
  return y;
}

static void want_expand(double *y, double *const *x, const OpCase *c)
{
  Shape result = {c->arg[0], {0}};
  for (int d = 0; d < result.axes; d++)
    result.shape[d] = c->arg[d + 1] >= 0 ? c->arg[d + 1] : c->leaf[0].shape[d - result.axes + c->leaf[0].axes];
  int at[MAX_AXES];
  for (size_t i = 0; i < count_of(&result); i++) {
    unravel(i, &result, at);
    y[i] = x[0][place_in(&c->leaf[0], at, &result)];
  }
}

static void repeats(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"expand", run_expand, want_expand, NULL, 1, {SHAPE(3, 1)}, {2, 3, 5}},
      {"expand by axes", run_expand, want_expand, NULL, 1, {SHAPE(3, 1)}, {4, 2, 1, 3, 4}},
      {"expand, some as they are", run_expand, want_expand, NULL, 1, {SHAPE(3, 1, 2)}, {3, -1, 4, -1}},
      {"expand a scalar", run_expand, want_expand, NULL, 1, {SCALAR}, {2, 3, 2}},
      {"expand to what it is", run_expand, want_expand, NULL, 1, {SHAPE(3, 2)}, {2, 3, 2}},
      {"expand to nothing", run_expand, want_expand, NULL, 1, {SHAPE(1, 2)}, {2, 0, 2}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- running sums ---- */

static Tensor *run_cumsum(Tape *tp, Tensor **leaf, const OpCase *c) { return t_cumsum(tp, leaf[0], c->arg[0]); }

static void want_cumsum(double *y, double *const *x, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  int at[MAX_AXES], axis = axis_of(s, c->arg[0]);
  for (size_t i = 0; i < count_of(s); i++) {
    unravel(i, s, at);
    for (; at[axis] >= 0; at[axis]--)
      y[i] += x[0][ravel(at, s)];
  }
}

static void running_sums(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"cumsum over the last axis", run_cumsum, want_cumsum, NULL, 1, {SHAPE(2, 3, 5)}, {-1}},
      {"cumsum over the first", run_cumsum, want_cumsum, NULL, 1, {SHAPE(7, 2)}, {0}},
      {"cumsum in the middle", run_cumsum, want_cumsum, NULL, 1, {SHAPE(2, 17, 3)}, {1}},
      {"cumsum of one", run_cumsum, want_cumsum, NULL, 1, {SHAPE(3, 1)}, {1}},
      {"cumsum of nothing", run_cumsum, want_cumsum, NULL, 1, {SHAPE(3, 0)}, {1}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- clamp ---- */

static Tensor *run_clamp(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_clamp(tp, leaf[0], c->number[0], c->number[1]);
}

static void want_clamp(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++)
    y[i] = fmin(fmax(x[0][i], c->number[0]), c->number[1]);
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
  for (size_t i = 0; i < COUNT_OF(x); i++)
    leaf->data[i] = (real)x[i];
  tape_backward(tp, t_sum_all(tp, t_clamp(tp, leaf, -2, 1))); /* both ends count as inside */
  for (size_t i = 0; i < COUNT_OF(x); i++)
    check_number("gradient of clamp", (double)leaf->grad[i], gradient[i], 0);
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
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++)
    y[i] = c->number[1] + x[0][i] * c->number[0];
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

static void want_first(double *y, double *const *x, const OpCase *c)
{
  memcpy(y, x[0], count_of(&c->leaf[0]) * sizeof *y);
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

/* ---- linear maps, look-up ---- */

static Tensor *run_linear(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return c->leaves == 3 ? t_linear_bias(tp, leaf[0], leaf[1], leaf[2]) : t_linear(tp, leaf[0], leaf[1]);
}

static void want_linear(double *y, double *const *x, const OpCase *c)
{
  size_t out = (size_t)c->leaf[1].shape[0], in = (size_t)c->leaf[1].shape[1];
  for (size_t i = 0; i < count_of(&c->leaf[0]) / in * out; i++) {
    if (c->leaves == 3)
      y[i] = x[2][i % out];
    for (size_t j = 0; j < in; j++)
      y[i] += x[0][i / out * in + j] * x[1][i % out * in + j];
  }
}

static Tensor *run_matmul(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return (void)c, t_matmul(tp, leaf[0], leaf[1]);
}

static void want_matmul(double *y, double *const *x, const OpCase *c)
{
  size_t in = (size_t)c->leaf[1].shape[0], out = (size_t)c->leaf[1].shape[1];
  for (size_t i = 0; i < count_of(&c->leaf[0]) / in * out; i++)
    for (size_t j = 0; j < in; j++)
      y[i] += x[0][i / out * in + j] * x[1][j * out + i % out];
}

static Tensor *run_rows(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_rows(tp, leaf[0], c->index, c->arg[0], c->arg + 1);
}

static void want_rows(double *y, double *const *x, const OpCase *c)
{
  size_t C = (size_t)c->leaf[0].shape[1], count = 1;
  for (int d = 0; d < c->arg[0]; d++)
    count *= (size_t)c->arg[1 + d];
  for (size_t i = 0; i < count * C; i++)
    y[i] = x[0][(size_t)c->index[i / C] * C + i % C];
}

static void linear_maps(void **state)
{
  (void)state;
  static const int index[] = {3, 0, 3, 3, 1, 0}; /* 2 is never looked up, 3 thrice */
  static const OpCase cases[] = {
      {"linear of a vector", run_linear, want_linear, NULL, 2, {SHAPE(5), SHAPE(3, 5)}},
      {"linear of rows", run_linear, want_linear, NULL, 2, {SHAPE(3, 17), SHAPE(5, 17)}},
      {"linear [B,T,C]", run_linear, want_linear, NULL, 2, {SHAPE(2, 3, 5), SHAPE(17, 5)}},
      {"linear, 4 axes", run_linear, want_linear, NULL, 2, {SHAPE(2, 1, 3, 5), SHAPE(5, 5)}},
      {"linear 1 to 1", run_linear, want_linear, NULL, 2, {SHAPE(4, 1), SHAPE(1, 1)}},
      {"linear 1 to 3", run_linear, want_linear, NULL, 2, {SHAPE(1, 1), SHAPE(3, 1)}},
      {"linear with bias", run_linear, want_linear, NULL, 3, {SHAPE(2, 3, 5), SHAPE(3, 5), SHAPE(3)}},
      {"linear of a vector with bias", run_linear, want_linear, NULL, 3, {SHAPE(17), SHAPE(1, 17), SHAPE(1)}},
      {"matmul of a vector", run_matmul, want_matmul, NULL, 2, {SHAPE(5), SHAPE(5, 3)}},
      {"matmul of rows", run_matmul, want_matmul, NULL, 2, {SHAPE(3, 17), SHAPE(17, 5)}},
      {"matmul [B,T,C]", run_matmul, want_matmul, NULL, 2, {SHAPE(2, 3, 5), SHAPE(5, 17)}},
      {"matmul, 4 axes", run_matmul, want_matmul, NULL, 2, {SHAPE(2, 1, 3, 5), SHAPE(5, 5)}},
      {"matmul 1 to 1", run_matmul, want_matmul, NULL, 2, {SHAPE(1), SHAPE(1, 1)}},
      {"row", run_rows, want_rows, NULL, 1, {SHAPE(4, 5)}, {0}, .index = index},
      {"rows [6]", run_rows, want_rows, NULL, 1, {SHAPE(4, 5)}, {1, 6}, .index = index},
      {"rows [2,3]", run_rows, want_rows, NULL, 1, {SHAPE(4, 1)}, {2, 2, 3}, .index = index},
      {"rows [1,3,2]", run_rows, want_rows, NULL, 1, {SHAPE(4, 17)}, {3, 1, 3, 2}, .index = index},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- normalisation ---- */

static Tensor *run_norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return c->arg[0] ? t_group_norm(tp, leaf[0], c->arg[0], leaf[1], leaf[2], c->number[0])
                   : t_layer_norm(tp, leaf[0], leaf[1], leaf[2], c->number[0]);
}

static void want_norm(double *y, double *const *x, const OpCase *c)
{
  size_t C = count_of(&c->leaf[1]), N = C / (size_t)(c->arg[0] ? c->arg[0] : 1);
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) {
    const double *group = x[0] + i / N * N;
    double sum = 0, squares = 0; /* variance as E(x - x')^2 / 2 over all pairs: no mean in it */
    for (size_t j = 0; j < N; j++) {
      sum += group[j];
      for (size_t l = 0; l < N; l++)
        squares += pow(group[j] - group[l], 2);
    }
    double variance = squares / (double)(2 * N * N);
    y[i] = (x[0][i] - sum / (double)N) / sqrt(variance + c->number[0]) * x[1][i % C] + x[2][i % C];
  }
}

static Tensor *run_l2norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_l2norm(tp, leaf[0], c->arg[0], c->number[0]);
}

static void want_l2norm(double *y, double *const *x, const OpCase *c)
{
  size_t N = (size_t)(c->leaf[0].shape[c->leaf[0].axes - 1] / c->arg[0]);
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) {
    double squares = 0;
    for (size_t j = 0; j < N; j++)
      squares += pow(x[0][i / N * N + j], 2);
    y[i] = x[0][i] / (sqrt(squares) > c->number[0] ? sqrt(squares) : c->number[0]);
  }
}

/* Spread out, so that no group has a tiny variance or length. */
static void fill_spread(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c;
  for (size_t i = 0; i < leaf[0]->n; i++)
    leaf[0]->data[i] = (real)((i % 2 ? 1 : -1) * (0.5 + 0.2 * (double)(i % 3)) + 0.3 * rng_normal(rng) + 0.2);
}

/* Every second group of 5 is shorter than eps = 1, the others longer. */
static void fill_short_and_long(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c;
  for (size_t i = 0; i < leaf[0]->n; i++)
    leaf[0]->data[i] = (real)((0.5 + 0.5 * rng_uniform(rng)) * (i % 3 ? 1 : -1) * (i / 5 % 2 ? 0.3 : 3));
}

static void normalisation(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"layer_norm", run_norm, want_norm, fill_spread, 3, {SHAPE(2, 3, 5), SHAPE(5), SHAPE(5)}, {0}, {1e-5}},
      {"layer_norm, 17",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(3, 17), SHAPE(17), SHAPE(17)},
       {0},
       {1e-5}},
      {"layer_norm of a row",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(5), SHAPE(5), SHAPE(5)},
       {0},
       {0.1}},
      {"layer_norm, C = 1",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(3, 1), SHAPE(1), SHAPE(1)},
       {0},
       {1e-2}},
      {"group_norm, H = 1",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(2, 2, 5), SHAPE(5), SHAPE(5)},
       {1},
       {1e-3}},
      {"group_norm, H = 3",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(2, 2, 15), SHAPE(15), SHAPE(15)},
       {3},
       {1e-3}},
      {"group_norm, H = 2",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(6), SHAPE(6), SHAPE(1, 6)},
       {2},
       {1e-3}},
      {"group_norm, H = C",
       run_norm,
       want_norm,
       fill_spread,
       3,
       {SHAPE(3, 4), SHAPE(4), SHAPE(4)},
       {4},
       {1e-2}},
      {"l2norm", run_l2norm, want_l2norm, fill_spread, 1, {SHAPE(2, 3, 5)}, {1}, {1e-12}},
      {"l2norm, H = 3", run_l2norm, want_l2norm, fill_spread, 1, {SHAPE(2, 2, 15)}, {3}, {1e-12}},
      {"l2norm, N = 1", run_l2norm, want_l2norm, fill_around_zero, 1, {SHAPE(17)}, {17}, {1e-12}},
      {"l2norm below and above eps",
       run_l2norm,
       want_l2norm,
       fill_short_and_long,
       1,
       {SHAPE(2, 15)},
       {3},
       {1}},
  };
  check_all(cases, COUNT_OF(cases));
}

static void l2norm_of_zero(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = new_leaf(2, (int[]){2, 3}, true);
  Tensor *y = t_l2norm(tp, x, 1, 0.5);
  tape_backward(tp, t_sum_all(tp, y));
  for (int i = 0; i < 6; i++) {
    assert_true(y->data[i] == 0);
    assert_true(x->grad[i] == 2); /* 1 / eps */
  }
  tensor_free(x);
  tape_free(tp);
}

static void norm_of_equal_numbers(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = new_leaf(1, (int[]){5}, true), *weight = new_leaf(1, (int[]){5}, true),
         *bias = new_leaf(1, (int[]){5}, true);
  tensor_fill(x, (real)1e3);
  tensor_fill(weight, 2);
  tensor_fill(bias, 3);
  Tensor *y = t_layer_norm(tp, x, weight, bias, 1e-5);
  tape_backward(tp, t_sum_all(tp, y));
  for (int i = 0; i < 5; i++) {
    check_number("bias", (double)y->data[i], 3, VALUE_TOL);
    check_number("gradient by x", (double)x->grad[i], 0, VALUE_TOL);
    check_number("gradient by weight", (double)weight->grad[i], 0, VALUE_TOL);
    check_number("gradient by bias", (double)bias->grad[i], 1, VALUE_TOL);
  }
  free_leaves((Tensor *[]){x, weight, bias}, 3);
  tape_free(tp);
}

/* ---- shapes ---- */

static Tensor *run_reshape(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_reshape(tp, leaf[0], c->arg[0], c->arg + 1);
  assert_ptr_equal(y->data, leaf[0]->data);
  assert_int_equal(y->axes, c->arg[0]);
  for (int d = 0; d < y->axes; d++)
    if (c->arg[1 + d] >= 0)
      assert_int_equal(y->shape[d], c->arg[1 + d]);
  return y;
}

/* Several shapes of one tensor, of one that was computed, and of a reshaped one: all gradients meet. */
static Tensor *run_aliases(Tape *tp, Tensor **leaf, const OpCase *c)
{
  (void)c;
  Tensor *x = leaf[0], *h = t_tanh(tp, x);
  Tensor *x1 = t_reshape(tp, t_reshape(tp, x, 2, (int[]){3, 8}), 1, (int[]){-1});
  Tensor *h1 = t_reshape(tp, h, 1, (int[]){24}), *h2 = t_reshape(tp, h, 3, (int[]){2, -1, 4});
  Tensor *y = t_mul(tp, x1, h1);
  y = t_add(tp, y, t_reshape(tp, t_mul(tp, h2, h), 1, (int[]){24}));
  return t_add(tp, t_reshape(tp, y, 3, (int[]){2, 3, 4}), x);
}

static void want_aliases(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) {
    double h = tanh(x[0][i]);
    y[i] = x[0][i] * h + h * h + x[0][i];
  }
}

static Tensor *run_slice(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_slice(tp, leaf[0], c->arg[0], c->arg[1], c->arg[2]);
}

static void want_slice(double *y, double *const *x, const OpCase *c)
{
  Shape part = c->leaf[0];
  int axis = axis_of(&part, c->arg[0]), at[MAX_AXES];
  part.shape[axis] = c->arg[2];
  for (size_t i = 0; i < count_of(&part); i++) {
    unravel(i, &part, at);
    at[axis] += c->arg[1];
    y[i] = x[0][ravel(at, &c->leaf[0])];
  }
}

static Tensor *run_concat(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_concat(tp, leaf, c->leaves, c->arg[0]);
}

static void want_concat(double *y, double *const *x, const OpCase *c)
{
  Shape whole = c->leaf[0];
  int axis = axis_of(&whole, c->arg[0]), from = 0, at[MAX_AXES];
  for (int p = 1; p < c->leaves; p++)
    whole.shape[axis] += c->leaf[p].shape[axis];
  for (int p = 0; p < c->leaves; p++) {
    for (size_t i = 0; i < count_of(&c->leaf[p]); i++) {
      unravel(i, &c->leaf[p], at);
      at[axis] += from;
      y[ravel(at, &whole)] = x[p][i];
    }
    from += c->leaf[p].shape[axis];
  }
}

static Tensor *run_twice_in_concat(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_concat(tp, (Tensor *[]){leaf[0], leaf[0]}, 2, c->arg[0]);
}

/* Cut in three and put together again. */
static Tensor *run_round_trip(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int axis = c->arg[0], size = leaf[0]->shape[axis_of(&c->leaf[0], axis)];
  Tensor *parts[] = {t_slice(tp, leaf[0], axis, 0, 1), t_slice(tp, leaf[0], axis, 1, 1),
                     t_slice(tp, leaf[0], axis, 2, size - 2)};
  return t_concat(tp, parts, 3, axis);
}

static void reshape_slice_concat(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"reshape", run_reshape, want_first, NULL, 1, {SHAPE(2, 3, 5)}, {2, 6, 5}},
      {"reshape to an open size", run_reshape, want_first, NULL, 1, {SHAPE(2, 3, 5)}, {4, 1, 5, -1, 2}},
      {"reshape to [-1]", run_reshape, want_first, NULL, 1, {SHAPE(17, 3)}, {1, -1}},
      {"reshape a scalar", run_reshape, want_first, NULL, 1, {SCALAR}, {2, 1, 1}},
      {"reshape to a scalar", run_reshape, want_first, NULL, 1, {SHAPE(1, 1)}, {0}},
      {"reshape, gradients meet", run_aliases, want_aliases, NULL, 1, {SHAPE(2, 3, 4)}},
      {"slice first axis", run_slice, want_slice, NULL, 1, {SHAPE(5, 3, 2)}, {0, 1, 3}},
      {"slice middle axis", run_slice, want_slice, NULL, 1, {SHAPE(2, 5, 3)}, {1, 4, 1}},
      {"slice last axis", run_slice, want_slice, NULL, 1, {SHAPE(2, 3, 5)}, {-1, 0, 2}},
      {"slice axis -2", run_slice, want_slice, NULL, 1, {SHAPE(2, 3, 5, 2)}, {-2, 2, 3}},
      {"slice all", run_slice, want_slice, NULL, 1, {SHAPE(17)}, {0, 0, 17}},
      {"concat first axis", run_concat, want_concat, NULL, 3, {SHAPE(1, 5), SHAPE(3, 5), SHAPE(2, 5)}, {0}},
      {"concat middle axis", run_concat, want_concat, NULL, 2, {SHAPE(2, 1, 3), SHAPE(2, 4, 3)}, {1}},
      {"concat last axis",
       run_concat,
       want_concat,
       NULL,
       3,
       {SHAPE(2, 3, 1), SHAPE(2, 3, 5), SHAPE(2, 3, 1)},
       {-1}},
      {"concat axis -2", run_concat, want_concat, NULL, 2, {SHAPE(3, 2), SHAPE(1, 2)}, {-2}},
      {"concat one", run_concat, want_concat, NULL, 1, {SHAPE(3, 2)}, {1}},
      {"concat twice the same", run_twice_in_concat, NULL, NULL, 1, {SHAPE(3, 2)}, {1}},
      {"cut and paste axis 0", run_round_trip, want_first, NULL, 1, {SHAPE(5, 3, 2)}, {0}},
      {"cut and paste axis 1", run_round_trip, want_first, NULL, 1, {SHAPE(2, 3, 5)}, {1}},
      {"cut and paste axis -1", run_round_trip, want_first, NULL, 1, {SHAPE(2, 3, 17)}, {-1}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- append ---- */

static Tensor *run_append(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_append(tp, leaf[0], leaf[1]);
  assert_int_equal(y->shape[1], c->leaf[0].shape[1] + c->leaf[1].shape[1]);
  return y;
}

static void want_append(double *y, double *const *x, const OpCase *c)
{
  size_t inner = count_of(&c->leaf[1]) / (size_t)(c->leaf[1].shape[0] * c->leaf[1].shape[1]);
  size_t old = (size_t)c->leaf[0].shape[1] * inner, new = (size_t)c->leaf[1].shape[1] * inner;
  for (size_t b = 0; b < (size_t)c->leaf[1].shape[0]; b++) {
    for (size_t i = 0; i < old; i++)
      *y++ = x[0][b * old + i];
    for (size_t i = 0; i < new; i++)
      *y++ = x[1][b * new + i];
  }
}

/* Twice, as a state does that grows with every run. */
static Tensor *run_append_twice(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int T = c->leaf[1].shape[1];
  Tensor *history = t_append(tp, leaf[0], t_slice(tp, leaf[1], 1, 0, 1));
  return t_append(tp, history, t_slice(tp, leaf[1], 1, 1, T - 1));
}

static void append(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"append", run_append, want_append, NULL, 2, {SHAPE(2, 3, 5), SHAPE(2, 4, 5)}},
      {"append to nothing", run_append, want_append, NULL, 2, {SHAPE(2, 0, 5), SHAPE(2, 4, 5)}},
      {"append tokens", run_append, want_append, NULL, 2, {SHAPE(3, 1), SHAPE(3, 2)}},
      {"append tokens to nothing", run_append, want_append, NULL, 2, {SHAPE(3, 0), SHAPE(3, 2)}},
      {"append twice", run_append_twice, want_append, NULL, 2, {SHAPE(2, 3, 5), SHAPE(2, 4, 5)}},
      {"append twice to nothing", run_append_twice, want_append, NULL, 2, {SHAPE(2, 0, 5), SHAPE(2, 4, 5)}},
  };
  check_all(cases, COUNT_OF(cases));
}

/* ---- attention without a softmax ---- */

/* Leaves: q [rows,D], k [B,U,D]. arg: T, V, and whether only some rows are asked for. index: the tokens
   [B,U], then the rows. */
static Tensor *run_copy_scores(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int B = c->leaf[1].shape[0], U = c->leaf[1].shape[1], D = c->leaf[1].shape[2];
  Tensor *tokens = tape_tensor(tp, 2, (int[]){B, U});
  for (int i = 0; i < B * U; i++)
    tokens->data[i] = (real)c->index[i];
  Tensor *y = t_copy_scores(tp, leaf[0], leaf[1], tokens, c->arg[0], c->arg[2] ? c->index + B * U : NULL,
                            (int)leaf[0]->n / D, c->arg[1]);
  assert_int_equal(y->axes, 2);
  return y;
}

static void want_copy_scores(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[1].shape[0], U = c->leaf[1].shape[1], D = c->leaf[1].shape[2], T = c->arg[0], V = c->arg[1];
  for (int i = 0; i < (int)count_of(&c->leaf[0]) / D; i++)
    for (int v = 0; v < V; v++) {
      int row = c->arg[2] ? c->index[B * U + i] : i, b = row / T, last = U - T + row % T;
      for (int u = 0; u <= last; u++)
        for (int d = 0; c->index[b * U + u] == v && d < D; d++)
          y[i * V + v] += x[0][i * D + d] * x[1][(b * U + u) * D + d] / D;
    }
}

static void copy_scores(void **state)
{
  (void)state;
  static const int tokens[] = {3, 0, 3, 8, 1, /**/ 2, 2, 2, 5, 2, /* rows: */ 3, 0, 1};
  static const OpCase cases[] = {
      {"copy_scores",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(10, 3), SHAPE(2, 5, 3)},
       {5, 9},
       .index = tokens},
      {"copy_scores of [B,T,D]",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(2, 5, 1), SHAPE(2, 5, 1)},
       {5, 9},
       .index = tokens},
      {"copy_scores with a history",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(4, 3), SHAPE(2, 5, 3)},
       {2, 9},
       .index = tokens},
      {"copy_scores of one token",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(2, 1, 3), SHAPE(2, 5, 3)},
       {1, 12},
       .index = tokens},
      {"copy_scores, some rows",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(3, 4), SHAPE(2, 5, 4)},
       {5, 9, 1},
       .index = tokens},
      {"copy_scores, some rows, history",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(3, 4), SHAPE(2, 5, 4)},
       {3, 9, 1},
       .index = tokens},
      {"copy_scores, B = T = 1",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(1, 2), SHAPE(1, 1, 2)},
       {1, 4},
       .index = tokens},
  };
  check_all(cases, COUNT_OF(cases));
}

/* Leaves: q, k, v, and the history of k and v. */
static Tensor *run_linear_attention(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *keys = leaf[3], *values = leaf[4];
  Tensor *y = t_linear_attention(tp, leaf[0], leaf[1], leaf[2], &keys, &values);
  assert_int_equal(keys->shape[1], c->leaf[3].shape[1] + c->leaf[1].shape[1]);
  return flat_concat(tp, (Tensor *[]){y, keys, values}, 3);
}

static double joined(const double *history, const double *x, int before, int T, int C, int b, int u, int c)
{
  return u < before ? history[(b * before + u) * C + c] : x[(b * T + u - before) * C + c];
}

static void want_linear_attention(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[0].shape[0], T = c->leaf[0].shape[1], D = c->leaf[0].shape[2], C = c->leaf[2].shape[2];
  int before = c->leaf[3].shape[1], U = before + T;
  for (int i = 0; i < B * T * C; i++, y++)
    for (int u = 0; u <= before + i / C % T; u++)
      for (int d = 0; d < D; d++)
        *y += x[0][i / C * D + d] * joined(x[3], x[1], before, T, D, i / (T * C), u, d) *
              joined(x[4], x[2], before, T, C, i / (T * C), u, i % C);
  for (int i = 0; i < B * U * D; i++)
    *y++ = joined(x[3], x[1], before, T, D, i / (U * D), i / D % U, i % D);
  for (int i = 0; i < B * U * C; i++)
    *y++ = joined(x[4], x[2], before, T, C, i / (U * C), i / C % U, i % C);
}

static void linear_attention(void **state)
{
  (void)state;
  static const int sizes[][5] = {
      {2, 5, 3, 2, 0}, {2, 3, 3, 4, 2}, {1, 1, 1, 1, 0}, {2, 1, 2, 3, 4}, {1, 17, 2, 5, 0}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    int B = sizes[i][0], T = sizes[i][1], D = sizes[i][2], C = sizes[i][3], before = sizes[i][4];
    check_op(
        &(OpCase){"linear_attention",
                  run_linear_attention,
                  want_linear_attention,
                  NULL,
                  5,
                  {SHAPE(B, T, D), SHAPE(B, T, D), SHAPE(B, T, C), SHAPE(B, before, D), SHAPE(B, before, C)},
                  .loosen = 4});
  }
}

/* ---- sums ---- */

static Tensor *run_sum(Tape *tp, Tensor **leaf, const OpCase *c)
{
  bool keep = c->arg[1], mean = c->arg[2];
  Tensor *y = mean ? t_mean(tp, leaf[0], c->arg[0], keep) : t_sum(tp, leaf[0], c->arg[0], keep);
  assert_int_equal(y->axes, leaf[0]->axes - !keep);
  if (keep)
    assert_int_equal(y->shape[axis_of(&c->leaf[0], c->arg[0])], 1);
  return y;
}

static void want_sum(double *y, double *const *x, const OpCase *c)
{
  Shape kept = c->leaf[0];
  int axis = axis_of(&kept, c->arg[0]), at[MAX_AXES];
  kept.shape[axis] = 1;
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) {
    unravel(i, &c->leaf[0], at);
    at[axis] = 0;
    y[ravel(at, &kept)] += c->arg[2] ? x[0][i] / c->leaf[0].shape[axis] : x[0][i];
  }
}

static Tensor *run_sum_all(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_sum_all(tp, leaf[0]);
  assert_int_equal(y->axes, 0);
  return (void)c, y;
}

static void want_sum_all(double *y, double *const *x, const OpCase *c)
{
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++)
    y[0] += x[0][i];
}

static void sums_and_means(void **state)
{
  (void)state;
  static const Shape shapes[] = {SHAPE(2, 3, 4, 5), SHAPE(17), SHAPE(3, 1), SHAPE(1, 5)};
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    for (int axis = -shapes[s].axes; axis < shapes[s].axes; axis++)
      for (int how = 0; how < 4; how++)
        check_op(&(OpCase){
            how / 2 ? "mean" : "sum", run_sum, want_sum, NULL, 1, {shapes[s]}, {axis, how % 2, how / 2}});
    check_op(&(OpCase){"sum_all", run_sum_all, want_sum_all, NULL, 1, {shapes[s]}});
  }
  check_op(&(OpCase){"sum_all", run_sum_all, want_sum_all, NULL, 1, {SCALAR}});
}

/* ---- nothing in them ---- */

static void empty_tensors(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *none = new_leaf(2, (int[]){0, 3}, true), *row = new_leaf(1, (int[]){3}, true);
  Tensor *y = t_mul(tp, none, row);
  assert_int_equal(y->n, 0);
  Tensor *loss = t_sum_all(tp, y);
  assert_true(loss->data[0] == 0);
  tape_backward(tp, loss);
  for (int i = 0; i < 3; i++)
    assert_true(row->grad[i] == 0);
  Tensor *sum = t_sum(tp, none, 0, false);
  for (int i = 0; i < 3; i++)
    assert_true(sum->data[i] == 0);
  assert_int_equal(t_slice(tp, row, 0, 3, 0)->n, 0);
  free_leaves((Tensor *[]){none, row}, 2);
  tape_free(tp);
}

/* A sum over no terms is 0, whatever lay in memory before. */
/* ---- matrices kept in fewer bits ---- */

typedef struct {
  Tape *tp;
  Tensor *x, *w, *bias;
  int op;
} PackedMap;

static Tensor *run_packed(const PackedMap *m)
{
  static const int index[] = {4, 0, 4};
  if (m->op == 0) return t_linear_bias(m->tp, m->x, m->w, m->bias);
  return m->op == 1 ? t_matmul(m->tp, m->x, m->w) : t_rows(m->tp, m->w, index, 1, (int[]){3});
}

static void attempt_packed(void *m) { run_packed(m); }

/* What the packed matrix gives is what its numbers give, expanded; no gradient flows through it. */
static void packed_maps(void **state)
{
  (void)state;
  Rng rng = rng_new(3, 4);
  for (int storage = 0; storage < STORAGE_COUNT; storage++) {
    Arena arena = {0}, numbers = {0};
    Storage as = (Storage)storage;
    Tensor *packed = tensor_in(&arena, &numbers, 2, (int[]){5, 5}, &as);
    Tensor *plain = random_leaf(2, (int[]){5, 5}, &rng, 1, false);
    Tensor *x = random_leaf(2, (int[]){3, 5}, &rng, 1, false), *bias = random_leaf(1, (int[]){5}, &rng, 1, false);
    assert_int_equal(pack_numbers((void *)packed->packed.bits, as, plain->data, plain->n), plain->n);
    tensor_read(packed, 0, packed->n, plain->data);
    for (int op = 0; op < 3; op++) {
      Tape *tp = tape_new();
      Tensor *want = run_packed(&(PackedMap){tp, x, plain, bias, op});
      Tensor *got = run_packed(&(PackedMap){tp, x, packed, bias, op});
      assert_true(same_shape(want, got));
      assert_memory_equal(want->data, got->data, want->n * sizeof(real));
      x->needs_grad = true;
      if (op < 2) expect_failure(attempt_packed, &(PackedMap){tp, x, packed, bias, op}, storage_names[as]);
      else assert_false(run_packed(&(PackedMap){tp, x, packed, bias, op})->needs_grad);
      tp->recording = false;
      run_packed(&(PackedMap){tp, x, packed, bias, op});
      x->needs_grad = false;
      tape_free(tp);
    }
    free_leaves((Tensor *[]){plain, x, bias}, 3);
    arena_free(&arena);
    arena_free(&numbers);
  }
}

static void linear_over_nothing(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  memset(arena_alloc(&tp->numbers, 4096), 0xFF, 4096);
  arena_reset(&tp->numbers);
  Tensor *x = new_leaf(2, (int[]){2, 0}, false), *w = new_leaf(2, (int[]){3, 0}, false),
         *m = new_leaf(2, (int[]){0, 3}, false), *bias = new_leaf(1, (int[]){3}, false);
  tensor_fill(bias, 7);
  check_tensor("linear", t_linear(tp, x, w), (double[6]){0}, 0);
  check_tensor("linear_bias", t_linear_bias(tp, x, w, bias), (double[]){7, 7, 7, 7, 7, 7}, 0);
  check_tensor("matmul", t_matmul(tp, x, m), (double[6]){0}, 0);
  free_leaves((Tensor *[]){x, w, m, bias}, 4);
  tape_free(tp);
}

/* ---- loss ---- */

static const int targets[] = {2, -1, 0, 4, -100, 1};

static Tensor *run_cross_entropy(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_cross_entropy(tp, leaf[0], c->index, 0);
}

static void want_cross_entropy(double *y, double *const *x, const OpCase *c)
{
  size_t V = (size_t)c->leaf[0].shape[c->leaf[0].axes - 1], scored = 0;
  for (size_t i = 0; i < count_of(&c->leaf[0]) / V; i++) {
    double sum = 0;
    if (c->index[i] < 0)
      continue;
    for (size_t j = 0; j < V; j++)
      sum += exp(x[0][i * V + j]);
    y[0] -= log(exp(x[0][i * V + (size_t)c->index[i]]) / sum);
    scored++;
  }
  y[0] /= (double)scored;
}

static void cross_entropy(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"cross_entropy", run_cross_entropy, want_cross_entropy, NULL, 1, {SHAPE(6, 5)}, .index = targets},
      {"cross_entropy [B,T,V]",
       run_cross_entropy,
       want_cross_entropy,
       NULL,
       1,
       {SHAPE(2, 3, 17)},
       .index = targets},
      {"cross_entropy [V]", run_cross_entropy, want_cross_entropy, NULL, 1, {SHAPE(3)}, .index = targets},
  };
  check_all(cases, COUNT_OF(cases));
}

/* The loss; the gradient by the logits is left in x. */
static double loss_and_gradient(Tensor *x, const int *target, double l2wrap, double scale)
{
  Tape *tp = tape_new();
  zero_grads(&x, 1);
  Tensor *loss = t_cross_entropy(tp, x, target, l2wrap);
  double value = loss->data[0];
  tape_backward(tp, t_affine(tp, loss, scale, 0));
  tape_free(tp);
  return value;
}

static void nothing_scored(void **state)
{
  (void)state;
  Rng rng = rng_new(1, 1);
  Tensor *x = random_leaf(2, (int[]){3, 5}, &rng, 1, true);
  assert_true(loss_and_gradient(x, (int[]){-1, -2, -1}, 1e-4, 1) == 0);
  for (size_t i = 0; i < x->n; i++)
    assert_true(x->grad[i] == 0);
  tensor_free(x);
}

static void huge_logits(void **state)
{
  (void)state;
  Tensor *x = new_leaf(2, (int[]){2, 3}, true);
  const real logits[] = {(real)1e4, (real)-1e4, 0, (real)-1e4, (real)-1e4, (real)-1e4};
  tensor_write(x, 0, 6, logits);
  double third = 1.0 / 3;
  check_number("loss", loss_and_gradient(x, (int[]){1, 2}, 0, 1), (2e4 + log(3)) / 2, VALUE_TOL);
  check_tensor("values", x, (double[]){1e4, -1e4, 0, -1e4, -1e4, -1e4}, 0);
  double *g = calloc(6, sizeof *g);
  for (int i = 0; i < 6; i++)
    g[i] = x->grad[i];
  check_close_double("gradient", g, (double[]){0.5, -0.5, 0, third / 2, third / 2, third / 2 - 0.5}, 6,
                     VALUE_TOL);
  free(g);
  tensor_free(x);
}

/* The official trainers add l2wrap * max / scored to the gradient at the largest logit of a scored row,
   whatever flows in from above. */
static void l2wrap_changes_the_gradient_only(void **state)
{
  (void)state;
  enum { R = 6, V = 5 };
  const double l2wrap = 0.125, scored = 4;
  Rng rng = rng_new(2, 1);
  Tensor *x = random_leaf(2, (int[]){R, V}, &rng, 2, true);
  for (int incoming = 1; incoming <= 3; incoming += 2) {
    double plain[R * V], added[R * V], want[R * V] = {0};
    double loss = loss_and_gradient(x, targets, 0, incoming);
    for (int i = 0; i < R * V; i++)
      plain[i] = x->grad[i];
    assert_true(loss_and_gradient(x, targets, l2wrap, incoming) == loss);
    for (int i = 0; i < R * V; i++)
      added[i] = (double)x->grad[i] - plain[i];
    for (int i = 0; i < R; i++) {
      int best = 0;
      for (int j = 1; j < V; j++)
        if (x->data[i * V + j] > x->data[i * V + best])
          best = j;
      if (targets[i] >= 0)
        want[i * V + best] = l2wrap * (double)x->data[i * V + best] / scored;
    }
    check_close_double("l2wrap", added, want, R * V, VALUE_TOL);
  }
  tensor_free(x);
}

static void argmax_takes_the_first_of_equals(void **state)
{
  (void)state;
  const real numbers[] = {1, 3, 3, 2, /**/ 5, 5, 5, 5, /**/ -3, -2, -4, -2, /**/ 0, 1, 2, 3};
  int best[4], one = 7;
  Tape *tp = tape_new();
  Tensor *x = tape_tensor(tp, 2, (int[]){4, 4});
  tensor_write(x, 0, 16, numbers);
  t_argmax(tp, x, best);
  assert_memory_equal(best, ((int[]){1, 0, 1, 3}), sizeof best);
  t_argmax(tp, tape_zeros(tp, 1, (int[]){1}), &one);
  assert_int_equal(one, 0);
  tape_free(tp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_ops),
      cmocka_unit_test(unary_ops_at_extremes),
      cmocka_unit_test(unary_ops_pass_nan_on),
      cmocka_unit_test(binary_ops_pass_nan_on),
      cmocka_unit_test(binary_ops),
      cmocka_unit_test(an_operand_may_be_used_twice),
      cmocka_unit_test(a_tie_passes_its_gradient_on_once),
      cmocka_unit_test(comparisons),
      cmocka_unit_test(a_nan_is_only_unequal),
      cmocka_unit_test(choices),
      cmocka_unit_test(an_infinity_that_is_not_chosen),
      cmocka_unit_test(repeats),
      cmocka_unit_test(running_sums),
      cmocka_unit_test(clamp),
      cmocka_unit_test(clamp_lets_gradient_through_inside_only),
      cmocka_unit_test(affine_and_lerp),
      cmocka_unit_test(linear_maps),
      cmocka_unit_test(normalisation),
      cmocka_unit_test(l2norm_of_zero),
      cmocka_unit_test(norm_of_equal_numbers),
      cmocka_unit_test(reshape_slice_concat),
      cmocka_unit_test(append),
      cmocka_unit_test(copy_scores),
      cmocka_unit_test(linear_attention),
      cmocka_unit_test(sums_and_means),
      cmocka_unit_test(empty_tensors),
      cmocka_unit_test(packed_maps),
      cmocka_unit_test(linear_over_nothing),
      cmocka_unit_test(cross_entropy),
      cmocka_unit_test(nothing_scored),
      cmocka_unit_test(huge_logits),
      cmocka_unit_test(l2wrap_changes_the_gradient_only),
      cmocka_unit_test(argmax_takes_the_first_of_equals),
  };
  return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
