/* wkv4: values against the closed form, without any recurrence of the kernel's shape; gradients through outputs, final
   states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static Tensor *run_wkv4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *abp[] = {leaf[A4], leaf[B4], leaf[P4]};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  return looked_at(tp, c, y, abp, 3);
}

/* The exponent that token s < t (or the state, s = -1) has at token t, without u: all decays after its own. */
static double exponent4(double *const *x, const OpCase *c, int b, int ch, int s, int t)
{
  int T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2];
  double exponent = s < 0 ? x[P4][b * C + ch] : x[K4][(b * T + s) * C + ch];
  for (int n = s + 1; n < t; n++) exponent += x[W4][c->arg[MODE] == PER_TOKEN ? (b * T + n) * C + ch : ch];
  return exponent;
}

/* A = sum over s < t of e^exponent v_s, B the same without v; the state stands for all that was before. */
static void sums4(long double *A, long double *B, double *const *x, const OpCase *c, int b, int ch, int t)
{
  int T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2];
  *A = *B = 0;
  for (int s = -1; s < t; s++) {
    long double weight = expl((long double)exponent4(x, c, b, ch, s, t));
    *A += weight * (long double)(s < 0 ? x[A4][b * C + ch] : x[V4][(b * T + s) * C + ch]);
    *B += weight * (long double)(s < 0 ? x[B4][b * C + ch] : 1);
  }
}

static void want_wkv4(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[K4].shape[0], T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2], BC = B * C;
  long double top, bottom;
  if (c->arg[0] & OUTPUT)
    for (int i = 0; i < B * T * C; i++) {
      int b = i / (T * C), t = i / C % T, ch = i % C;
      sums4(&top, &bottom, x, c, b, ch, t);
      long double now = expl((long double)x[U4][ch] + (long double)x[K4][i]);
      *y++ = (double)((top + now * (long double)x[V4][i]) / (bottom + now));
    }
  for (int i = 0; c->arg[0] & STATE && i < BC; i++) {
    double p = -INFINITY;
    for (int s = -1; s < T; s++) p = fmax(p, exponent4(x, c, i / C, i % C, s, T));
    sums4(&top, &bottom, x, c, i / C, i % C, T);
    y[i] = (double)(top * expl(-(long double)p));
    y[BC + i] = (double)(bottom * expl(-(long double)p));
    y[2 * BC + i] = p;
  }
}

/* How far the largest exponent of the final state is above every other, in steps of the checker: where
   two are equal, p has a kink. The further back, the more a step in w moves an exponent. */
static bool clear_winner4(double *const *x, const OpCase *c, int b, int ch)
{
  int T = c->leaf[K4].shape[1], best = -1;
  for (int s = 0; s < T; s++)
    if (exponent4(x, c, b, ch, s, T) > exponent4(x, c, b, ch, best, T)) best = s;
  for (int s = -1; s < T; s++) {
    double gap = exponent4(x, c, b, ch, best, T) - exponent4(x, c, b, ch, s, T);
    int age = 2 * T - s - best;
    if (s != best && gap < 2 * GRADIENT_STEP * (2 + age)) return false;
  }
  return true;
}

/* w < 0 of several speeds, b > 0, and keys drawn until the final state's maximum is clear. number[0] is
   the spread of the keys, number[1] where p starts. */
static void fill_wkv4(Tensor **leaf, const OpCase *c, Rng *rng)
{
  int B = c->leaf[K4].shape[0], T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2];
  for (size_t i = 0; i < leaf[W4]->n; i++) leaf[W4]->data[i] = (real)(-0.05 - 1.5 * rng_uniform(rng));
  for (int i = 0; i < B * C; i++) {
    leaf[B4]->data[i] = (real)(0.5 + rng_uniform(rng));
    leaf[P4]->data[i] += (real)c->number[1];
  }
  for (int i = 0; i < B * C; i++) {
    bool clear = false;
    while (!clear) {
      for (int t = 0; t < T; t++) leaf[K4]->data[(i / C * T + t) * C + i % C] = (real)(c->number[0] * rng_normal(rng));
      double *x[LEAVES4];
      for (int l = 0; l < LEAVES4; l++) x[l] = doubles_of(leaf[l]);
      clear = clear_winner4(x, c, i / C, i % C);
      for (int l = 0; l < LEAVES4; l++) free(x[l]);
    }
  }
}

static OpCase case_wkv4(const char *name, Sizes z, int mode, int what, double p)
{
  OpCase c = wkv4_case(name, z, mode, what);
  c.run = run_wkv4, c.want = want_wkv4, c.fill = fill_wkv4;
  c.number[0] = 1, c.number[1] = p, c.loosen = 4;
  return c;
}

static void wkv4(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 1, 3}, {1, 1, 1, 1}, {3, 1, 1, 5}, {1, 17, 1, 5}, {2, 33, 1, 1}, {1, 40, 1, 3}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++)
      for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++)
        for (int p = -3; p <= 3; p += 3) { /* the old state weighs little, the same, more */
          char name[64];
          snprintf(name, sizeof name, "wkv4 [%d,%d,%d] mode %d p %d", sizes[i].B, sizes[i].T, sizes[i].N, mode, p);
          OpCase c = case_wkv4(name, sizes[i], mode, what, p);
          check_op(&c);
        }
}

/* Sequence cut in two, the state handed on: the same function of the leaves. */
static Tensor *run_wkv4_cut(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int T = leaf[K4]->shape[1], cut = c->arg[CUT];
  Tensor *abp[] = {leaf[A4], leaf[B4], leaf[P4]}, *y[2];
  for (int part = 0; part < 2; part++) {
    int from = part ? cut : 0, to = part ? T : cut;
    Tensor *w = c->arg[MODE] == PER_TOKEN ? tokens_of(tp, leaf[W4], from, to) : leaf[W4];
    y[part] = t_wkv4(tp, w, leaf[U4], tokens_of(tp, leaf[K4], from, to), tokens_of(tp, leaf[V4], from, to), &abp[0],
                     &abp[1], &abp[2]);
  }
  return looked_at(tp, c, t_concat(tp, y, 2, 1), abp, 3);
}

static void wkv4_may_be_cut_anywhere(void **state)
{
  (void)state;
  for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
    OpCase whole = case_wkv4("wkv4 cut", (Sizes){2, 19, 1, 3}, mode, BOTH, 0), cut = whole;
    cut.run = run_wkv4_cut;
    for (cut.arg[CUT] = 1; cut.arg[CUT] < 19; cut.arg[CUT] += 4) check_alike(&whole, &cut, 0, 20 * VALUE_TOL);
    cut.arg[CUT] = 7;
    check_op(&cut);
  }
}

/* Keys of +-150: e^150 overflows float, and e^300 is what a ratio can come to. In float the exponents
   themselves are only known to 150 REAL_EPS. */
static void fill_extreme4(Tensor **leaf, const OpCase *c, Rng *rng)
{
  fill_wkv4(leaf, c, rng);
  for (size_t i = 0; i < leaf[K4]->n; i++) {
    static const double keys[] = {150, -150, 149, 0, -150, 148};
    leaf[K4]->data[i] = (real)(keys[rng_below(rng, COUNT_OF(keys))] + 0.3 * rng_normal(rng));
  }
}

static void wkv4_with_extreme_keys(void **state)
{
  (void)state;
  static const double starts[] = {0, 150, -150, -1e30};
  for (size_t s = 0; s < 2 * COUNT_OF(starts); s++) {
    OpCase c = case_wkv4("wkv4, keys of +-150", (Sizes){2, 12, 1, 5}, s % 2 ? PER_TOKEN : PER_CHANNEL, OUTPUT,
                         starts[s / 2]);
    c.fill = fill_extreme4;
    c.loosen = 10; /* 1 is enough where p is rounded before a and b are scaled by it */
    check_op(&c);
    c.arg[0] = STATE; /* values only: equal exponents are likely, and p has its kinks there */
    c.loosen = 40;
    check_value(&c);
  }
}

/* A fresh model's state: nothing seen, p = -infinity or a very small number. y_0 is v_0, exactly. */
static void wkv4_from_nothing(void **state)
{
  (void)state;
  static const double nothing[] = {-1e38, -INFINITY};
  for (int i = 0; i < 4; i++) {
    OpCase c = case_wkv4("wkv4 from nothing", (Sizes){2, 6, 1, 3}, i / 2 ? PER_TOKEN : PER_CHANNEL, BOTH, 0);
    Tensor *leaf[CASE_LEAVES];
    new_leaves(leaf, &c, true);
    tensor_fill(leaf[A4], 0);
    tensor_fill(leaf[B4], 0);
    tensor_fill(leaf[P4], (real)nothing[i % 2]);
    Tape *tp = tape_new();
    Tensor *y = c.run(tp, leaf, &c);
    for (int b = 0; b < 2; b++) check_close("first", y->data + b * 18, leaf[V4]->data + b * 18, 3, 0);
    for (size_t j = 0; j < y->n; j++) assert_true(isfinite(y->data[j]));
    tape_backward(tp, t_sum_all(tp, y));
    for (int l = 0; l < LEAVES4; l++)
      for (size_t j = 0; j < leaf[l]->n; j++) assert_true(isfinite(leaf[l]->grad[j]));
    for (size_t j = 0; j < leaf[P4]->n; j++) assert_true(leaf[P4]->grad[j] == 0);
    free_leaves(leaf, LEAVES4);
    tape_free(tp);
  }
}

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  check_each_operand(
      (OpCase){.run = run_wkv4,
               .leaves = 7,
               .leaf = {SHAPE(4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4), SHAPE(2, 4), SHAPE(2, 4)}},
      (const char *[]){"wkv4: w is [2,3,5], expected 4 numbers or [2,3,4]", "wkv4: u is [2,3,5], expected [4]",
                       "wkv4: v is [2,3,4], expected [2,3,5] like k", "wkv4: v is [2,3,5], expected [2,3,4] like k",
                       "wkv4: state a is [2,3,5], expected [2,4]", "wkv4: state b is [2,3,5], expected [2,4]",
                       "wkv4: state p is [2,3,5], expected [2,4]"});
  static const Refusal refusals[] = {
      {"wkv4: k is [3,4], expected [B,T,C], none of them 0",
       {.run = run_wkv4,
        .leaves = 7,
        .leaf = {SHAPE(4), SHAPE(4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4)}}},
      {"wkv4: w is [2,4,3], expected 4 numbers or [2,3,4]", /* as many, but not those */
       {.run = run_wkv4,
        .leaves = 7,
        .leaf = {SHAPE(2, 4, 3), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4), SHAPE(2, 4), SHAPE(2, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv4),
      cmocka_unit_test(wkv4_may_be_cut_anywhere),
      cmocka_unit_test(wkv4_with_extreme_keys),
      cmocka_unit_test(wkv4_from_nothing),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("wkv4", tests, NULL, NULL);
}
