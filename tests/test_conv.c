/* The short convolution: values written down again here, gradients against finite differences, and what it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

static Tensor *run_conv(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *carry = leaf[2], *y = t_conv(tp, leaf[0], leaf[1], &carry);
  return looked_at(tp, c, y, &carry, 1);
}

/* Token t of the sequence, which begins W - 1 before x. */
static double token(double *const *x, const OpCase *c, int b, int t, int channel)
{
  int T = c->leaf[0].shape[1], C = c->leaf[0].shape[2], before = c->leaf[1].shape[1] - 1;
  return t < before ? x[2][(b * before + t) * C + channel] : x[0][(b * T + t - before) * C + channel];
}

static void want_conv(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[0].shape[0], T = c->leaf[0].shape[1], C = c->leaf[0].shape[2], W = c->leaf[1].shape[1];
  for (int i = 0; c->arg[0] & OUTPUT && i < B * T * C; i++, y++)
    for (int j = 0; j < W; j++) *y += x[1][i % C * W + j] * token(x, c, i / (T * C), i / C % T + j, i % C);
  for (int i = 0; c->arg[0] & STATE && i < B * (W - 1) * C; i++)
    *y++ = token(x, c, i / ((W - 1) * C), T + i / C % (W - 1), i % C);
}

static void values_and_gradients(void **state)
{
  (void)state;
  static const Shape sizes[][3] = {{SHAPE(2, 5, 3), SHAPE(3, 4), SHAPE(2, 3, 3)},
                                   {SHAPE(1, 1, 1), SHAPE(1, 2), SHAPE(1, 1, 1)},
                                   {SHAPE(3, 1, 5), SHAPE(5, 4), SHAPE(3, 3, 5)},
                                   {SHAPE(1, 3, 2), SHAPE(2, 3), SHAPE(1, 2, 2)},
                                   {SHAPE(2, 2, 2), SHAPE(2, 6), SHAPE(2, 5, 2)}};
  for (size_t s = 0; s < COUNT_OF(sizes); s++)
    for (int what = OUTPUT; what <= BOTH; what++)
      check_op(&(OpCase){"conv", run_conv, want_conv, NULL, 3, {sizes[s][0], sizes[s][1], sizes[s][2]}, {what}});
}

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"conv: x is [3,4], expected [B,T,C], none of them 0",
       {.run = run_conv, .leaves = 3, .leaf = {SHAPE(3, 4), SHAPE(4, 2), SHAPE(3, 1, 4)}}},
      {"conv: w is [3,2], expected [4,W], W at least 2",
       {.run = run_conv, .leaves = 3, .leaf = {SHAPE(2, 3, 4), SHAPE(3, 2), SHAPE(2, 1, 4)}}},
      {"conv: w is [4,1], expected [4,W], W at least 2",
       {.run = run_conv, .leaves = 3, .leaf = {SHAPE(2, 3, 4), SHAPE(4, 1), SHAPE(2, 1, 4)}}},
      {"conv: carry is [2,2,4], expected [2,1,4]",
       {.run = run_conv, .leaves = 3, .leaf = {SHAPE(2, 3, 4), SHAPE(4, 2), SHAPE(2, 2, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_gradients),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("conv", tests, NULL, NULL);
}
