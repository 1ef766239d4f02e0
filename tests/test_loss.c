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

static Tensor *run_head_loss(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_head_loss(tp, leaf[0], leaf[1], c->index, 0, NULL);
}

static void want_head_loss(double *y, double *const *x, const OpCase *c)
{
  size_t V = (size_t)c->leaf[1].shape[0], C = (size_t)c->leaf[1].shape[1], scored = 0;
  for (size_t i = 0; i < count_of(&c->leaf[0]) / C; i++) {
    double sum = 0, own = 0;
    if (c->index[i] < 0) continue;
    for (size_t j = 0; j < V; j++) {
      double logit = 0;
      for (size_t k = 0; k < C; k++) logit += x[0][i * C + k] * x[1][j * C + k];
      sum += exp(logit);
      if (j == (size_t)c->index[i]) own = logit;
    }
    y[0] += log(sum) - own;
    scored++;
  }
  y[0] /= (double)scored;
}

static void head_loss(void **state)
{
  (void)state;
  static const OpCase cases[] = {
      {"head_loss", run_head_loss, want_head_loss, NULL, 2, {SHAPE(6, 3), SHAPE(5, 3)}, .index = targets},
      {"head_loss [B,T,C]", run_head_loss, want_head_loss, NULL, 2, {SHAPE(2, 3, 4), SHAPE(9, 4)}, .index = targets},
      {"head_loss, one channel", run_head_loss, want_head_loss, NULL, 2, {SHAPE(1, 1), SHAPE(3, 1)}, .index = targets},
  };
  check_all(cases, COUNT_OF(cases));
}

/* It gives what the loss of the logits gives, gradients and l2wrap too, whatever flows in. */
static void head_loss_is_the_loss_of_the_logits(void **state)
{
  (void)state;
  enum { R = 6, C = 7, V = 11 };
  static const double l2wraps[] = {0, 0.125}, incoming[] = {1, 3};
  Rng rng = rng_new(5, 1);
  Tensor *leaf[] = {random_leaf(2, (int[]){R, C}, &rng, 1, true), random_leaf(2, (int[]){V, C}, &rng, 1, true)};
  for (int i = 0; i < 4; i++) {
    double want[(R + V) * C], got[(R + V) * C], loss[2];
    int best[2][R];
    for (int fused = 0; fused < 2; fused++) {
      Tape *tp = tape_new();
      zero_grads(leaf, 2);
      Tensor *logits = t_linear(tp, leaf[0], leaf[1]), *y;
      if (fused) y = t_head_loss(tp, leaf[0], leaf[1], targets, l2wraps[i / 2], best[1]);
      else y = t_cross_entropy(tp, logits, targets, l2wraps[i / 2]), t_argmax(tp, logits, best[0]);
      loss[fused] = y->data[0];
      tape_backward(tp, t_affine(tp, y, incoming[i % 2], 0));
      for (int k = 0; k < R * C; k++) (fused ? got : want)[k] = leaf[0]->grad[k];
      for (int k = 0; k < V * C; k++) (fused ? got : want)[R * C + k] = leaf[1]->grad[k];
      tape_free(tp);
    }
    check_close_double("loss", loss, loss + 1, 1, VALUE_TOL);
    check_close_double("gradients", got, want, (R + V) * C, VALUE_TOL);
    assert_memory_equal(best[0], best[1], sizeof best[0]);
  }
  tensor_free(leaf[0]);
  tensor_free(leaf[1]);
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
      {"head_loss: target 3 at row 2, expected at most 2",
       {.run = run_head_loss, .leaves = 2, .leaf = {SHAPE(3, 2), SHAPE(3, 2)}, .index = too_large}},
      {"head_loss: x [3,2] does not fit a head [3,4] [V,C]",
       {.run = run_head_loss, .leaves = 2, .leaf = {SHAPE(3, 2), SHAPE(3, 4)}, .index = targets}},
      {"head_loss: x [3,2] does not fit a head [2] [V,C]",
       {.run = run_head_loss, .leaves = 2, .leaf = {SHAPE(3, 2), SHAPE(2)}, .index = targets}},
      {"head_loss: x [] does not fit a head [0,2] [V,C]",
       {.run = run_head_loss, .leaves = 2, .leaf = {SCALAR, SHAPE(0, 2)}, .index = targets}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cross_entropy),
      cmocka_unit_test(head_loss),
      cmocka_unit_test(head_loss_is_the_loss_of_the_logits),
      cmocka_unit_test(nothing_scored),
      cmocka_unit_test(huge_logits),
      cmocka_unit_test(l2wrap_changes_the_gradient_only),
      cmocka_unit_test(argmax_takes_the_first_of_equals),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
