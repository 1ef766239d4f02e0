/* Pointwise ops of operands that broadcast against each other: arithmetic, comparing, choosing, repeating. Values
   against formulas written down again here, and gradients against finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>
#include <stdio.h>

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
  case B_ADD: return a + b;
  case B_SUB: return a - b;
  case B_MUL: return a * b;
  case B_DIV: return a * (1 / b);
  case B_MAX: return a > b ? a : b;
  case B_MIN: return a < b ? a : b;
  case BINARY_COUNT: break;
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
  for (int d = 0; d < operand->axes; d++) own[d] = operand->shape[d] == 1 ? 0 : coordinate[d + dropped];
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
    check_op(&(OpCase){"with itself", run_with_itself, want_with_itself, fill_combs, 1, {SHAPE(3, 5)}, {kind}});
}

static void a_tie_passes_its_gradient_on_once(void **state)
{
  (void)state;
  for (int kind = B_MAX; kind <= B_MIN; kind++) {
    Tape *tp = tape_new();
    Tensor *a = new_leaf(1, (int[]){3}, true), *b = new_leaf(1, (int[]){3}, true);
    tape_backward(tp, t_sum_all(tp, t_binary(tp, (BinaryKind)kind, a, b)));
    for (int i = 0; i < 3; i++) assert_true(a->grad[i] + b->grad[i] == 1);
    tensor_free(a);
    tensor_free(b);
    tape_free(tp);
  }
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
    bool less = d<0, more = d> 0;
    bool holds[COMPARE_COUNT] = {
        [C_GT] = more, [C_GE] = !less, [C_LT] = less, [C_LE] = !more, [C_EQ] = !less && !more, [C_NE] = less || more};
    y[i] = holds[c->arg[0]];
  }
}

/* Few different numbers: some are equal. */
static void fill_whole(Tensor **leaf, const OpCase *c, Rng *rng)
{
  for (int i = 0; i < c->leaves; i++)
    for (size_t e = 0; e < leaf[i]->n; e++) leaf[i]->data[e] = (real)((double)rng_below(rng, 5) - 2);
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

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"add: shapes [2,3] and [2,4] do not fit: sizes must be equal or 1, from the last axis on",
       {.run = run_binary, .leaves = 2, .arg = {B_ADD}, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}}},
      {"add: shapes [2,3] and [2] do not fit",
       {.run = run_binary, .leaves = 2, .arg = {B_ADD}, .leaf = {SHAPE(2, 3), SHAPE(2)}}},
      {"div: shapes [2,1,3] and [3,2,3] do not fit",
       {.run = run_binary, .leaves = 2, .arg = {B_DIV}, .leaf = {SHAPE(2, 1, 3), SHAPE(3, 2, 3)}}},
      {"add: shapes [0] and [2] do not fit",
       {.run = run_binary, .leaves = 2, .arg = {B_ADD}, .leaf = {SHAPE(0), SHAPE(2)}}},
      {"ge: shapes [2,3] and [2,4] do not fit",
       {.run = run_compare, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}, .arg = {C_GE}}},
      {"where: shapes [3] and [4] do not fit", {.run = run_where, .leaves = 3, .leaf = {SHAPE(3), SHAPE(3), SHAPE(4)}}},
      {"where: shapes [2] and [2,3] do not fit",
       {.run = run_where, .leaves = 3, .leaf = {SHAPE(2), SHAPE(3), SHAPE(2, 1)}}},
      {"expand: [2,3] cannot become [3]: sizes must be equal",
       {.run = run_expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 3}}},
      {"expand: [2,3] cannot become [4,3]", {.run = run_expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 4, 3}}},
      {"expand: [2,3] cannot become a tensor of so many axes",
       {.run = run_expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {5, 1, 1, 1, 2, 3}}},
      {"cannot be negative: [-1,2,3]", /* there is no size that could stay */
       {.run = run_expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {3, -1, 2, 3}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binary_ops),
      cmocka_unit_test(an_operand_may_be_used_twice),
      cmocka_unit_test(a_tie_passes_its_gradient_on_once),
      cmocka_unit_test(binary_ops_pass_nan_on),
      cmocka_unit_test(comparisons),
      cmocka_unit_test(a_nan_is_only_unequal),
      cmocka_unit_test(choices),
      cmocka_unit_test(an_infinity_that_is_not_chosen),
      cmocka_unit_test(repeats),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
