/* Tensors: shapes, reading and writing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

static void shapes_and_counts(void **state)
{
  (void)state;
  assert_int_equal(shape_count(0, NULL), 1);
  assert_int_equal(shape_count(3, (int[]){2, 3, 5}), 30);
  assert_int_equal(shape_count(2, (int[]){0, 7}), 0);
  assert_string_equal(shape_text(0, NULL), "[]");
  assert_string_equal(shape_text(4, (int[]){1, -2, 2147483647, 4}), "[1,-2,2147483647,4]");
  Tensor *a = tensor_new(2, (int[]){2, 3}), *b = tensor_new(2, (int[]){3, 2}), *c = tensor_new(3, (int[]){2, 3, 1});
  Tensor *scalar = tensor_new(0, NULL);
  assert_string_equal(tensor_shape(a), "[2,3]");
  assert_true(tensor_same_shape(a, a) && tensor_same_shape(scalar, scalar));
  assert_false(tensor_same_shape(a, b) || tensor_same_shape(a, c) || tensor_same_shape(a, scalar));
  assert_int_equal(scalar->n, 1);
  for (size_t i = 0; i < a->n; i++) assert_true(a->data[i] == 0);
  free_leaves((Tensor *[]){a, b, c, scalar}, 4);
  tensor_free(NULL);
}

static void negative_size(void *arg) { tensor_free(tensor_new(2, (int[]){2, *(int *)arg})); }
static void many_axes(void *arg) { tensor_free(tensor_new(*(int *)arg, (int[]){1, 1, 1, 1, 1})); }
static void huge(void *arg) { shape_count(4, arg); }

static void bad_shapes_fail(void **state)
{
  (void)state;
  expect_failure(negative_size, &(int){-3}, "a tensor's size cannot be negative: [2,-3]");
  expect_failure(many_axes, &(int){5}, "a tensor has 0 to 4 axes, not 5");
  expect_failure(many_axes, &(int){-1}, "a tensor has 0 to 4 axes, not -1");
  expect_failure(huge, (int[]){1 << 30, 1 << 30, 1 << 30, 1 << 30}, "is too large");
  expect_failure(huge, (int[]){65536, 65536, 65536, 65536}, "[65536,65536,65536,65536] is too large");
}

typedef struct {
  Tensor *t;
  size_t from, n;
} Access;

static void read_it(void *arg)
{
  real out[8];
  Access *a = arg;
  tensor_read(a->t, a->from, a->n, out);
}

static void write_it(void *arg)
{
  static const real in[8];
  Access *a = arg;
  tensor_write(a->t, a->from, a->n, in);
}

static void reading_and_writing_stay_inside(void **state)
{
  (void)state;
  Tensor *t = tensor_new(2, (int[]){2, 3});
  const real in[] = {1, 2, 3};
  real out[8] = {0};
  tensor_write(t, 2, 3, in);
  tensor_read(t, 0, 6, out);
  assert_memory_equal(out, ((real[]){0, 0, 1, 2, 3, 0, 0, 0}), sizeof out);
  tensor_read(t, 6, 0, out);
  tensor_fill(t, 5);
  for (int i = 0; i < 6; i++) assert_true(t->data[i] == 5);
  static const size_t bad[][2] = {{0, 7}, {6, 1}, {7, 0}, {5, 2}, {SIZE_MAX, 2}, {2, SIZE_MAX}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    Access a = {t, bad[i][0], bad[i][1]};
    expect_failure(read_it, &a, "the tensor has 6");
    expect_failure(write_it, &a, "the tensor has 6");
  }
  tensor_free(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_and_counts),
      cmocka_unit_test(bad_shapes_fail),
      cmocka_unit_test(reading_and_writing_stay_inside),
  };
  return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
