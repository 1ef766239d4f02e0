/* wkv7: values against the closed form, without any recurrence of the kernel's shape; gradients through outputs, final
   states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

static Tensor *run_wkv7(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S7];
  Tensor *y = t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[V7], leaf[A7], leaf[B7], &S);
  return looked_at(tp, c, y, &S, 1);
}

typedef struct {
  int B, T, H, N;
} Sizes7;

static Sizes7 sizes7(const OpCase *c)
{
  return (Sizes7){c->leaf[K7].shape[0], c->leaf[K7].shape[1], c->leaf[S7].shape[1], c->leaf[S7].shape[2]};
}

enum { MOST_N = 8 };
typedef struct {
  long double at[MOST_N][MOST_N];
} Matrix;

/* row vector times token t's transition  diag(e^w) + a b' */
static void through7(long double *row, double *const *x, const Sizes7 *z, int b, int t, int h)
{
  int at = ((b * z->T + t) * z->H + h) * z->N;
  long double along = 0;
  for (int j = 0; j < z->N; j++) along += row[j] * (long double)x[A7][at + j];
  for (int j = 0; j < z->N; j++)
    row[j] = row[j] * expl((long double)x[W7][at + j]) + along * (long double)x[B7][at + j];
}

/* The state after token t as a sum over all that was written:
   S_t = S_0 M_1 .. M_t + sum over s of v_s k_s' M_{s+1} .. M_t,  each term carried on by itself. */
static Matrix state7(double *const *x, const Sizes7 *z, int b, int h, int t)
{
  Matrix S = {0};
  for (int i = 0; i < z->N; i++) {
    long double row[MOST_N];
    for (int j = 0; j < z->N; j++) row[j] = (long double)x[S7][((b * z->H + h) * z->N + i) * z->N + j];
    for (int q = 0; q <= t; q++) through7(row, x, z, b, q, h);
    for (int j = 0; j < z->N; j++) S.at[i][j] = row[j];
  }
  for (int s = 0; s <= t; s++) {
    int at = ((b * z->T + s) * z->H + h) * z->N;
    long double key[MOST_N];
    for (int j = 0; j < z->N; j++) key[j] = (long double)x[K7][at + j];
    for (int q = s + 1; q <= t; q++) through7(key, x, z, b, q, h);
    for (int i = 0; i < z->N; i++)
      for (int j = 0; j < z->N; j++) S.at[i][j] += (long double)x[V7][at + i] * key[j];
  }
  return S;
}

static void want_wkv7(double *y, double *const *x, const OpCase *c)
{
  Sizes7 z = sizes7(c);
  for (int b = 0; c->arg[0] & OUTPUT && b < z.B; b++)
    for (int t = 0; t < z.T; t++)
      for (int h = 0; h < z.H; h++) {
        Matrix S = state7(x, &z, b, h, t);
        const double *r = x[R7] + ((b * z.T + t) * z.H + h) * z.N;
        for (int i = 0; i < z.N; i++) {
          long double sum = 0;
          for (int j = 0; j < z.N; j++) sum += S.at[i][j] * (long double)r[j];
          *y++ = (double)sum;
        }
      }
  for (int bh = 0; c->arg[0] & STATE && bh < z.B * z.H; bh++) {
    Matrix S = state7(x, &z, bh / z.H, bh % z.H, z.T - 1);
    for (int i = 0; i < z.N * z.N; i++) *y++ = (double)S.at[i / z.N][i % z.N];
  }
}

/* Decays between slow and fast; a and b unlike each other, and small enough that S does not explode. */
static void fill_wkv7(Tensor **leaf, const OpCase *c, Rng *rng)
{
  double size = 0.8 / sqrt(sizes7(c).N);
  for (size_t i = 0; i < leaf[W7]->n; i++) {
    leaf[W7]->data[i] = (real)(-0.02 - 0.8 * rng_uniform(rng));
    leaf[A7]->data[i] = (real)(size * (2 * rng_uniform(rng) - 1));
    leaf[B7]->data[i] = (real)(size * (2 * rng_uniform(rng) - 1));
  }
}

static OpCase case_wkv7(const char *name, int B, int T, int H, int N, int what)
{
  int C = H * N;
  return (OpCase){name,
                  run_wkv7,
                  want_wkv7,
                  fill_wkv7,
                  LEAVES7,
                  {SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C),
                   SHAPE(B, H, N, N)},
                  {what},
                  .loosen = 10};
}

static void wkv7(void **state)
{
  (void)state;
  static const int sizes[][4] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {3, 1, 2, 5},  {1, 15, 1, 3}, {1, 16, 1, 3},
                                 {1, 17, 3, 2}, {2, 33, 1, 5}, {2, 40, 2, 3}, {1, 48, 1, 1}, {1, 3, 17, 1}};
  for (size_t s = 0; s < COUNT_OF(sizes); s++)
    for (int what = OUTPUT; what <= BOTH; what++) {
      const int *z = sizes[s];
      char name[64];
      snprintf(name, sizeof name, "wkv7 B %d T %d H %d N %d", z[0], z[1], z[2], z[3]);
      OpCase c = case_wkv7(name, z[0], z[1], z[2], z[3], what);
      check_op(&c);
    }
}

static Tensor *run_wkv7_cut(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int T = leaf[K7]->shape[1], cut = c->arg[1];
  Tensor *S = leaf[S7], *y[2];
  for (int part = 0; part < 2; part++) {
    Tensor *x[S7];
    for (int l = 0; l < S7; l++) x[l] = t_slice(tp, leaf[l], 1, part ? cut : 0, part ? T - cut : cut);
    y[part] = t_wkv7(tp, x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], &S);
  }
  return looked_at(tp, c, t_concat(tp, y, 2, 1), &S, 1);
}

static void wkv7_may_be_cut_anywhere(void **state)
{
  (void)state;
  static const int cuts[] = {1, 8, 15, 16, 17, 32, 35};
  OpCase whole = case_wkv7("wkv7 cut", 2, 36, 2, 3, BOTH), cut = whole;
  cut.run = run_wkv7_cut;
  for (size_t i = 0; i < COUNT_OF(cuts); i++) {
    cut.arg[1] = cuts[i];
    check_alike(&whole, &cut, 0, 50 * VALUE_TOL);
  }
  check_op(&cut);
}

/* As RWKV-7 uses it: a = -kappa, b = kappa * iclr, of unit length; one tensor in two places. */
static Tensor *run_wkv7_kappa(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S7], *kappa = t_l2norm(tp, leaf[A7], sizes7(c).H, 1e-12);
  Tensor *iclr = t_sigmoid(tp, leaf[B7]);
  Tensor *y = t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[K7], t_neg(tp, kappa), t_mul(tp, kappa, iclr), &S);
  return looked_at(tp, c, y, &S, 1);
}

static void wkv7_as_the_model_uses_it(void **state)
{
  (void)state;
  OpCase c = case_wkv7("wkv7 with kappa", 2, 20, 2, 4, BOTH);
  c.run = run_wkv7_kappa;
  c.want = NULL;
  check_op(&c);
}

/* ---- what it refuses ---- */

static void refused(void **state)
{
  (void)state;
  check_each_operand(
      (OpCase){.run = run_wkv7,
               .leaves = 7,
               .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                        SHAPE(2, 2, 2, 2)}},
      (const char *[]){"wkv7: r is [2,3,5], expected [2,3,4] like k", "wkv7: w is [2,3,5], expected [2,3,4] like k",
                       "wkv7: state S is [2,2,2,2], but k is [2,3,5]", "wkv7: v is [2,3,5], expected [2,3,4] like k",
                       "wkv7: a is [2,3,5], expected [2,3,4] like k", "wkv7: b is [2,3,5], expected [2,3,4] like k",
                       "wkv7: state S is [2,3,5], expected [B,H,N,N]"});
  static const Refusal refusals[] = {
      {"wkv7: state S is [2,2,2,3], expected [2,2,2,2]",
       {.run = run_wkv7,
        .leaves = 7,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                 SHAPE(2, 2, 2, 3)}}},
      {"wkv7: state S is [1,2,2,2], expected [2,2,2,2]",
       {.run = run_wkv7,
        .leaves = 7,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                 SHAPE(1, 2, 2, 2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv7),
      cmocka_unit_test(wkv7_may_be_cut_anywhere),
      cmocka_unit_test(wkv7_as_the_model_uses_it),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("wkv7", tests, NULL, NULL);
}
