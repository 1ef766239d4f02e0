/* The loss, and the largest number of a row. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <math.h>
#include <stdlib.h>

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
    if (c->index[i] < 0) continue;
    for (size_t j = 0; j < V; j++) sum += exp(x[0][i * V + j]);
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
      {"cross_entropy [B,T,V]", run_cross_entropy, want_cross_entropy, NULL, 1, {SHAPE(2, 3, 17)}, .index = targets},
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
  for (size_t i = 0; i < x->n; i++) assert_true(x->grad[i] == 0);
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
  for (int i = 0; i < 6; i++) g[i] = x->grad[i];
  check_close_double("gradient", g, (double[]){0.5, -0.5, 0, third / 2, third / 2, third / 2 - 0.5}, 6, VALUE_TOL);
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
    for (int i = 0; i < R * V; i++) plain[i] = x->grad[i];
    assert_true(loss_and_gradient(x, targets, l2wrap, incoming) == loss);
    for (int i = 0; i < R * V; i++) added[i] = (double)x->grad[i] - plain[i];
    for (int i = 0; i < R; i++) {
      int best = 0;
      for (int j = 1; j < V; j++)
        if (x->data[i * V + j] > x->data[i * V + best]) best = j;
      if (targets[i] >= 0) want[i * V + best] = l2wrap * (double)x->data[i * V + best] / scored;
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

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const int too_large[] = {2, 3, -1};
  static const Refusal refusals[] = {
      {"cross_entropy: target 3 at row 2, expected at most 2",
       {.run = run_cross_entropy, .leaves = 1, .leaf = {SHAPE(3, 3)}, .index = too_large}},
      {"cross_entropy: logits are [..,V], not []",
       {.run = run_cross_entropy, .leaves = 1, .leaf = {SCALAR}, .index = too_large}},
      {"cross_entropy: logits are [..,V], not [3,0]",
       {.run = run_cross_entropy, .leaves = 1, .leaf = {SHAPE(3, 0)}, .index = too_large}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cross_entropy),
      cmocka_unit_test(nothing_scored),
      cmocka_unit_test(huge_logits),
      cmocka_unit_test(l2wrap_changes_the_gradient_only),
      cmocka_unit_test(argmax_takes_the_first_of_equals),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
