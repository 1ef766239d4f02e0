/* The time shift: values written down again here, and gradients against finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

static Tensor *run_shift(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *carry = leaf[1], *prev = t_shift(tp, leaf[0], &carry);
  assert_int_equal(carry->axes, 2);
  return looked_at(tp, c, prev, &carry, 1);
}

static void want_shift(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[0].shape[0], T = c->leaf[0].shape[1], C = c->leaf[0].shape[2];
  if (c->arg[0] & OUTPUT)
    for (int b = 0; b < B; b++) {
      for (int i = 0; i < C; i++) *y++ = x[1][b * C + i];
      for (int i = 0; i < (T - 1) * C; i++) *y++ = x[0][b * T * C + i];
    }
  if (c->arg[0] & STATE)
    for (int b = 0; b < B; b++)
      for (int i = 0; i < C; i++) *y++ = x[0][((b + 1) * T - 1) * C + i];
}

static void shift(void **state)
{
  (void)state;
  static const Shape sizes[][2] = {{SHAPE(2, 5, 3), SHAPE(2, 3)},
                                   {SHAPE(1, 1, 1), SHAPE(1, 1)},
                                   {SHAPE(3, 1, 5), SHAPE(3, 5)},
                                   {SHAPE(1, 17, 2), SHAPE(1, 2)}};
  for (size_t s = 0; s < COUNT_OF(sizes); s++)
    for (int what = OUTPUT; what <= BOTH; what++)
      check_op(&(OpCase){"shift", run_shift, want_shift, NULL, 2, {sizes[s][0], sizes[s][1]}, {what}});
}

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"shift: x is [3,4], expected [B,T,C], none of them 0",
       {.run = run_shift, .leaves = 2, .leaf = {SHAPE(3, 4), SHAPE(3, 4)}}},
      {"shift: x is [2,0,4], expected [B,T,C], none of them 0",
       {.run = run_shift, .leaves = 2, .leaf = {SHAPE(2, 0, 4), SHAPE(2, 4)}}},
      {"shift: carry is [4], expected [2,4]", {.run = run_shift, .leaves = 2, .leaf = {SHAPE(2, 3, 4), SHAPE(4)}}},
      {"shift: carry is [2,3], expected [2,4]", {.run = run_shift, .leaves = 2, .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shift),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("shift", tests, NULL, NULL);
}
