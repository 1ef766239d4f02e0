/* The tape: steps, what is recorded, and the way back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

static Tensor *number(real value)
{
  Tensor *x = new_leaf(0, NULL, true);
  x->data[0] = value;
  return x;
}

typedef struct {
  Tape *tp;
  Tensor *t;
} On;

static void run_backward(void *arg) { tape_backward(((On *)arg)->tp, ((On *)arg)->t); }
static void use(void *arg) { t_exp(((On *)arg)->tp, ((On *)arg)->t); }

typedef struct {
  TapeWatcher watcher;
  Tensor *watched;
  int calls;
  double saved;
} Saver;

static void save(TapeWatcher *self)
{
  Saver *s = (Saver *)self;
  s->calls++;
  if (s->watched) s->saved = s->watched->data[0];
  s->watched = NULL;
}

static void reset_ends_a_step(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  assert_true(tp->recording);
  Tensor *x = number(3);
  Saver second = {.watcher = {save, NULL}}, first = {.watcher = {save, &second.watcher}};
  tp->watchers = &first.watcher;
  first.watched = t_affine(tp, x, 2, 1);
  uint64_t before = tp->generation;
  tape_reset(tp);
  assert_true(tp->generation > before);
  assert_null(tp->last);
  assert_int_equal(first.calls, 1);
  assert_int_equal(second.calls, 1);
  assert_true(first.saved == 7); /* the arena was still there when it looked */
  tp->watchers = NULL;
  tape_free(tp);
  tape_free(NULL);
  tensor_free(x);
}

static void one_step(Tape *tp, Tensor **leaf)
{
  Tensor *S = leaf[1];
  Tensor *y = t_wkv7(tp, leaf[0], t_neg(tp, t_exp(tp, leaf[0])), leaf[0], leaf[0], leaf[0], leaf[0], &S);
  tape_backward(tp, t_add(tp, t_sum_all(tp, t_tanh(tp, y)), t_sum_all(tp, S)));
}

static void a_steady_loop_holds_no_more_memory(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Rng rng = rng_new(1, 1);
  Tensor *leaf[] = {random_leaf(3, (int[]){8, 64, 64}, &rng, 0.1, true),
                    random_leaf(4, (int[]){8, 4, 16, 16}, &rng, 0.1, true)};
  one_step(tp, leaf);
  size_t held = arena_bytes(&tp->arena), numbers = arena_bytes(&tp->numbers);
  for (int i = 0; i < 3; i++) {
    tape_reset(tp);
    one_step(tp, leaf);
    assert_int_equal(arena_bytes(&tp->arena), held);
    assert_int_equal(arena_bytes(&tp->numbers), numbers);
  }
  free_leaves(leaf, 2);
  tape_free(tp);
}

static void recording_off_leaves_nothing(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(2), *constant = tape_zeros(tp, 0, NULL);
  tp->recording = false;
  Tensor *y = t_mul(tp, x, x);
  assert_null(tp->last);
  assert_false(y->needs_grad);
  assert_true(y->data[0] == 4);
  expect_failure(run_backward, &(On){tp, y}, "nothing that this number depends on needs a gradient");
  tp->recording = true;
  assert_false(t_exp(tp, constant)->needs_grad); /* nor do constants */
  assert_null(tp->last);
  Tensor *copy = tape_copy(tp, x);
  assert_false(copy->needs_grad);
  assert_true(copy->data[0] == 2 && copy->data != x->data);
  assert_true(x->grad[0] == 0);
  tensor_free(x);
  tape_free(tp);
}

static void backward_wants_one_number(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = new_leaf(2, (int[]){2, 3}, true);
  expect_failure(run_backward, &(On){tp, t_exp(tp, x)}, "backward starts from a single number, not from shape [2,3]");
  tensor_free(x);
  tape_free(tp);
}

static void backward_runs_once(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x), *z = t_mul(tp, y, x);
  tape_backward(tp, z);
  assert_true(x->grad[0] == 27);
  expect_failure(run_backward, &(On){tp, z}, "backward was already run");
  expect_failure(run_backward, &(On){tp, y}, "backward was already run");
  assert_true(x->grad[0] == 27);
  assert_true(z->data[0] == 27); /* values can still be read */
  tensor_free(x);
  tape_free(tp);
}

static void spent_tensors_pass_no_gradient(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x);
  tape_backward(tp, t_affine(tp, y, 2, 0));
  expect_failure(use, &(On){tp, y}, "comes from before backward(): no gradient can flow through it");
  assert_null(tp->last);
  tp->recording = false;
  assert_true(t_affine(tp, y, 1, 1)->data[0] == 10);
  tp->recording = true;
  Tensor *detached = tape_copy(tp, y);
  Tensor *z = t_mul(tp, detached, x); /* leaves are never spent */
  zero_grads(&x, 1);
  tape_backward(tp, z);
  assert_true(x->grad[0] == 9);
  tensor_free(x);
  tape_free(tp);
}

/* A reshaped tensor is its base under another name: it is spent with it, whenever it was made. */
static void spent_through_a_reshape(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x), *before = t_reshape(tp, y, 1, (int[]){1});
  Tensor *loss = t_reshape(tp, t_affine(tp, before, 2, 0), 0, (int[]){0});
  tape_backward(tp, loss);
  assert_true(x->grad[0] == 12);
  Tensor *after = t_reshape(tp, y, 1, (int[]){1});
  expect_failure(use, &(On){tp, after}, "comes from before backward()");
  expect_failure(use, &(On){tp, before}, "comes from before backward()");
  expect_failure(run_backward, &(On){tp, loss}, "backward was already run");
  tensor_free(x);
  tape_free(tp);
}

static void two_losses_one_after_the_other(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3);
  tape_backward(tp, t_mul(tp, x, x));
  assert_true(x->grad[0] == 6);
  tape_backward(tp, t_affine(tp, x, 5, 0));
  assert_true(x->grad[0] == 11);
  tape_backward(tp, x); /* a leaf is a function of itself */
  assert_true(x->grad[0] == 12);
  tensor_free(x);
  tape_free(tp);
}

/* What the loss does not depend on gets nothing, even if it stands on the same tape. */
static void only_what_the_loss_depends_on(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *other = number(5), *constant = tape_copy(tp, other);
  Tensor *aside = t_mul(tp, other, other);
  tape_backward(tp, t_mul(tp, x, constant));
  assert_true(x->grad[0] == 5 && other->grad[0] == 0);
  assert_null(constant->grad);
  assert_true(aside->data[0] == 25);
  free_leaves((Tensor *[]){x, other}, 2);
  tape_free(tp);
}

/* A tensor used in several places gathers the gradient of all before it passes it on. */
static void gradients_meet(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(2), *y = t_mul(tp, x, x), *z = t_mul(tp, y, y);
  Tensor *sum = t_add(tp, t_add(tp, z, y), t_mul(tp, z, x)); /* x^4 + x^2 + x^5 */
  tape_backward(tp, sum);
  assert_true(x->grad[0] == 4 * 8 + 2 * 2 + 5 * 16);
  tensor_free(x);
  tape_free(tp);
}

/* ---- what is written after it was computed with ---- */

static void an_operand_that_was_written_to(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x);
  tensor_fill(x, 5);
  expect_failure(run_backward, &(On){tp, y},
                 "backward: a tensor of shape [] was written to after it was computed with");
  assert_true(x->grad[0] == 0 && !x->reached);
  tape_backward(tp, t_mul(tp, x, x)); /* nothing is left of it */
  assert_true(x->grad[0] == 10);
  tensor_free(x);
  tape_free(tp);
}

/* The same of what the op gave (e^x), of a view, and of what is only read (a mask). */
static void results_views_and_masks_count(void **state)
{
  (void)state;
  for (int i = 0; i < 4; i++) {
    Tape *tp = tape_new();
    Tensor *x = number(3), *view = t_reshape(tp, x, 1, (int[]){1}), *mask = tape_number(tp, 1), *y;
    if (i == 0) y = t_exp(tp, x), tensor_fill(y, 5);
    else if (i == 1) y = t_reshape(tp, t_mul(tp, view, view), 0, NULL), tensor_fill(x, 5);
    else if (i == 2) y = t_mul(tp, x, x), tensor_fill(view, 5);
    else y = t_where(tp, mask, x, tape_number(tp, 0)), tensor_fill(mask, 0);
    expect_failure(run_backward, &(On){tp, y}, "was written to after it was computed with");
    tape_free(tp);
    tensor_free(x);
  }
}

/* A sum, and what a copy was made of: the way back reads neither. What the loss does not depend on may change, and so
   may what an older computation read that has had its backward pass. */
static void writes_that_do_no_harm(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *other = number(2), *sum = t_add(tp, t_affine(tp, x, 2, 0), other);
  Tensor *copy = t_affine(tp, x, 1, 0), *square = t_mul(tp, copy, copy), *aside = t_mul(tp, other, other);
  tensor_fill(x, 5), tensor_fill(other, 7);
  tape_backward(tp, t_add(tp, sum, square));
  assert_true(x->grad[0] == 2 + 6 && other->grad[0] == 1);
  assert_true(aside->data[0] == 4);
  tensor_fill(x, 10);
  zero_grads(&x, 1);
  tape_backward(tp, t_mul(tp, x, x));
  assert_true(x->grad[0] == 20);
  free_leaves((Tensor *[]){x, other}, 2);
  tape_free(tp);
}

/* Whether gradient has come at all since it was cleared is remembered: 0 may have come. */
static void what_gradient_has_reached(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *other = number(2), *view = t_reshape(tp, x, 1, (int[]){1});
  assert_false(x->reached);
  tape_backward(tp, t_affine(tp, t_sum_all(tp, view), 0, 1));
  assert_true(x->reached && x->grad[0] == 0 && !other->reached);
  tensor_clear_grad(view);
  assert_false(x->reached);
  tape_backward(tp, t_mul(tp, x, x));
  tensor_need_no_grad(x);
  assert_false(x->reached || x->needs_grad || tensor_has_grad(x));
  free_leaves((Tensor *[]){x, other}, 2);
  tape_free(tp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reset_ends_a_step),
      cmocka_unit_test(a_steady_loop_holds_no_more_memory),
      cmocka_unit_test(recording_off_leaves_nothing),
      cmocka_unit_test(backward_wants_one_number),
      cmocka_unit_test(backward_runs_once),
      cmocka_unit_test(spent_tensors_pass_no_gradient),
      cmocka_unit_test(spent_through_a_reshape),
      cmocka_unit_test(two_losses_one_after_the_other),
      cmocka_unit_test(only_what_the_loss_depends_on),
      cmocka_unit_test(gradients_meet),
      cmocka_unit_test(an_operand_that_was_written_to),
      cmocka_unit_test(results_views_and_masks_count),
      cmocka_unit_test(writes_that_do_no_harm),
      cmocka_unit_test(what_gradient_has_reached),
  };
  return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
