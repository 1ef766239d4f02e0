/* Checks of numbers: at once where they are in the process's memory; otherwise put down, and looked at when something
   is read, before the way back, or when the step ends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "far.h"

#include "engine/backend.h"
#include "engine/tape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 600 };

/* ---- the op ---- */

static void check_rule(unsigned rule, const real *x, size_t n, double low, double high, double index, double number)
{
  acc found[2];
  k_bounds(&(Bounds){found, x, (acc)low, (acc)high, rule, n});
  assert_true((double)found[0] == index);
  assert_true(isnan(number) ? isnan((double)found[1]) : (double)found[1] == number);
}

static void check_found(const real *x, size_t n, double low, double high, double index, double number)
{
  check_rule(0, x, n, low, high, index, number);
}

static void finds_the_first(void **state)
{
  (void)state;
  real x[] = {0, 1, -1, 2, 1, (real)INFINITY, 3, (real)NAN, -(real)INFINITY};
  check_found(x, 5, -INFINITY, INFINITY, -1, 0);
  check_found(x, 9, -INFINITY, INFINITY, 5, INFINITY);
  check_found(x + 6, 3, -INFINITY, INFINITY, 1, NAN);
  check_found(x + 8, 1, -INFINITY, INFINITY, 0, -INFINITY);
  check_found(x, 5, -INFINITY, 1, 3, 2);
  check_found(x, 5, 0, 2, 2, -1);
  check_found(x, 5, -1, 2, -1, 0);
  check_found(x, 0, 5, 6, -1, 0);
}

static void what_else_is_right(void **state)
{
  (void)state;
  real x[] = {0, 1, 1, (real)INFINITY, (real)NAN, -(real)INFINITY, 0.5};
  check_rule(ALSO_INFINITE, x, 7, -INFINITY, INFINITY, 4, NAN);
  check_rule(ALSO_INFINITE, x, 7, 0, 1, 3, INFINITY);
  check_rule(ALSO_INFINITE | ALSO_NAN, x, 7, 0, INFINITY, 5, -INFINITY);
  check_rule(ALSO_NAN, x, 7, -INFINITY, INFINITY, 3, INFINITY);
  check_rule(ONLY_ENDS, x, 3, 0, 1, -1, 0);
  check_rule(ONLY_ENDS, x + 6, 1, 0, 1, 0, 0.5);
}

/* ---- checks of tensors ---- */

static Tape *tp;

static const char *whose(const void *arg) { return arg; }

static Tensor *with_number(size_t at, double x)
{
  Tensor *t = tape_zeros(tp, 2, (int[]){2, N / 2});
  tensor_write(t, at, 1, &(real){(real)x});
  return t;
}

static void check_one(void *t)
{
  bounds_check(tp->checks, t, &(BoundsRange){-INFINITY, 0, 0, "at most 0"}, whose, "it is");
}

static void at_once(void **state)
{
  (void)state;
  tp = tape_new();
  check_one(with_number(3, -1));
  expect_failure(check_one, with_number(301, 2.5), "it is 2.5 at [2,2], expected at most 0");
  expect_failure(check_one, with_number(0, -(double)INFINITY), "it is -inf at [1,1], expected at most 0");
  tape_free(tp);
}

static void end_step(void *unused) { (void)unused, tape_reset(tp); }
static void rewind_to(void *mark) { tape_rewind(tp, *(TapeMark *)mark); }
static void back(void *loss) { tape_backward(tp, loss); }
static void read_one(void *t)
{
  real x;
  tensor_read(t, 0, 1, &x);
}

/* What is put down, in this order: right, too large, NaN. */
static void put_down(void)
{
  check_one(with_number(0, -3));
  bounds_check(tp->checks, with_number(299, 3), &(BoundsRange){0, 2, 0, "0 to 2"}, whose, "this is");
  check_one(with_number(1, (double)NAN));
}

static const char *const first_wrong = "this is 3 at [1,300], expected 0 to 2";

static int far_away(void **state)
{
  (void)state;
  backend_use(&backend_far);
  tp = tape_new();
  return 0;
}

static int home_again(void **state)
{
  (void)state;
  tape_free(tp);
  backend_use(&backend_reference);
  return 0;
}

static void looked_at_when_read(void **state)
{
  (void)state;
  Tensor *t = tape_zeros(tp, 1, (int[]){1});
  put_down();
  expect_failure(read_one, t, first_wrong);
  read_one(t); /* it is told once */
  tape_reset(tp);
}

static void looked_at_before_the_way_back(void **state)
{
  (void)state;
  Tensor *x = new_leaf(0, NULL, true);
  Tensor *loss = t_affine(tp, x, 2, 0);
  put_down();
  expect_failure(back, loss, first_wrong);
  assert_false(x->reached);
  back(loss);
  assert_true(x->reached);
  tape_reset(tp);
  tensor_free(x);
}

static void looked_at_when_the_step_ends(void **state)
{
  (void)state;
  uint64_t generation = tp->generation;
  put_down();
  expect_failure(end_step, NULL, first_wrong);
  assert_true(tp->generation == generation + 1);
  end_step(NULL);
  TapeMark mark = tape_mark(tp);
  put_down();
  expect_failure(rewind_to, &mark, first_wrong);
  assert_int_equal(tape_mark(tp).arena.used, mark.arena.used);
}

/* More than there is room for at first, and the last is wrong. */
static void many(void **state)
{
  (void)state;
  Tensor *right = with_number(0, -1), *wrong = with_number(77, 1);
  for (int i = 0; i < 1000; i++) check_one(right);
  check_one(wrong);
  expect_failure(end_step, NULL, "it is 1 at [1,78], expected at most 0");
}

static void of_two_tapes(void **state)
{
  (void)state;
  Tape *other = tape_new(), *own = tp;
  put_down();
  tp = other;
  Tensor *t = with_number(0, 0);
  tp = own;
  expect_failure(read_one, t, first_wrong);
  put_down();
  tape_free(other);
  expect_failure(end_step, NULL, first_wrong);
  put_down(); /* and is forgotten with its tape */
}

int main(void)
{
  unprotected_failures_fail_the_test();
#define FAR(f) cmocka_unit_test_setup_teardown(f, far_away, home_again)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_the_first),
      cmocka_unit_test(what_else_is_right),
      cmocka_unit_test(at_once),
      FAR(looked_at_when_read),
      FAR(looked_at_before_the_way_back),
      FAR(looked_at_when_the_step_ends),
      FAR(many),
      FAR(of_two_tapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
