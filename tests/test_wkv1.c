/* wkv1: values against the closed form, without any recurrence of the kernel's shape; gradients through outputs, final
   states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

/* Keys of the history first, then the run's, as the op gets them. */
static double key1(double *const *x, const OpCase *c, int b, int u, int ch)
{
  int before = c->leaf[HK1].shape[1], T = c->leaf[K1].shape[1], C = c->leaf[K1].shape[2];
  return exp(u < before ? x[HK1][(b * before + u) * C + ch] : x[K1][(b * T + u - before) * C + ch]);
}

static double value1(double *const *x, const OpCase *c, int b, int u, int ch)
{
  int before = c->leaf[HK1].shape[1], T = c->leaf[K1].shape[1], C = c->leaf[K1].shape[2];
  return u < before ? x[HV1][(b * before + u) * C + ch] : x[V1][(b * T + u - before) * C + ch];
}

static void want_wkv1(double *y, double *const *x, const OpCase *c)
{
  int before = c->leaf[HK1].shape[1], ctx = c->leaf[W1].shape[1];
  int B = c->leaf[K1].shape[0], T = c->leaf[K1].shape[1], C = c->leaf[K1].shape[2], U = before + T;
  for (int i = 0; c->arg[LOOK_AT] & OUTPUT && i < B * T * C; i++) {
    int b = i / (T * C), t = before + i / C % T, ch = i % C, row = ch / (C / c->arg[HEADS]) * ctx;
    double top = 0, bottom = 0;
    for (int distance = 0; distance <= t; distance++) {
      double k = key1(x, c, b, t - distance, ch), weight = x[W1][row + ctx - 1 - distance];
      top += weight * x[ALPHA1][row + t - distance] * x[BETA1][row + t] * k * value1(x, c, b, t - distance, ch);
      bottom += k;
    }
    *y++ = top / bottom;
  }
  for (int i = 0; c->arg[LOOK_AT] & STATE && i < 2 * B * U * C; i++) {
    int b = i / (U * C) % B, u = i / C % U;
    *y++ = i < B * U * C ? key1(x, c, b, u, i % C) : value1(x, c, b, u, i % C);
  }
}

static void wkv1(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {3, 1, 2, 2}, {1, 17, 3, 1}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++)
      for (int before = 0; before <= 4; before += 4)
        for (int spare = 0; spare <= 3; spare += 3) {
          char name[64];
          snprintf(name, sizeof name, "wkv1 T %d before %d spare %d", sizes[i].T, before, spare);
          OpCase c = wkv1_case(name, sizes[i], before, before + sizes[i].T + spare, what);
          c.want = want_wkv1;
          check_op(&c);
        }
}

/* ---- what it refuses ---- */

/* H = arg[0]; the history is leaves 5 and 6. */
static Tensor *run_wkv1(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *keys = x[5], *values = x[6];
  return t_wkv1(tp, x[0], x[1], x[2], c->arg[0], x[3], x[4], &keys, &values);
}
/* w alpha beta for 2 heads, k and v [2,T,4], and a history of `before` tokens */
#define LEAVES_OF_WKV1(ctx, T, before)                                                                      \
  {                                                                                                         \
    SHAPE(2, ctx), SHAPE(2, 1, ctx), SHAPE(2, ctx, 1), SHAPE(2, T, 4), SHAPE(2, T, 4), SHAPE(2, before, 4), \
        SHAPE(2, before, 4)                                                                                 \
  }

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"v1 cannot see further than its ctx_len of 4 tokens; this would be token 5",
       {.run = run_wkv1, .leaves = 7, .arg = {2}, .leaf = LEAVES_OF_WKV1(4, 5, 0)}},
      {"wkv1: k [2,3,4] cannot be split into 3 heads",
       {.run = run_wkv1, .leaves = 7, .arg = {3}, .leaf = LEAVES_OF_WKV1(5, 3, 0)}},
      {"wkv1: k [2,3,4] cannot be split into 0 heads",
       {.run = run_wkv1, .leaves = 7, .arg = {0}, .leaf = LEAVES_OF_WKV1(5, 3, 0)}},
      {"wkv1: k is [2,0,4], expected [B,T,C], none of them 0",
       {.run = run_wkv1, .leaves = 7, .arg = {2}, .leaf = LEAVES_OF_WKV1(5, 0, 0)}},
      {"wkv1: v is [2,3,5], expected [2,3,4] like k",
       {.run = run_wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 5), SHAPE(2, 5), SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
      {"wkv1: w [2,5], alpha [2,1,4] and beta [2,5,1] must all hold [2 heads, ctx]",
       {.run = run_wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 1, 4), SHAPE(2, 5, 1), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
      {"wkv1: w [2,5], alpha [2,1,5] and beta [2,6,1] must all hold [2 heads, ctx]",
       {.run = run_wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 1, 5), SHAPE(2, 6, 1), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

/* With a history: what was seen before counts, too. (The history was put together before it is counted.) */
static void run_past_ctx_len(void *arg)
{
  Tape *tp = arg;
  tp->recording = false;
  Tensor *w = tape_zeros(tp, 2, (int[]){2, 6}), *x = tape_zeros(tp, 3, (int[]){1, 4, 4});
  Tensor *keys = tape_zeros(tp, 3, (int[]){1, 3, 4}), *values = tape_zeros(tp, 3, (int[]){1, 3, 4});
  t_wkv1(tp, w, w, w, 2, x, x, &keys, &values);
}

static void history_counts_towards_ctx_len(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  expect_failure(run_past_ctx_len, tp, "ctx_len of 6 tokens; this would be token 7");
  tape_free(tp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv1),
      cmocka_unit_test(refused),
      cmocka_unit_test(history_counts_towards_ctx_len),
  };
  return cmocka_run_group_tests_name("wkv1", tests, NULL, NULL);
}
