/* Found numbers against those expected: planted errors, at the ends of the parts that numbers come in, too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "io/compare.h"

#include <math.h>
#include <string.h>

enum { N = 1200 }; /* more than two parts of 512 */
static double expected[N], found[N];

static Comparison all_of(size_t positions, size_t row)
{
  return (Comparison){compare_doubles(found),
                      compare_doubles(expected),
                      .n = N,
                      .all = N,
                      .period = N,
                      .positions = positions,
                      .row = row,
                      .tol = 1e-6};
}

static int numbers(void **state)
{
  (void)state;
  Rng r = rng_new(1, 2);
  for (size_t i = 0; i < N; i++) expected[i] = found[i] = rng_normal(&r) / 2;
  return 0;
}

static void errors(void **state)
{
  (void)state;
  static const struct {
    double found, expected, scale, error;
  } cases[] = {
      {1, 1, 1, 0},
      {1.5, 1, 1, .5},
      {3, 2, 1, .5},
      {.3, .2, .5, .2},
      {-.1, .1, 1, .2},
      {NAN, NAN, 1, 0},
      {NAN, 1, 1, HUGE_VAL},
      {1, NAN, 1, HUGE_VAL},
      {HUGE_VAL, HUGE_VAL, 1, 0},
      {HUGE_VAL, -HUGE_VAL, 1, HUGE_VAL},
      {1, HUGE_VAL, 1, HUGE_VAL},
      {HUGE_VAL, 1, 1, HUGE_VAL},
      {0, -0.0, 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double e = compare_error(cases[i].found, cases[i].expected, cases[i].scale);
    if (!(e == cases[i].error || fabs(e - cases[i].error) < 1e-15))
      fail_msg("%g against %g is an error of %g, expected %g", cases[i].found, cases[i].expected, e, cases[i].error);
  }
}

static void scales(void **state)
{
  (void)state;
  check_number("small", compare_scale(compare_doubles((double[]){1e-5, -1e-4}), 2), 1e-3, 1e-15);
  check_number("between", compare_scale(compare_doubles((double[]){.2, -.3, NAN, HUGE_VAL}), 4), .3, 1e-15);
  check_number("large", compare_scale(compare_doubles((double[]){.2, -30}), 2), 1, 1e-15);
  check_number("none", compare_scale(compare_doubles(NULL), 0), 1e-3, 1e-15);
  memset(expected, 0, sizeof expected);
  expected[N - 1] = .5;
  check_number("the last", compare_scale(compare_doubles(expected), N), .5, 1e-15);
}

/* One error anywhere is the worst, the first, and all of the mean square. */
static void one_error(void **state)
{
  (void)state;
  Comparison c = all_of(1, 1);
  Difference d = compare_numbers(&c);
  assert_true(d.worst == 0 && d.rms == 0 && !d.above && d.scale == 1);
  static const size_t places[] = {0, 1, 511, 512, 513, 1023, 1024, N - 1};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    numbers(NULL);
    found[places[i]] += 3;
    d = compare_numbers(&c);
    double error = 3 / fmax(1, fabs(expected[places[i]]));
    check_number("worst", d.worst, error, 1e-14);
    check_number("rms", d.rms, error / sqrt(N), 1e-14);
    check_number("absolute", d.worst_absolute, 3, 1e-14);
    check_number("relative", d.worst_relative, 3 / fabs(expected[places[i]]), 1e-12);
    assert_true(d.above && d.at == places[i] && d.first == places[i]);
  }
}

/* [3 sequences, 20 positions, 20]: the first position of any sequence comes first, there the worst number. */
static void positions(void **state)
{
  (void)state;
  double by[20];
  Comparison c = all_of(20, 20);
  c.by_position = by;
  found[(1 * 20 + 7) * 20 + 3] += .5;
  found[(2 * 20 + 7) * 20 + 5] += .75;
  found[(0 * 20 + 9) * 20 + 1] += 1;
  found[(0 * 20 + 2) * 20 + 1] += 1e-8; /* below the tolerance */
  Difference d = compare_numbers(&c);
  assert_int_equal(d.first, (2 * 20 + 7) * 20 + 5);
  assert_int_equal(d.at, (0 * 20 + 9) * 20 + 1);
  for (int t = 0; t < 20; t++) {
    bool exact = t != 7 && t != 9 && t != 2;
    assert_true(by[t] == 0 || !exact);
  }
  assert_true(by[2] > 0 && by[2] < 1e-6 && by[7] > .1 && by[9] > .1);
}

/* The last position alone, and what is repeated at all positions. */
static void parts_and_repeats(void **state)
{
  (void)state;
  double by[20];
  Comparison c = all_of(20, 60);
  memcpy(found, expected + N - 60, 60 * sizeof *found);
  c.n = c.period = 60, c.offset = N - 60, c.by_position = by;
  Difference d = compare_numbers(&c);
  assert_true(d.worst == 0 && by[19] == 0 && by[18] < 0);
  found[59] = NAN;
  d = compare_numbers(&c);
  assert_true(isinf(d.worst) && isinf(d.rms) && d.first == 59 && d.strange == 1 && d.strange_expected == 0);
  for (size_t i = 0; i < N; i++) found[i] = expected[i % 24];
  c = (Comparison){compare_doubles(found),
                   compare_doubles(expected),
                   .n = N,
                   .all = 24,
                   .period = 24,
                   .positions = 1,
                   .row = 1,
                   .tol = 1e-6};
  assert_true(compare_numbers(&c).worst == 0);
  found[24 * 3 + 5] += 1;
  assert_int_equal(compare_numbers(&c).at, 24 * 3 + 5);
}

/* Tensors, their gradients and integers are read as they are. */
static void sources(void **state)
{
  (void)state;
  int ids[N];
  double part[N];
  Tensor *t = tensor_new(2, (int[]){N / 2, 2});
  for (int i = 0; i < N; i++) ids[i] = 2000000000 + i;
  compare_ints(ids).read(ids, 7, N - 7, part);
  assert_true(part[0] == 2000000007 && part[N - 8] == 2000000000 + N - 1);
  tensor_fill(t, 3);
  compare_tensor(t).read(t, 5, N - 5, part);
  assert_true(part[0] == 3 && part[N - 6] == 3);
  compare_gradient(t).read(t, 0, N, part);
  assert_true(part[0] == 0 && part[N - 1] == 0);
  tensor_free(t);
}

/* ---- what it is instead ---- */

static Likeness question(const char *function)
{
  return (Likeness){compare_doubles(found),
                    compare_doubles(expected),
                    .found_n = N,
                    .expected_n = N,
                    .function = compare_function(function),
                    .scale = 1,
                    .tol = 1e-9};
}

/* The box is all of both, [30,40] as expected: found in rows, columns, backwards; one number off is seen anywhere. */
static void boxes(void **state)
{
  (void)state;
  static const CompareBox kinds[] = {
      {2, {30, 40}, {40, 1}, {40, 1}, 0, 0},
      {2, {40, 30}, {30, 1}, {1, 40}, 0, 0},
      {2, {30, 40}, {40, 1}, {-40, -1}, 0, N - 1},
      {4, {2, 15, 1, 40}, {600, 40, 7, 1}, {600, 40, 9, 1}, 0, 0},
  };
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    const CompareBox *b = &kinds[k];
    for (size_t i = 0; i < N; i++) {
      ptrdiff_t at = (ptrdiff_t)b->expected_from, left = (ptrdiff_t)i;
      for (int axis = b->axes - 1; axis >= 0; axis--) {
        at += left % (ptrdiff_t)b->size[axis] * b->expected_step[axis];
        left /= (ptrdiff_t)b->size[axis];
      }
      found[i] = 2 * expected[at];
    }
    Likeness l = question("times");
    l.k[0] = 2;
    assert_true(compare_like(&l, b) && l.worst == 0 && l.count == N);
    for (size_t i = 0; i < N; i += 37) {
      found[i] += 1e-6;
      assert_false(compare_like(&l, b));
      found[i] -= 1e-6;
    }
  }
}

typedef struct {
  Likeness l;
  CompareBox b;
} Asked;
static void ask(void *arg) { compare_like(&((Asked *)arg)->l, &((Asked *)arg)->b); }

static void boxes_beyond_the_numbers(void **state)
{
  (void)state;
  static const CompareBox kinds[] = {
      {1, {N + 1}, {1}, {0}, 0, 0},   {1, {N + 1}, {0}, {1}, 0, 0}, {1, {2}, {1}, {-1}, 0, 0},
      {2, {2, 2}, {N, 1}, {0}, 0, 0}, {0, {0}, {0}, {0}, N, 0},     {1, {N}, {1}, {1}, 0, 1},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    expect_failure(ask, &(Asked){question("same"), kinds[i]}, "there are 1200");
  Likeness l = question("same");
  assert_true(compare_like(&l, &(CompareBox){1, {0}, {1}, {1}, 0, 5 * N})); /* nothing is nowhere */
  assert_null(compare_function("nothing"));
}

static void sums_of_both(void **state)
{
  (void)state;
  for (size_t i = 0; i < N; i++) found[i] = 3 * fmin(expected[i], .5);
  found[7] = NAN, expected[8] = HUGE_VAL;
  CompareSums s = compare_sums(compare_doubles(found), compare_doubles(expected), N);
  size_t high = 0;
  for (size_t i = 0; i < N; i++) high += found[i] == 1.5;
  assert_true(s.finite == N - 2 && s.found_high == 1.5 && s.high == high && high > 100 && s.low == 1);
  for (size_t i = 0; i < N; i++) found[i] = -3 * expected[i];
  found[8] = 0, expected[8] = 0;
  check_number("ratio", compare_sums(compare_doubles(found), compare_doubles(expected), N).ratio, -3, 1e-12);
}

/* [4, 15, 20]: slices in another order, one of zeros, one that is none; and which indices are off. */
static void slices(void **state)
{
  (void)state;
  int order[15];
  CompareSlice room[30];
  for (size_t i = 0; i < N; i++) {
    size_t slice = i / 20 % 15;
    found[i] = slice == 3 ? 0 : slice == 4 ? 7 : expected[i / 300 * 300 + slice * 7 % 15 * 20 + i % 20];
  }
  Likeness l = question("same");
  compare_order(&l, 4, 15, 20, room, order);
  for (int i = 0; i < 15; i++) assert_int_equal(order[i], i == 3 ? COMPARE_ZEROS : i == 4 ? COMPARE_NONE : i * 7 % 15);
  numbers(NULL);
  found[2 * 300 + 5 * 20 + 19] += 1, found[3 * 300 + 6 * 20 + 19] = NAN;
  bool first[4] = {false}, second[15] = {false}, third[20] = {false};
  compare_marks(&l, 3, (size_t[]){4, 15, 20}, (bool *[]){first, second, third});
  for (int i = 0; i < 4; i++) assert_true(first[i] == (i >= 2));
  for (int i = 0; i < 15; i++) assert_true(second[i] == (i == 5 || i == 6));
  for (int i = 0; i < 20; i++) assert_true(third[i] == (i == 19));
}

static void rows_of_softmax(void **state)
{
  (void)state;
  for (size_t r = 0; r < 2; r++) {
    double sum = 0;
    for (size_t i = 0; i < 600; i++) sum += exp(expected[r * 600 + i]);
    for (size_t i = 0; i < 600; i++) found[r * 600 + i] = expected[r * 600 + i] - log(sum);
  }
  Likeness l = question("same");
  assert_true(compare_softmax(&l, 2, 600, true) && l.count == N);
  assert_false(compare_softmax(&l, 2, 600, false));
  for (size_t i = 0; i < N; i++) found[i] = exp(found[i]);
  assert_true(compare_softmax(&l, 2, 600, false));
  assert_false(compare_softmax(&l, 3, 400, false));
}

#define TEST(name) cmocka_unit_test_setup(name, numbers)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(errors),
      TEST(scales),
      TEST(one_error),
      TEST(positions),
      TEST(parts_and_repeats),
      TEST(sources),
      TEST(boxes),
      TEST(boxes_beyond_the_numbers),
      TEST(sums_of_both),
      TEST(slices),
      TEST(rows_of_softmax),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
