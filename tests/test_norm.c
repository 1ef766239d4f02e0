/* Normalisation: values against formulas written down again here, and gradients against finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>

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
      for (size_t l = 0; l < N; l++) squares += pow(group[j] - group[l], 2);
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
    for (size_t j = 0; j < N; j++) squares += pow(x[0][i / N * N + j], 2);
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
      {"layer_norm, 17", run_norm, want_norm, fill_spread, 3, {SHAPE(3, 17), SHAPE(17), SHAPE(17)}, {0}, {1e-5}},
      {"layer_norm of a row", run_norm, want_norm, fill_spread, 3, {SHAPE(5), SHAPE(5), SHAPE(5)}, {0}, {0.1}},
      {"layer_norm, C = 1", run_norm, want_norm, fill_spread, 3, {SHAPE(3, 1), SHAPE(1), SHAPE(1)}, {0}, {1e-2}},
      {"group_norm, H = 1", run_norm, want_norm, fill_spread, 3, {SHAPE(2, 2, 5), SHAPE(5), SHAPE(5)}, {1}, {1e-3}},
      {"group_norm, H = 3", run_norm, want_norm, fill_spread, 3, {SHAPE(2, 2, 15), SHAPE(15), SHAPE(15)}, {3}, {1e-3}},
      {"group_norm, H = 2", run_norm, want_norm, fill_spread, 3, {SHAPE(6), SHAPE(6), SHAPE(1, 6)}, {2}, {1e-3}},
      {"group_norm, H = C", run_norm, want_norm, fill_spread, 3, {SHAPE(3, 4), SHAPE(4), SHAPE(4)}, {4}, {1e-2}},
      {"l2norm", run_l2norm, want_l2norm, fill_spread, 1, {SHAPE(2, 3, 5)}, {1}, {1e-12}},
      {"l2norm, H = 3", run_l2norm, want_l2norm, fill_spread, 1, {SHAPE(2, 2, 15)}, {3}, {1e-12}},
      {"l2norm, N = 1", run_l2norm, want_l2norm, fill_around_zero, 1, {SHAPE(17)}, {17}, {1e-12}},
      {"l2norm below and above eps", run_l2norm, want_l2norm, fill_short_and_long, 1, {SHAPE(2, 15)}, {3}, {1}},
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

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"norm: weight [3] and bias [4] must have the 4 channels of x [2,4]",
       {.run = run_norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(3), SHAPE(4)}}},
      {"norm: weight [4] and bias [2] must have the 4 channels of x [2,4]",
       {.run = run_norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(2)}, .arg = {2}}},
      {"norm: [2,4] cannot be split into 3 heads",
       {.run = run_norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(4)}, .arg = {3}}},
      {"norm: [2,4] cannot be split into -2 heads",
       {.run = run_norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(4)}, .arg = {-2}}},
      {"norm: [] cannot be split into 1 heads", {.run = run_norm, .leaves = 3, .leaf = {SCALAR, SCALAR, SCALAR}}},
      {"l2norm: [5] cannot be split into 2 heads", {.run = run_l2norm, .leaves = 1, .leaf = {SHAPE(5)}, .arg = {2}}},
      {"l2norm: [5] cannot be split into 0 heads", {.run = run_l2norm, .leaves = 1, .leaf = {SHAPE(5)}, .arg = {0}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalisation),
      cmocka_unit_test(l2norm_of_zero),
      cmocka_unit_test(norm_of_equal_numbers),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("norm", tests, NULL, NULL);
}
