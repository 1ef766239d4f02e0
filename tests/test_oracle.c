/* The ops along time against the oracles (oracle.h): closed forms that were written from the specification alone. The
   others: test_oracle_norms.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "oracle_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Sizes sizes[] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {2, 1, 3, 5}, {1, 15, 1, 3},
                              {1, 16, 2, 1}, {2, 17, 3, 2}, {1, 33, 1, 7}};

/* ---- wkv1 ---- */

/* Keys and values of the history and of the tokens after it, as one sequence. */
typedef struct {
  double *k, *v, *dk, *dv; /* [B,U,C] */
  size_t U, before, C, n;
} Joined;

static void join_rows(double *to, const double *history, const double *x, const Joined *j, size_t B)
{
  size_t old = j->before * j->C, all = j->U * j->C;
  for (size_t b = 0; b < B; b++) {
    memcpy(to + b * all, history + b * old, old * sizeof *to);
    memcpy(to + b * all + old, x + b * (all - old), (all - old) * sizeof *to);
  }
}

/* Leaves: keys, values, and the history of both. */
static Joined join(double *const *x, double *const *d, const OpCase *c, int key, int value, int old_key, int old_value)
{
  size_t B = (size_t)c->leaf[key].shape[0], before = (size_t)c->leaf[old_key].shape[1];
  Joined j = {.U = before + (size_t)c->leaf[key].shape[1], .before = before, .C = (size_t)c->leaf[key].shape[2]};
  j.n = B * j.U * j.C;
  j.k = malloc(4 * j.n * sizeof *j.k), j.v = j.k + j.n, j.dk = j.v + j.n, j.dv = j.dk + j.n;
  join_rows(j.k, x[old_key], x[key], &j, B);
  join_rows(j.v, x[old_value], x[value], &j, B);
  join_rows(j.dk, d[old_key], d[key], &j, B);
  join_rows(j.dv, d[old_value], d[value], &j, B);
  return j;
}

/* The state of the last step is all keys and values. */
static void put_joined(double *s, double *ds, const Joined *j)
{
  if (!s) return;
  memcpy(s, j->k, j->n * sizeof *s), memcpy(s + j->n, j->v, j->n * sizeof *s);
  memcpy(ds, j->dk, j->n * sizeof *s), memcpy(ds + j->n, j->dv, j->n * sizeof *s);
}

static Joined join1(double *const *x, double *const *d, const OpCase *c)
{
  Joined j = join(x, d, c, K1, V1, HK1, HV1);
  for (size_t i = 0; i < j.n; i++) { /* k = exp(clamp(key, -60, 30)) */
    bool inside = j.k[i] >= -60 && j.k[i] <= 30;
    j.k[i] = exp(fmin(fmax(j.k[i], -60), 30));
    j.dk[i] = inside ? j.k[i] * j.dk[i] : 0;
  }
  return j;
}

static void jvp1(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims n = dims_of(c, K1);
  Joined j = join1(x, d, c);
  size_t T = n.T, C = j.C, all = j.n;
  n.T = j.U;
  oracle_wkv1_in in = {j.k, j.v, x[W1], x[ALPHA1], x[BETA1]}, tan = {j.dk, j.dv, d[W1], d[ALPHA1], d[BETA1]};
  double *full = malloc(2 * all * sizeof *full);
  oracle_wkv1_jvp(n, (size_t)c->leaf[W1].shape[1], &in, &tan, full, full + all);
  for (size_t b = 0; c->arg[LOOK_AT] & OUTPUT && b < n.B; b++) {
    size_t from = (b * j.U + j.before) * C;
    memcpy(y + b * T * C, full + from, T * C * sizeof *y);
    memcpy(dy + b * T * C, full + all + from, T * C * sizeof *y);
  }
  put_joined(state_place(y, c, K1), state_place(dy, c, K1), &j);
  free(full);
  free(j.k);
}

static void wkv1(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before <= 4; before += 2) {
      int spare = i % 2 ? 3 : 0; /* ctx is not always filled */
      char name[32];
      snprintf(name, sizeof name, "wkv1, %d before,", before);
      OpCase c = wkv1_case(name, sizes[i], before, sizes[i].T + before + spare, BOTH);
      check_looks_and_cuts(c, jvp1, K1);
    }
}

/* Keys on both sides of both clamps. */
static void wkv1_beyond_the_clamps(void **state)
{
  (void)state;
  OpCase c = wkv1_case("wkv1, large keys,", (Sizes){2, 9, 2, 3}, 3, 14, OUTPUT);
  for (c.number[SPREAD] = 15; c.number[SPREAD] < 100; c.number[SPREAD] *= 2) {
    c.arg[LOOK_AT] = OUTPUT;
    check_against(&c, jvp1);
    c.arg[LOOK_AT] = STATE;
    check_against(&c, jvp1);
  }
}

/* ---- wkv2 ---- */

static void jvp2(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  size_t C = count_of(&c->leaf[W2]), BC = count_of(&c->leaf[A2]);
  double *decay = malloc(2 * C * sizeof *decay), *ddecay = decay + C;
  for (size_t i = 0; i < C; i++) decay[i] = -x[W2][i], ddecay[i] = -d[W2][i];
  oracle_wkv2_in in = {x[K2], x[V2], decay, x[U2], x[A2], x[B2]};
  oracle_wkv2_in tan = {d[K2], d[V2], ddecay, d[U2], d[A2], d[B2]};
  double *s = state_place(y, c, K2), *ds = state_place(dy, c, K2);
  oracle_wkv2_out out = {y_place(y, c), s, s ? s + BC : NULL}, dout = {y_place(dy, c), ds, ds ? ds + BC : NULL};
  oracle_wkv2_jvp(dims_of(c, K2), c->number[EPS], &in, &tan, &out, &dout);
  free(decay);
}

static const double both_eps[] = {1e-16, 1e-8};

static void wkv2(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t e = 0; e < COUNT_OF(both_eps); e++)
      check_looks_and_cuts(wkv2_case(e ? "wkv3" : "wkv2", sizes[i], both_eps[e], BOTH), jvp2, K2);
}

/* Some keys beyond the clamp of 60, others far below. */
static void wkv2_beyond_the_clamp(void **state)
{
  (void)state;
  for (size_t e = 0; e < COUNT_OF(both_eps); e++)
    for (int centre = 0; centre <= 60; centre += 30) {
      OpCase c = wkv2_case("wkv2, large keys", (Sizes){2, 12, 1, 5}, both_eps[e], OUTPUT);
      c.number[SPREAD] = 25, c.arg[CENTRE] = centre;
      check_against(&c, jvp2);
    }
}

/* Keys so small that the denominator is about eps: here it matters which eps it is. */
static void wkv2_where_eps_matters(void **state)
{
  (void)state;
  static const int centre[] = {-37, -19};
  for (size_t e = 0; e < COUNT_OF(both_eps); e++) {
    OpCase c = wkv2_case("wkv2, eps", (Sizes){2, 9, 1, 5}, both_eps[e], OUTPUT);
    c.arg[CENTRE] = centre[e];
    check_against(&c, jvp2);
    c.number[EPS] = both_eps[1 - e]; /* the other one is seen to be wrong */
    OpCase right = c;
    right.number[EPS] = both_eps[e];
    assert_true(how_far_apart(&right, &c).values > 1e-2);
  }
}

/* ---- wkv4 ---- */

/* Of a leaf [H] or [H,N] or [B,T,C]: the same with an entry for every token and channel, or every channel. */
static double *repeated(const double *x, size_t x_n, size_t n, oracle_dims z)
{
  double *full = malloc(n * sizeof *full);
  for (size_t i = 0; i < n; i++) {
    size_t c = i % (z.H * z.N);
    full[i] = x[x_n == n ? i : x_n == z.H * z.N ? c : c / z.N];
  }
  return full;
}

static void jvp4(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims z = dims_of(c, K4);
  size_t n = count_of(&c->leaf[K4]), BC = count_of(&c->leaf[A4]), nw = count_of(&c->leaf[W4]);
  double *w = repeated(x[W4], nw, n, z), *dw = repeated(d[W4], nw, n, z);
  oracle_wkv4_in in = {x[K4], x[V4], w, x[U4], x[A4], x[B4], x[P4]};
  oracle_wkv4_in tan = {d[K4], d[V4], dw, d[U4], d[A4], d[B4], d[P4]};
  double *s = state_place(y, c, K4), *ds = state_place(dy, c, K4);
  oracle_wkv4_out out = {y_place(y, c), s, s ? s + BC : NULL, s ? s + 2 * BC : NULL};
  oracle_wkv4_out dout = {y_place(dy, c), ds, ds ? ds + BC : NULL, ds ? ds + 2 * BC : NULL};
  oracle_wkv4_jvp(z, &in, &tan, &out, &dout);
  free(w), free(dw);
}

static const char *const wkv4_names[] = {"wkv4 per token,", "wkv4 per channel,"};

static void wkv4(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++)
      for (int start = -3; start <= 3; start += 3) {
        OpCase c = wkv4_case(wkv4_names[mode], sizes[i], mode, BOTH);
        c.arg[CENTRE] = start;
        check_looks_and_cuts(c, jvp4, K4);
      }
}

/* Keys of +-150, a state that counts for nothing, for all, for some. In float an exponent of 150 is only
   known to 1e-5. */
static void wkv4_with_extreme_keys(void **state)
{
  (void)state;
  static const int starts[] = {0, 150, -150, -1000000000};
  for (size_t i = 0; i < COUNT_OF(starts); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv4_case("wkv4, keys of +-150,", (Sizes){2, 12, 1, 5}, mode, BOTH);
      c.arg[KEYS] = EXTREME, c.arg[CENTRE] = starts[i];
#ifndef AVIARY_DOUBLE
      c.loosen = 20;
#endif
      check_looks_and_cuts(c, jvp4, K4);
    }
}

/* ---- wkv6 ---- */

static void jvp6(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims z = dims_of(c, K6);
  size_t n = count_of(&c->leaf[K6]), C = z.H * z.N, nw = count_of(&c->leaf[W6]), nu = count_of(&c->leaf[U6]);
  double *w = repeated(x[W6], nw, n, z), *dw = repeated(d[W6], nw, n, z);
  double *u = repeated(x[U6], nu, C, z), *du = repeated(d[U6], nu, C, z);
  oracle_wkv6_in in = {x[R6], w, x[K6], x[V6], u, x[S6]}, tan = {d[R6], dw, d[K6], d[V6], du, d[S6]};
  oracle_wkv6_out out = {y_place(y, c), state_place(y, c, K6)};
  oracle_wkv6_out dout = {y_place(dy, c), state_place(dy, c, K6)};
  oracle_wkv6_jvp(z, &in, &tan, &out, &dout);
  free(w), free(dw), free(u), free(du);
}

static void wkv6(void **state)
{
  (void)state;
  static const char *const names[] = {"wkv6 per token,", "wkv6 per channel,", "wkv6 per head,"};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_HEAD; mode++)
      check_looks_and_cuts(wkv6_case(names[mode], sizes[i], mode, BOTH), jvp6, K6);
}

/* ---- wkv7 ---- */

static void jvp7(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_wkv7_in in = {x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], x[S7]};
  oracle_wkv7_in tan = {d[R7], d[W7], d[K7], d[V7], d[A7], d[B7], d[S7]};
  oracle_wkv7_out out = {y_place(y, c), state_place(y, c, K7)};
  oracle_wkv7_out dout = {y_place(dy, c), state_place(dy, c, K7)};
  oracle_wkv7_jvp(dims_of(c, K7), &in, &tan, &out, &dout);
}

static void wkv7(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) check_looks_and_cuts(wkv7_case("wkv7", sizes[i], BOTH), jvp7, K7);
}

/* ---- attention ---- */

static void jvp_attention(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  Joined j = join(x, d, c, KA, VA, HKA, HVA);
  oracle_attention_in in = {x[QA], j.k, j.v}, tan = {d[QA], j.dk, j.dv};
  oracle_attention_jvp(dims_of(c, QA), j.U, &in, &tan, y_place(y, c), y_place(dy, c));
  put_joined(state_place(y, c, QA), state_place(dy, c, QA), &j);
  free(j.k);
}

static void attention(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before <= 4; before += 2) {
      char name[40];
      snprintf(name, sizeof name, "attention, %d before,", before);
      check_looks_and_cuts(attention_case(name, sizes[i], before, BOTH), jvp_attention, QA);
    }
}

/* Scores of a hundred and more: in float e^s overflows, and one position takes nearly all. */
static void attention_with_large_scores(void **state)
{
  (void)state;
  OpCase c = attention_case("attention, large scores,", (Sizes){2, 9, 2, 3}, 3, OUTPUT);
  c.arg[CUT] = 4; /* so that no gradient is looked at alone: many are what is left of terms 1e6 times as large */
  for (c.number[SPREAD] = 10; c.number[SPREAD] <= 40; c.number[SPREAD] *= 4) check_against(&c, jvp_attention);
}

/* ---- the selective scan ---- */

static void jvp_scan(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  const int *s = c->leaf[XS].shape;
  oracle_dims n = {(size_t)s[0], (size_t)s[1], (size_t)s[2], (size_t)c->leaf[AS].shape[1]};
  oracle_scan_in in = {x[XS], x[DS], x[AS], x[BS], x[CS], x[HS]}, tan = {d[XS], d[DS], d[AS], d[BS], d[CS], d[HS]};
  oracle_scan_out out = {y_place(y, c), state_place(y, c, XS)}, dout = {y_place(dy, c), state_place(dy, c, XS)};
  oracle_scan_jvp(n, &in, &tan, &out, &dout);
}

static void selective_scan(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) check_looks_and_cuts(scan_case("scan", sizes[i], BOTH), jvp_scan, XS);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv1),
      cmocka_unit_test(wkv1_beyond_the_clamps),
      cmocka_unit_test(wkv2),
      cmocka_unit_test(wkv2_beyond_the_clamp),
      cmocka_unit_test(wkv2_where_eps_matters),
      cmocka_unit_test(wkv4),
      cmocka_unit_test(wkv4_with_extreme_keys),
      cmocka_unit_test(wkv6),
      cmocka_unit_test(wkv7),
      cmocka_unit_test(attention),
      cmocka_unit_test(attention_with_large_scores),
      cmocka_unit_test(selective_scan),
  };
  int failed = cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
  print_worst();
  return failed;
}
