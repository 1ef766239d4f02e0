/* Reshaping, cutting, putting together, and sums along an axis: values written down again here, and gradients against
   finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>

/* ---- shapes ---- */

static Tensor *run_reshape(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_reshape(tp, leaf[0], c->arg[0], c->arg + 1);
  assert_ptr_equal(y->data, leaf[0]->data);
  assert_int_equal(y->axes, c->arg[0]);
  for (int d = 0; d < y->axes; d++)
    if (c->arg[1 + d] >= 0) assert_int_equal(y->shape[d], c->arg[1 + d]);
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

static Tensor *run_concat(Tape *tp, Tensor **leaf, const OpCase *c) { return t_concat(tp, leaf, c->leaves, c->arg[0]); }

static void want_concat(double *y, double *const *x, const OpCase *c)
{
  Shape whole = c->leaf[0];
  int axis = axis_of(&whole, c->arg[0]), from = 0, at[MAX_AXES];
  for (int p = 1; p < c->leaves; p++) whole.shape[axis] += c->leaf[p].shape[axis];
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
      {"concat last axis", run_concat, want_concat, NULL, 3, {SHAPE(2, 3, 1), SHAPE(2, 3, 5), SHAPE(2, 3, 1)}, {-1}},
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
    for (size_t i = 0; i < old; i++) *y++ = x[0][b * old + i];
    for (size_t i = 0; i < new; i++) *y++ = x[1][b * new + i];
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

/* ---- sums ---- */

static Tensor *run_sum(Tape *tp, Tensor **leaf, const OpCase *c)
{
  bool keep = c->arg[1], mean = c->arg[2];
  Tensor *y = mean ? t_mean(tp, leaf[0], c->arg[0], keep) : t_sum(tp, leaf[0], c->arg[0], keep);
  assert_int_equal(y->axes, leaf[0]->axes - !keep);
  if (keep) assert_int_equal(y->shape[axis_of(&c->leaf[0], c->arg[0])], 1);
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
  for (size_t i = 0; i < count_of(&c->leaf[0]); i++) y[0] += x[0][i];
}

static void sums_and_means(void **state)
{
  (void)state;
  static const Shape shapes[] = {SHAPE(2, 3, 4, 5), SHAPE(17), SHAPE(3, 1), SHAPE(1, 5)};
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    for (int axis = -shapes[s].axes; axis < shapes[s].axes; axis++)
      for (int how = 0; how < 4; how++)
        check_op(
            &(OpCase){how / 2 ? "mean" : "sum", run_sum, want_sum, NULL, 1, {shapes[s]}, {axis, how % 2, how / 2}});
    check_op(&(OpCase){"sum_all", run_sum_all, want_sum_all, NULL, 1, {shapes[s]}});
  }
  check_op(&(OpCase){"sum_all", run_sum_all, want_sum_all, NULL, 1, {SCALAR}});
}

static Tensor *run_cumsum(Tape *tp, Tensor **leaf, const OpCase *c) { return t_cumsum(tp, leaf[0], c->arg[0]); }

static void want_cumsum(double *y, double *const *x, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  int at[MAX_AXES], axis = axis_of(s, c->arg[0]);
  for (size_t i = 0; i < count_of(s); i++) {
    unravel(i, s, at);
    for (; at[axis] >= 0; at[axis]--) y[i] += x[0][ravel(at, s)];
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
  for (int i = 0; i < 3; i++) assert_true(row->grad[i] == 0);
  Tensor *sum = t_sum(tp, none, 0, false);
  for (int i = 0; i < 3; i++) assert_true(sum->data[i] == 0);
  assert_int_equal(t_slice(tp, row, 0, 3, 0)->n, 0);
  free_leaves((Tensor *[]){none, row}, 2);
  tape_free(tp);
}

/* ---- what it refuses ---- */

static Tensor *run_concat_nothing(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return (void)c, t_concat(tp, leaf, 0, 0);
}

static void refused(void **state)
{
  (void)state;
  static const int max = 0x7FFFFFFF;
  static const Refusal refusals[] = {
      {"reshape: [2,3] has 6 elements, [4] does not",
       {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 4}}},
      {"reshape: [2,3] has 6 elements, [4,-1] does not",
       {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 4, -1}}},
      {"reshape: only one size may be left open",
       {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, -1, -1}}},
      {"cannot be negative: [-2,-3]", {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, -2, -3}}},
      {"reshape: a tensor has 0 to 4 axes, not -1", {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(6)}, .arg = {-1}}},
      {"reshape: a tensor has 0 to 4 axes, not 5", {.run = run_reshape, .leaves = 1, .leaf = {SHAPE(6)}, .arg = {5}}},
      {"slice: 2 elements from 2 are not within axis 1 of [2,3]",
       {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 2, 2}}},
      {"slice: 1 elements from -1 are not within axis 0 of [2,3]",
       {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, -1, 1}}},
      {"slice: -1 elements from 1 are not within axis 0",
       {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, 1, -1}}},
      {"slice: 2147483647 elements from 2147483647 are not within axis 0",
       {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, max, max}}},
      {"slice: [2,3] has no axis 2", {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 0, 1}}},
      {"slice: [2,3] has no axis -3", {.run = run_slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {-3, 0, 1}}},
      {"concat: nothing to put together", {.run = run_concat_nothing, .leaves = 1, .leaf = {SHAPE(1)}}},
      {"concat: [2,3] and [2] have different numbers of axes",
       {.run = run_concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2)}}},
      {"concat: [2,3] and [2,4] differ outside axis 1",
       {.run = run_concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}}},
      {"concat: [2,3] has no axis 2", {.run = run_concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 3)}, .arg = {2}}},
      {"sum: [] has no axis 0", {.run = run_sum, .leaves = 1, .leaf = {SCALAR}}},
      {"sum: [2,3] has no axis 2", {.run = run_sum, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2}}},
      {"mean: [2,3] has no axis -3", {.run = run_sum, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {-3, 0, 1}}},
      {"cumsum: [2,3] has no axis 2", {.run = run_cumsum, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2}}},
      {"concat: [2,3,5] and [2,3,4] differ outside axis 2",
       {.run = run_append, .leaves = 2, .leaf = {SHAPE(2, 3, 5), SHAPE(2, 3, 4)}}},
      {"concat: [1,3,4] and [2,3,4] differ outside axis 2",
       {.run = run_append, .leaves = 2, .leaf = {SHAPE(1, 3, 4), SHAPE(2, 3, 4)}}},
      {"concat: [3,4] and [2,3,4] have different numbers of axes",
       {.run = run_append, .leaves = 2, .leaf = {SHAPE(3, 4), SHAPE(2, 3, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reshape_slice_concat), cmocka_unit_test(append),        cmocka_unit_test(sums_and_means),
      cmocka_unit_test(running_sums),         cmocka_unit_test(empty_tensors), cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
