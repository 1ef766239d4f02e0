/* The tape ops along time: shift and recurrences. Values against the closed forms in long double, without
   any recurrence of the kernels' shape; gradients through outputs, final states and initial states. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Tensor *chosen(Tape *tp, int what, Tensor *y, Tensor **state, int n)
{
  Tensor *parts[4] = {y};
  for (int i = 0; i < n; i++)
    parts[i + 1] = state[i];
  return flat_concat(tp, what & OUTPUT ? parts : parts + 1, (what & OUTPUT ? 1 : 0) + (what & STATE ? n : 0));
}

/* ---- shift ---- */

static Tensor *run_shift(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *carry = leaf[1], *prev = t_shift(tp, leaf[0], &carry);
  assert_int_equal(carry->axes, 2);
  return chosen(tp, c->arg[0], prev, &carry, 1);
}

static void want_shift(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[0].shape[0], T = c->leaf[0].shape[1], C = c->leaf[0].shape[2];
  if (c->arg[0] & OUTPUT)
    for (int b = 0; b < B; b++) {
      for (int i = 0; i < C; i++)
        *y++ = x[1][b * C + i];
      for (int i = 0; i < (T - 1) * C; i++)
        *y++ = x[0][b * T * C + i];
    }
  if (c->arg[0] & STATE)
    for (int b = 0; b < B; b++)
      for (int i = 0; i < C; i++)
        *y++ = x[0][((b + 1) * T - 1) * C + i];
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

/* ---- wkv1 ---- */

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
      top +=
          weight * x[ALPHA1][row + t - distance] * x[BETA1][row + t] * k * value1(x, c, b, t - distance, ch);
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

/* ---- wkv2 ---- */

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
    *y++ =
        (sum2(x, c, b, ch, t, true) + now * x[V2][i]) / (sum2(x, c, b, ch, t, false) + now + c->number[EPS]);
  }
  for (int i = 0; c->arg[LOOK_AT] & STATE && i < 2 * B * C; i++)
    *y++ = sum2(x, c, i / C % B, i % C, T, i < B * C);
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

/* ---- wkv4 ---- */

static Tensor *run_wkv4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *abp[] = {leaf[A4], leaf[B4], leaf[P4]};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  return chosen(tp, c->arg[0], y, abp, 3);
}

/* The exponent that token s < t (or the state, s = -1) has at token t, without u: all decays after its own. */
static double exponent4(double *const *x, const OpCase *c, int b, int ch, int s, int t)
{
  int T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2];
  double exponent = s < 0 ? x[P4][b * C + ch] : x[K4][(b * T + s) * C + ch];
  for (int n = s + 1; n < t; n++)
    exponent += x[W4][c->arg[MODE] == PER_TOKEN ? (b * T + n) * C + ch : ch];
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
    for (int s = -1; s < T; s++)
      p = fmax(p, exponent4(x, c, i / C, i % C, s, T));
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
    if (exponent4(x, c, b, ch, s, T) > exponent4(x, c, b, ch, best, T))
      best = s;
  for (int s = -1; s < T; s++) {
    double gap = exponent4(x, c, b, ch, best, T) - exponent4(x, c, b, ch, s, T);
    int age = 2 * T - s - best;
    if (s != best && gap < 2 * GRADIENT_STEP * (2 + age))
      return false;
  }
  return true;
}

/* w < 0 of several speeds, b > 0, and keys drawn until the final state's maximum is clear. number[0] is
   the spread of the keys, number[1] where p starts. */
static void fill_wkv4(Tensor **leaf, const OpCase *c, Rng *rng)
{
  int B = c->leaf[K4].shape[0], T = c->leaf[K4].shape[1], C = c->leaf[K4].shape[2];
  for (size_t i = 0; i < leaf[W4]->n; i++)
    leaf[W4]->data[i] = (real)(-0.05 - 1.5 * rng_uniform(rng));
  for (int i = 0; i < B * C; i++) {
    leaf[B4]->data[i] = (real)(0.5 + rng_uniform(rng));
    leaf[P4]->data[i] += (real)c->number[1];
  }
  for (int i = 0; i < B * C; i++) {
    bool clear = false;
    while (!clear) {
      for (int t = 0; t < T; t++)
        leaf[K4]->data[(i / C * T + t) * C + i % C] = (real)(c->number[0] * rng_normal(rng));
      double *x[LEAVES4];
      for (int l = 0; l < LEAVES4; l++)
        x[l] = doubles_of(leaf[l]);
      clear = clear_winner4(x, c, i / C, i % C);
      for (int l = 0; l < LEAVES4; l++)
        free(x[l]);
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
  static const Sizes sizes[] = {{2, 5, 1, 3},  {1, 1, 1, 1},  {3, 1, 1, 5},
                                {1, 17, 1, 5}, {2, 33, 1, 1}, {1, 40, 1, 3}};
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
  return chosen(tp, c->arg[0], t_concat(tp, y, 2, 1), abp, 3);
}

static void wkv4_may_be_cut_anywhere(void **state)
{
  (void)state;
  for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
    OpCase whole = case_wkv4("wkv4 cut", (Sizes){2, 19, 1, 3}, mode, BOTH, 0), cut = whole;
    cut.run = run_wkv4_cut;
    for (cut.arg[CUT] = 1; cut.arg[CUT] < 19; cut.arg[CUT] += 4)
      check_alike(&whole, &cut, 0, 20 * VALUE_TOL);
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
    for (int b = 0; b < 2; b++)
      check_close("first", y->data + b * 18, leaf[V4]->data + b * 18, 3, 0);
    for (size_t j = 0; j < y->n; j++)
      assert_true(isfinite(y->data[j]));
    tape_backward(tp, t_sum_all(tp, y));
    for (int l = 0; l < LEAVES4; l++)
      for (size_t j = 0; j < leaf[l]->n; j++)
        assert_true(isfinite(leaf[l]->grad[j]));
    for (size_t j = 0; j < leaf[P4]->n; j++)
      assert_true(leaf[P4]->grad[j] == 0);
    free_leaves(leaf, LEAVES4);
    tape_free(tp);
  }
}

/* ---- wkv6 ---- */

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
  static const Sizes sizes[] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {3, 1, 2, 5},
                                {1, 16, 1, 3}, {1, 17, 3, 2}, {2, 33, 1, 3}};
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

/* ---- wkv7 ---- */

static Tensor *run_wkv7(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S7];
  Tensor *y = t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[V7], leaf[A7], leaf[B7], &S);
  return chosen(tp, c->arg[0], y, &S, 1);
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
  for (int j = 0; j < z->N; j++)
    along += row[j] * (long double)x[A7][at + j];
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
    for (int j = 0; j < z->N; j++)
      row[j] = (long double)x[S7][((b * z->H + h) * z->N + i) * z->N + j];
    for (int q = 0; q <= t; q++)
      through7(row, x, z, b, q, h);
    for (int j = 0; j < z->N; j++)
      S.at[i][j] = row[j];
  }
  for (int s = 0; s <= t; s++) {
    int at = ((b * z->T + s) * z->H + h) * z->N;
    long double key[MOST_N];
    for (int j = 0; j < z->N; j++)
      key[j] = (long double)x[K7][at + j];
    for (int q = s + 1; q <= t; q++)
      through7(key, x, z, b, q, h);
    for (int i = 0; i < z->N; i++)
      for (int j = 0; j < z->N; j++)
        S.at[i][j] += (long double)x[V7][at + i] * key[j];
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
          for (int j = 0; j < z.N; j++)
            sum += S.at[i][j] * (long double)r[j];
          *y++ = (double)sum;
        }
      }
  for (int bh = 0; c->arg[0] & STATE && bh < z.B * z.H; bh++) {
    Matrix S = state7(x, &z, bh / z.H, bh % z.H, z.T - 1);
    for (int i = 0; i < z.N * z.N; i++)
      *y++ = (double)S.at[i / z.N][i % z.N];
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
                  {SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(B, T, C),
                   SHAPE(B, T, C), SHAPE(B, H, N, N)},
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
    for (int l = 0; l < S7; l++)
      x[l] = t_slice(tp, leaf[l], 1, part ? cut : 0, part ? T - cut : cut);
    y[part] = t_wkv7(tp, x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], &S);
  }
  return chosen(tp, c->arg[0], t_concat(tp, y, 2, 1), &S, 1);
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
  Tensor *y =
      t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[K7], t_neg(tp, kappa), t_mul(tp, kappa, iclr), &S);
  return chosen(tp, c->arg[0], y, &S, 1);
}

static void wkv7_as_the_model_uses_it(void **state)
{
  (void)state;
  OpCase c = case_wkv7("wkv7 with kappa", 2, 20, 2, 4, BOTH);
  c.run = run_wkv7_kappa;
  c.want = NULL;
  check_op(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shift),
      cmocka_unit_test(wkv1),
      cmocka_unit_test(wkv2),
      cmocka_unit_test(wkv4),
      cmocka_unit_test(wkv4_may_be_cut_anywhere),
      cmocka_unit_test(wkv4_with_extreme_keys),
      cmocka_unit_test(wkv4_from_nothing),
      cmocka_unit_test(wkv6),
      cmocka_unit_test(wkv7),
      cmocka_unit_test(wkv7_may_be_cut_anywhere),
      cmocka_unit_test(wkv7_as_the_model_uses_it),
  };
  return cmocka_run_group_tests_name("wkv", tests, NULL, NULL);
}
