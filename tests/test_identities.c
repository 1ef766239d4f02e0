/* Symmetries of the ops, and things that must change nothing. Most are checked for values and for the gradients of all
   inputs. Sequences of a batch in another order: test_model_run.c. Between versions: test_versions_alike.c; between
   recurrences: test_wkv_alike.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {1, 16, 1, 3}, {2, 19, 3, 2}};

/* ---- linear in the values, and in the state that holds values ---- */

/* How a case becomes linear in values: the leaf of values, those of the state that carries values. */
typedef struct {
  OpCase c;
  int values, carried; /* carried: a leaf of the state that is linear too */
  Tensor *(*run)(Tape *tp, Tensor **leaf, const OpCase *c);
} Linearity;

static const Linearity *linear;

/* The second values and state: made from the first, so that they have gradients too. */
static void second(Tape *tp, Tensor **to, Tensor **leaf)
{
  memcpy(to, leaf, (size_t)linear->c.leaves * sizeof *to);
  to[linear->values] = t_affine(tp, t_tanh(tp, leaf[linear->values]), -2, 0.3);
  to[linear->carried] = t_affine(tp, t_tanh(tp, leaf[linear->carried]), 3, -0.1);
}

static Tensor *run_sum_of_values(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *both[CASE_LEAVES];
  second(tp, both, leaf);
  both[linear->values] = t_add(tp, leaf[linear->values], both[linear->values]);
  both[linear->carried] = t_add(tp, leaf[linear->carried], both[linear->carried]);
  return linear->run(tp, both, c);
}

static Tensor *run_sum_of_outputs(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *other[CASE_LEAVES];
  second(tp, other, leaf);
  return t_add(tp, linear->run(tp, leaf, c), linear->run(tp, other, c));
}

static void check_linear(Linearity l)
{
  OpCase sum = l.c, outputs = l.c;
  linear = &l;
  sum.run = run_sum_of_values, outputs.run = run_sum_of_outputs;
  l.run = l.c.run;
  check_alike(&sum, &outputs, ALIKE_TOL, ALIKE_GRADIENT_TOL);
}

static void linear_in_values(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    const Sizes z = sizes[i];
    check_linear((Linearity){wkv1_case("wkv1 linear", z, 2, z.T + 2, OUTPUT), V1, HV1, NULL});
    check_linear((Linearity){wkv2_case("wkv2 linear", z, 1e-8, OUTPUT), V2, A2, NULL});
    check_linear((Linearity){wkv4_case("wkv4 linear", z, PER_CHANNEL, OUTPUT), V4, A4, NULL});
    check_linear((Linearity){wkv4_case("wkv4 linear", z, PER_TOKEN, OUTPUT), V4, A4, NULL});
    for (int what = OUTPUT; what <= BOTH; what++) { /* all of the state is linear */
      check_linear((Linearity){wkv6_case("wkv6 linear", z, PER_TOKEN, what), V6, S6, NULL});
      check_linear((Linearity){wkv7_case("wkv7 linear", z, what), V7, S7, NULL});
      check_linear((Linearity){scan_case("scan linear", z, what), XS, HS, NULL});
    }
  }
}

/* ---- a beginning that neither writes nor fades changes nothing ---- */

enum { IDLE = 18, WITH_IDLE = CUT }; /* WITH_IDLE: an arg; nothing is cut here */

static Tensor *after(Tape *tp, Tensor *x, double idle)
{
  Tensor *start = tape_tensor(tp, 3, (int[]){x->shape[0], IDLE, x->shape[2]});
  tensor_fill(start, (real)idle);
  return t_concat(tp, (Tensor *[]){start, x}, 2, 1);
}

static Tensor *without_idle(Tape *tp, Tensor *y) { return t_slice(tp, y, 1, IDLE, y->shape[1] - IDLE); }

static Tensor *run_wkv6_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S6];
  Tensor *y = t_wkv6(tp, after(tp, leaf[R6], 1), after(tp, leaf[W6], 0), after(tp, leaf[K6], 0), after(tp, leaf[V6], 0),
                     leaf[U6], &S);
  return looked_at(tp, c, without_idle(tp, y), &S, 1);
}

static Tensor *run_wkv7_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S7], *x[S7];
  for (int l = 0; l < S7; l++) x[l] = after(tp, leaf[l], l == R7 ? 1 : 0);
  Tensor *y = t_wkv7(tp, x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], &S);
  return looked_at(tp, c, without_idle(tp, y), &S, 1);
}

static void fill_from_nothing2(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c, (void)rng;
  for (size_t i = 0; i < leaf[W2]->n; i++) leaf[W2]->data[i] = (real)-0.3;
  tensor_fill(leaf[A2], 0);
  tensor_fill(leaf[B2], 0);
}

/* e = 0, from an empty state: there is nothing that could fade */
static Tensor *run_wkv2_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *zero = tape_zeros(tp, 2, c->leaf[A2].shape), *ab[] = {zero, zero};
  Tensor *e = exp_key2(tp, leaf[K2]);
  bool idle = c->arg[WITH_IDLE];
  if (idle) e = after(tp, e, 0);
  Tensor *v = idle ? after(tp, leaf[V2], 5) : leaf[V2];
  Tensor *y = t_wkv2(tp, leaf[W2], leaf[U2], e, v, c->number[EPS], &ab[0], &ab[1]);
  y = idle ? without_idle(tp, y) : y;
  return looked_at(tp, c, t_add(tp, y, t_affine(tp, t_sum_all(tp, leaf[A2]), 0, 0)), ab, 2);
}

/* Keys of -1e30 from an empty state: what they wrote weighs nothing as soon as there is anything else. */
static Tensor *run_wkv4_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *zero = tape_zeros(tp, 2, c->leaf[A4].shape), *p = tape_tensor(tp, 2, c->leaf[A4].shape);
  tensor_fill(p, (real)-1e38);
  Tensor *abp[] = {zero, zero, p};
  bool idle = c->arg[WITH_IDLE];
  Tensor *k = idle ? after(tp, leaf[K4], -1e30) : leaf[K4], *v = idle ? after(tp, leaf[V4], 5) : leaf[V4];
  Tensor *w = idle && c->arg[MODE] == PER_TOKEN ? after(tp, leaf[W4], -0.5) : leaf[W4];
  Tensor *y = t_wkv4(tp, w, leaf[U4], k, v, &abp[0], &abp[1], &abp[2]);
  y = idle ? without_idle(tp, y) : y;
  return looked_at(tp, c, y, abp, 3);
}

/* wkv1 knows the position in alpha and beta alone: let them be the same everywhere. Keys of 1e-30 stand for
   0, which would divide 0 by 0 in the idle tokens themselves. */
static Tensor *run_wkv1_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int B = c->leaf[K1].shape[0], C = c->leaf[K1].shape[2];
  Tensor *none = tape_zeros(tp, 3, (int[]){B, 0, C}), *history[] = {none, none};
  bool idle = c->arg[WITH_IDLE];
  Tensor *k = exp_key1(tp, leaf[K1]), *v = leaf[V1];
  if (idle) k = after(tp, k, 1e-30), v = after(tp, v, 0);
  Tensor *alpha = t_affine(tp, leaf[ALPHA1], 0, 0.7), *beta = t_affine(tp, leaf[BETA1], 0, 1.3);
  Tensor *y = t_wkv1(tp, leaf[W1], alpha, beta, c->arg[HEADS], k, v, &history[0], &history[1]);
  return idle ? without_idle(tp, y) : y;
}

static void idle_tokens_change_nothing(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    const Sizes z = sizes[i];
    OpCase c = wkv6_case("wkv6 idle", z, PER_TOKEN, BOTH), other = c;
    other.run = run_wkv6_after_idle;
    check_looks(c, other, 0);
    other = c = wkv7_case("wkv7 idle", z, BOTH);
    other.run = run_wkv7_after_idle;
    check_looks(c, other, 0);
    other = c = wkv2_case("wkv2 idle", z, 1e-8, BOTH);
    c.run = other.run = run_wkv2_after_idle, c.fill = fill_from_nothing2, other.arg[WITH_IDLE] = 1;
    check_looks(c, other, 0);
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      other = c = wkv4_case("wkv4 idle", z, mode, BOTH);
      c.run = other.run = run_wkv4_after_idle, other.arg[WITH_IDLE] = 1;
      check_looks(c, other, 0);
    }
    other = c = wkv1_case("wkv1 idle", z, 0, z.T + IDLE, OUTPUT);
    c.run = other.run = run_wkv1_after_idle, other.arg[WITH_IDLE] = 1;
    check_alike(&c, &other, 0, ALIKE_GRADIENT_TOL);
  }
}

/* ---- a sequence may be cut anywhere ---- */

static void check_cuts(OpCase c, int key)
{
  OpCase cut = c;
  for (int t = TOKENWISE; t < c.leaf[key].shape[1]; t++) {
    if (t == 0) continue;
    cut.arg[CUT] = t;
    check_looks(c, cut, 0);
  }
}

static void a_sequence_may_be_cut_anywhere(void **state)
{
  (void)state;
  static const Sizes long_ones[] = {{2, 5, 2, 3}, {1, 16, 1, 3}, {2, 19, 3, 2}, {1, 35, 1, 2}};
  for (size_t i = 0; i < COUNT_OF(long_ones); i++) {
    const Sizes z = long_ones[i];
    for (int before = 0; before < 4; before += 3) {
      check_cuts(wkv1_case("wkv1 cut", z, before, z.T + before + 1, BOTH), K1);
      check_cuts(attention_case("attention cut", z, before, BOTH), QA);
    }
    check_cuts(wkv2_case("wkv2 cut", z, 1e-16, BOTH), K2);
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) check_cuts(wkv4_case("wkv4 cut", z, mode, BOTH), K4);
    for (int mode = PER_TOKEN; mode <= PER_HEAD; mode++) check_cuts(wkv6_case("wkv6 cut", z, mode, BOTH), K6);
    check_cuts(wkv7_case("wkv7 cut", z, BOTH), K7);
    check_cuts(scan_case("scan cut", z, BOTH), XS);
  }
}

/* ---- wkv7 swaps: with kappa = (e_i - e_j) / sqrt 2, S (1 - 2 kappa kappa') swaps columns i, j ---- */

enum { SWAPS = 10000, PLACES = 5 };
#ifdef AVIARY_DOUBLE
#define SWAP_TOL 1e-11
#else
#define SWAP_TOL 5e-3
#endif
static double worst_swap;

/* a = -kappa, b = 2 kappa for swapping i and j */
static void put_swap(Tensor *a, Tensor *b, int t, int i, int j)
{
  double kappa = sqrt(0.5);
  a->data[t * PLACES + i] = (real)-kappa, a->data[t * PLACES + j] = (real)kappa;
  b->data[t * PLACES + i] = (real)(2 * kappa), b->data[t * PLACES + j] = (real)(-2 * kappa);
}

static void check_column(const real *got, size_t got_step, const real *S, int column)
{
  for (int i = 0; i < PLACES; i++) {
    double error = fabs((double)got[(size_t)i * got_step] - (double)S[i * PLACES + column]);
    worst_swap = fmax(worst_swap, error);
    assert_true(error <= SWAP_TOL);
  }
}

static void wkv7_tracks_a_permutation(void **state)
{
  (void)state;
  int shape[] = {1, SWAPS, PLACES}, at[PLACES], first[SWAPS]; /* at[j]: which column stands in place j */
  Tensor *leaf[6];
  Rng rng = rng_new(1, 2);
  for (int l = 0; l < 6; l++) leaf[l] = new_leaf(3, shape, false);
  Tensor *S0 = random_leaf(4, (int[]){1, 1, PLACES, PLACES}, &rng, 1, false), *S = S0;
  for (int j = 0; j < PLACES; j++) at[j] = j;
  for (int t = 0; t < SWAPS; t++) {
    int i = (int)rng_below(&rng, PLACES), j = (i + 1 + (int)rng_below(&rng, PLACES - 1)) % PLACES, was = at[i];
    put_swap(leaf[A7], leaf[B7], t, i, j);
    at[i] = at[j], at[j] = was;
    first[t] = at[0];
    leaf[R7]->data[t * PLACES] = 1; /* reads column 0 */
  }
  Tape *tp = tape_new();
  Tensor *y = t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[V7], leaf[A7], leaf[B7], &S);
  for (int t = 0; t < SWAPS; t++) check_column(y->data + t * PLACES, 1, S0->data, first[t]);
  for (int j = 0; j < PLACES; j++) check_column(S->data + j, PLACES, S0->data, at[j]);
  tape_free(tp);
  free_leaves(leaf, 6);
  tensor_free(S0);
}

/* ---- norms ---- */

/* arg: H, power of two that x is scaled by. eps is scaled with its square: then the bits are the same. */
static Tensor *run_group_norm_scaled(Tape *tp, Tensor **leaf, const OpCase *c)
{
  double scale = ldexp(1, c->arg[1]);
  return t_group_norm(tp, t_affine(tp, leaf[0], scale, 0), c->arg[0], leaf[1], leaf[2], c->number[0] * scale * scale);
}

/* By any number, and moved: up to eps, which is small here. */
static Tensor *run_group_norm_moved(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_group_norm(tp, t_affine(tp, leaf[0], c->number[0], c->number[1]), c->arg[0], leaf[1], leaf[2], 1e-30);
}

static Tensor *run_l2norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_affine(tp, leaf[0], c->number[0], 0);
  for (int i = 0; i < c->arg[1]; i++) y = t_l2norm(tp, y, c->arg[0], 1e-12);
  return y;
}

static void norms_do_not_see_scale(void **state)
{
  (void)state;
  for (int H = 1; H <= 3; H++) {
    int C = 5 * H;
    OpCase c = {"group norm", run_group_norm_scaled, NULL, NULL, 3, {SHAPE(2, 4, C), SHAPE(C), SHAPE(C)}, {H, 0},
                {64e-5}},
           other = c;
    for (other.arg[1] = -9; other.arg[1] <= 9; other.arg[1] += 6) check_alike(&c, &other, 0, ALIKE_GRADIENT_TOL);
    c.run = other.run = run_group_norm_moved, c.number[0] = 1;
    other.number[0] = 3.7, other.number[1] = 2;
    check_alike(&c, &other, 4 * ALIKE_TOL, ALIKE_GRADIENT_TOL);
    OpCase once = {"l2norm", run_l2norm, NULL, NULL, 1, {SHAPE(2, 4, C)}, {H, 1}, {1}}, twice = once, larger = once;
    twice.arg[1] = 2, larger.number[0] = 37.5;
    check_alike(&once, &twice, ALIKE_TOL, ALIKE_GRADIENT_TOL);
    check_alike(&once, &larger, ALIKE_TOL, ALIKE_GRADIENT_TOL);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_in_values),
      cmocka_unit_test(idle_tokens_change_nothing),
      cmocka_unit_test(a_sequence_may_be_cut_anywhere),
      cmocka_unit_test(wkv7_tracks_a_permutation),
      cmocka_unit_test(norms_do_not_see_scale),
  };
  int failed = cmocka_run_group_tests_name("identities", tests, NULL, NULL);
  printf("worst: values %.2g, gradients %.2g, swaps %.2g\n", worst_value_apart, worst_gradient_apart, worst_swap);
  return failed;
}
