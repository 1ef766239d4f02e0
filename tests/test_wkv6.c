/* wkv6: values against the closed form, without any recurrence of the kernel's shape; gradients through outputs, final
   states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

static double log_decay6(double *const *x, const OpCase *c, int row, int h, int j)
{
  Sizes z = sizes_of(c, K6);
  int channel = h * z.N + j;
  return x[W6][c->arg[MODE] == PER_TOKEN ? row * z.H * z.N + channel : channel];
}

/* S[j,i] before token t: every pair times all decays after its own token. */
static double state6(double *const *x, const OpCase *c, int b, int h, int t, int j, int i)
{
  Sizes z = sizes_of(c, K6);
  double sum = 0, faded = 1;
  for (int s = t - 1; s >= 0; s--) {
    int row = b * z.T + s, at = (row * z.H + h) * z.N;
    sum += faded * x[K6][at + j] * x[V6][at + i];
    faded *= exp(log_decay6(x, c, row, h, j));
  }
  return sum + faded * x[S6][((b * z.H + h) * z.N + j) * z.N + i];
}

static void want_wkv6(double *y, double *const *x, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  int C = z.H * z.N;
  for (int n = 0; c->arg[LOOK_AT] & OUTPUT && n < z.B * z.T * C; n++, y++) {
    int h = n % C / z.N, i = n % z.N, head = n - i;
    for (int j = 0; j < z.N; j++) {
      double now = x[U6][h * z.N + j] * x[K6][head + j] * x[V6][n];
      *y += x[R6][head + j] * (state6(x, c, n / (z.T * C), h, n / C % z.T, j, i) + now);
    }
  }
  for (int n = 0; c->arg[LOOK_AT] & STATE && n < z.B * C * z.N; n++)
    *y++ = state6(x, c, n / (C * z.N), n / (z.N * z.N) % z.H, z.T, n / z.N % z.N, n % z.N);
}

static void wkv6(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {3, 1, 2, 5}, {1, 16, 1, 3}, {1, 17, 3, 2}, {2, 33, 1, 3}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++)
      for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
        char name[64];
        snprintf(name, sizeof name, "wkv6 T %d H %d N %d mode %d", sizes[i].T, sizes[i].H, sizes[i].N, mode);
        OpCase c = wkv6_case(name, sizes[i], mode, what);
        c.want = want_wkv6, c.loosen = 4;
        check_op(&c);
      }
}

/* ---- what it refuses ---- */

static Tensor *run_wkv6(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *S = x[5];
  return (void)c, t_wkv6(tp, x[0], x[1], x[2], x[3], x[4], &S);
}

static void refused(void **state)
{
  (void)state;
  check_each_operand(
      (OpCase){.run = run_wkv6,
               .leaves = 6,
               .leaf = {SHAPE(2, 3, 4), SHAPE(2, 2), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 2), SHAPE(2, 2, 2, 2)}},
      (const char *[]){"wkv6: r is [2,3,5], expected [2,3,4] like k",
                       "wkv6: w is [2,3,5], expected 4 numbers or [2,3,4]",
                       "wkv6: state S is [2,2,2,2], but k is [2,3,5]", "wkv6: v is [2,3,5], expected [2,3,4] like k",
                       "wkv6: u is [2,3,5], expected 4 numbers", "wkv6: state S is [2,3,5], expected [B,H,N,N]"});
  static const Refusal refusals[] = {
      {"wkv6: k is [2,0,4], expected [B,T,C], none of them 0",
       {.run = run_wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 0, 4), SHAPE(4), SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(4), SHAPE(2, 2, 2, 2)}}},
      {"wkv6: state S is [2,2,2,3], expected [2,2,2,2]",
       {.run = run_wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 2, 2, 3)}}},
      {"wkv6: state S is [1,2,2,2], expected [2,2,2,2]",
       {.run = run_wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(1, 2, 2, 2)}}},
      {"wkv6: w is [3,4], expected 4 numbers", /* neither constant nor one for every token */
       {.run = run_wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 2, 2, 2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv6),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("wkv6", tests, NULL, NULL);
}
