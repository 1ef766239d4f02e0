/* Softmax attention: values written down a second time, gradients by finite differences, and what must hold of a
   weighted mean. Against the closed form's derivative: test_oracle.c; rebuilt from other ops: test_rebuild.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

/* Keys (or values) of the history first, then the run's. */
static double past(double *const *x, const OpCase *c, int history, int now, int b, int u, int channel)
{
  int before = c->leaf[history].shape[1], T = c->leaf[now].shape[1], C = c->leaf[now].shape[2];
  return u < before ? x[history][(b * before + u) * C + channel] : x[now][(b * T + u - before) * C + channel];
}

static double score(double *const *x, const OpCase *c, int b, int t, int u, int head)
{
  Sizes z = sizes_of(c, QA);
  double dot = 0;
  for (int n = 0; n < z.N; n++)
    dot += x[QA][(b * z.T + t) * z.H * z.N + head + n] * past(x, c, HKA, KA, b, u, head + n);
  return dot / sqrt(z.N);
}

/* The weight of each position is 1 / sum of e^{s_u - s_own}: nothing can overflow that matters. */
static void want_attention(double *y, double *const *x, const OpCase *c)
{
  Sizes z = sizes_of(c, QA);
  int C = z.H * z.N, before = c->leaf[HKA].shape[1], U = before + z.T;
  for (int i = 0; c->arg[LOOK_AT] & OUTPUT && i < z.B * z.T * C; i++, y++) {
    int b = i / (z.T * C), t = i / C % z.T, channel = i % C, head = channel / z.N * z.N;
    for (int u = 0; u <= before + t; u++) {
      double others = 0;
      for (int w = 0; w <= before + t; w++) others += exp(score(x, c, b, t, w, head) - score(x, c, b, t, u, head));
      *y += past(x, c, HVA, VA, b, u, channel) / others;
    }
  }
  for (int i = 0; c->arg[LOOK_AT] & STATE && i < 2 * z.B * U * C; i++) {
    bool keys = i < z.B * U * C;
    *y++ = past(x, c, keys ? HKA : HVA, keys ? KA : VA, i / (U * C) % z.B, i / C % U, i % C);
  }
}

static void values_and_gradients(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {3, 1, 2, 2}, {1, 12, 3, 1}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++)
      for (int before = 0; before <= 4; before += 4) {
        char name[64];
        snprintf(name, sizeof name, "attention T %d H %d before %d", sizes[i].T, sizes[i].H, before);
        OpCase c = attention_case(name, sizes[i], before, what);
        c.want = want_attention, c.loosen = 4;
        check_op(&c);
      }
}

/* Queries of 0 look at all positions alike: y is the mean of the values so far. */
static void no_query_means_the_mean(void **state)
{
  (void)state;
  OpCase c = attention_case("mean", (Sizes){1, 7, 1, 2}, 3, OUTPUT);
  Tensor *leaf[CASE_LEAVES];
  new_leaves(leaf, &c, false);
  tensor_fill(leaf[QA], 0);
  Tape *tp = tape_new();
  Tensor *y = c.run(tp, leaf, &c);
  for (int t = 0; t < 7; t++)
    for (int n = 0; n < 2; n++) {
      double sum = 0;
      for (int u = 0; u < 3; u++) sum += (double)leaf[HVA]->data[u * 2 + n];
      for (int u = 0; u <= t; u++) sum += (double)leaf[VA]->data[u * 2 + n];
      check_number("mean", (double)y->data[t * 2 + n], sum / (t + 4), VALUE_TOL);
    }
  free_leaves(leaf, LEAVESA);
  tape_free(tp);
}

/* Scores of +-1e4: the best position's value is the answer, exactly, and all gradients are finite. */
static void large_scores_pick_one(void **state)
{
  (void)state;
  enum { T = 6 };
  OpCase c = attention_case("pick", (Sizes){1, T, 1, 1}, 0, OUTPUT);
  Tensor *leaf[CASE_LEAVES];
  new_leaves(leaf, &c, true);
  static const int keys[T] = {-100, 3, 100, -100, 50, 99}, best[T] = {0, 1, 2, 2, 2, 2};
  for (int t = 0; t < T; t++) leaf[QA]->data[t] = 100, leaf[KA]->data[t] = (real)keys[t];
  Tape *tp = tape_new();
  Tensor *y = c.run(tp, leaf, &c);
  for (int t = 0; t < T; t++) check_number("picked", (double)y->data[t], (double)leaf[VA]->data[best[t]], VALUE_TOL);
  tape_backward(tp, t_sum_all(tp, y));
  for (int l = 0; l < HKA; l++)
    for (int t = 0; t < T; t++) assert_true(isfinite(leaf[l]->grad[t]));
  free_leaves(leaf, LEAVESA);
  tape_free(tp);
}

/* ---- what it refuses ---- */

/* H = arg[0] */
static Tensor *run_attention(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *keys = x[3], *values = x[4];
  return t_attention(tp, x[0], x[1], x[2], c->arg[0], &keys, &values);
}
/* q k v [2,3,4] and a history of keys and values */
#define WITH_HISTORY(...) .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), __VA_ARGS__}

static void refused(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"attention: q [2,3,4], k [2,3,5] and v [2,3,4] must all be [B,T,C], none of them 0",
       {.run = run_attention,
        .leaves = 5,
        .arg = {2},
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 3, 4), SHAPE(0), SHAPE(0)}}},
      {"attention: q [2,0,4], k [2,0,4] and v [2,0,4] must all be",
       {.run = run_attention,
        .leaves = 5,
        .arg = {2},
        .leaf = {SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(0), SHAPE(0)}}},
      {"attention: q [2,3,4] cannot be split into 3 heads",
       {.run = run_attention, .leaves = 5, .arg = {3}, WITH_HISTORY(SHAPE(0), SHAPE(0))}},
      {"attention: q [2,3,4] cannot be split into 0 heads",
       {.run = run_attention, .leaves = 5, .arg = {0}, WITH_HISTORY(SHAPE(0), SHAPE(0))}},
      {"attention: keys are [1,2,4], expected [2,before,4]",
       {.run = run_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(1, 2, 4), SHAPE(2, 2, 4))}},
      {"attention: values are [2,2,5], expected [2,before,4]",
       {.run = run_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(2, 2, 4), SHAPE(2, 2, 5))}},
      {"attention: keys [2,2,4] and values [2,1,4] hold different numbers of positions",
       {.run = run_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(2, 2, 4), SHAPE(2, 1, 4))}},
      {"attention: keys [0] and values [2,1,4] hold different numbers of positions",
       {.run = run_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(0), SHAPE(2, 1, 4))}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_gradients),
      cmocka_unit_test(no_query_means_the_mean),
      cmocka_unit_test(large_scores_pick_one),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
