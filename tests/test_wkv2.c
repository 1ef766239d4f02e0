/* wkv2: values against the closed form, without any recurrence of the kernel's shape; gradients through outputs, final
   states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

/* What was written before token t, faded: with v the sum a, without it b. */
static double sum2(double *const *x, const OpCase *c, int b, int ch, int t, bool with_v)
{
  int T = c->leaf[K2].shape[1], C = c->leaf[K2].shape[2];
  double sum = exp(t * x[W2][ch]) * x[with_v ? A2 : B2][b * C + ch];
  for (int s = 0; s < t; s++) {
    int at = (b * T + s) * C + ch;
    sum += exp(x[K2][at] + (t - 1 - s) * x[W2][ch]) * (with_v ? x[V2][at] : 1);
  }
  return sum;
}

static void want_wkv2(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[K2].shape[0], T = c->leaf[K2].shape[1], C = c->leaf[K2].shape[2];
  for (int i = 0; c->arg[LOOK_AT] & OUTPUT && i < B * T * C; i++) {
    int b = i / (T * C), t = i / C % T, ch = i % C;
    double now = exp(x[U2][ch] + x[K2][i]);
    *y++ = (sum2(x, c, b, ch, t, true) + now * x[V2][i]) / (sum2(x, c, b, ch, t, false) + now + c->number[EPS]);
  }
  for (int i = 0; c->arg[LOOK_AT] & STATE && i < 2 * B * C; i++) *y++ = sum2(x, c, i / C % B, i % C, T, i < B * C);
}

static void wkv2(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 1, 3}, {1, 1, 1, 1}, {3, 1, 1, 5}, {1, 17, 1, 5}, {2, 33, 1, 1}};
  static const double eps[] = {1e-16, 1e-8, 0.5};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++)
      for (size_t e = 0; e < COUNT_OF(eps); e++) {
        char name[64];
        snprintf(name, sizeof name, "wkv2 [%d,%d,%d] eps %g", sizes[i].B, sizes[i].T, sizes[i].N, eps[e]);
        OpCase c = wkv2_case(name, sizes[i], eps[e], what);
        c.want = want_wkv2, c.loosen = 4;
        check_op(&c);
      }
}

/* ---- what it refuses ---- */

static Tensor *run_wkv2(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *a = x[4], *b = x[5];
  return (void)c, t_wkv2(tp, x[0], x[1], x[2], x[3], 1e-8, &a, &b);
}

static void refused(void **state)
{
  (void)state;
  check_each_operand(
      (OpCase){.run = run_wkv2,
               .leaves = 6,
               .leaf = {SHAPE(4, 1), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4), SHAPE(2, 4)}},
      (const char *[]){"wkv2: w is [2,3,5], expected 4 numbers", "wkv2: u is [2,3,5], expected 4 numbers",
                       "wkv2: v is [2,3,4], expected [2,3,5] like e", "wkv2: v is [2,3,5], expected [2,3,4] like e",
                       "wkv2: state a is [2,3,5], expected [2,4]", "wkv2: state b is [2,3,5], expected [2,4]"});
  static const Refusal refusals[] = {
      {"wkv2: e is [3,4], expected [B,T,C], none of them 0",
       {.run = run_wkv2,
        .leaves = 6,
        .leaf = {SHAPE(4), SHAPE(4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv2),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("wkv2", tests, NULL, NULL);
}
