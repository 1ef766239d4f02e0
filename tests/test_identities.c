/* What must hold between versions, ops and inputs: a special case of one is another, symmetries, things that
   must change nothing. Most are checked for values and for the gradients of all inputs. Sequences of a
   batch in another order: test_model.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"
#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef AVIARY_DOUBLE
#define ALIKE_TOL 1e-12
#define ALIKE_GRADIENT_TOL 1e-11
#define MODEL_TOL 1e-12
#else
#define ALIKE_TOL 1e-5 /* two ways round differently, and states keep that */
#define ALIKE_GRADIENT_TOL 3e-4
#define MODEL_TOL 1e-4
#endif

static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {1, 16, 1, 3}, {2, 19, 3, 2}};

/* Outputs, state, and both, of two ways. */
static void check_looks(OpCase c, OpCase other, double value_tol)
{
  for (int what = OUTPUT; what <= BOTH; what++) {
    c.arg[LOOK_AT] = other.arg[LOOK_AT] = what;
    check_alike(&c, &other, value_tol, ALIKE_GRADIENT_TOL);
  }
}

/* ---- (a) v6 with low-rank maps of zero is v5.2 ---- */

static void fill_param(Model *m, const char *suffix, double value)
{
  for (int i = 0; i < m->count; i++) {
    const char *at = strstr(m->params[i].name, suffix);
    if (at && at[strlen(suffix)] == 0)
      tensor_fill(m->params[i].t, (real)value);
  }
}

/* The name in v5.2 of a parameter of v6, and whether the one is 1 minus the other; false: it has none. */
static bool name_in_v5(const char *name6, char *name5, size_t size, bool *complement)
{
  const char *mix = strstr(name6, "time_maa_");
  *complement = mix != NULL;
  snprintf(name5, size, "%s", name6);
  if (strstr(name6, "_w1") || strstr(name6, "_w2") || strstr(name6, "maa_x") || strstr(name6, "maa_w"))
    return false;
  if (mix)
    snprintf(name5, size, "%.*stime_mix_%s", (int)(mix - name6), name6, mix + strlen("time_maa_"));
  return true;
}

static void copy_to_v5(Model *v6, Model *v5)
{
  int copied = 0;
  for (int i = 0; i < v6->count; i++) {
    char name[80];
    bool complement;
    if (!name_in_v5(v6->params[i].name, name, sizeof name, &complement))
      continue;
    Param *to = model_param(v5, name);
    const Tensor *from = v6->params[i].t;
    assert_non_null(to);
    assert_int_equal(to->t->n, from->n);
    for (size_t j = 0; j < from->n; j++)
      to->t->data[j] = complement ? 1 - from->data[j] : from->data[j];
    copied++;
  }
  assert_int_equal(copied, v5->count);
}

enum { MODEL_B = 2, MODEL_T = 18 };

/* Logits; and the gradient of the loss in the parameters. */
static double *run_model(Model *m, size_t *n)
{
  int *tokens = random_tokens(5, MODEL_B * MODEL_T, m->d.V),
      *targets = random_tokens(6, MODEL_B * MODEL_T, m->d.V);
  Tape *tp = tape_new();
  State *st = state_new(m, MODEL_B), *again = state_new(m, MODEL_B);
  Tensor *logits = model_logits(tp, m, tokens, MODEL_B, MODEL_T, st);
  double *values = doubles_of(logits);
  *n = logits->n;
  zero_model_grads(m);
  tape_backward(tp, model_loss(tp, m, tokens, targets, MODEL_B, MODEL_T, again, 0, NULL));
  state_free(st);
  state_free(again);
  tape_free(tp);
  free(tokens), free(targets);
  return values;
}

static void compare_gradients(Model *v6, Model *v5)
{
  for (int i = 0; i < v6->count; i++) {
    char name[80];
    bool complement;
    if (!name_in_v5(v6->params[i].name, name, sizeof name, &complement))
      continue;
    double *g6 = calloc(v6->params[i].t->n, sizeof *g6), *g5 = calloc(v6->params[i].t->n, sizeof *g5);
    for (size_t j = 0; j < v6->params[i].t->n; j++) {
      g6[j] = (double)v6->params[i].t->grad[j] * (complement ? -1 : 1);
      g5[j] = (double)model_param(v5, name)->t->grad[j];
    }
    check_close_double(name, g6, g5, v6->params[i].t->n, 10 * MODEL_TOL);
    free(g6), free(g5);
  }
}

static void check_same_model(Model *v6, Model *v5)
{
  size_t n6, n5;
  copy_to_v5(v6, v5);
  double *y6 = run_model(v6, &n6), *y5 = run_model(v5, &n5);
  assert_int_equal(n6, n5);
  check_close_double("logits of v6 and v5.2", y6, y5, n5, MODEL_TOL);
  compare_gradients(v6, v5);
  free(y6), free(y5);
}

static void v6_without_low_rank_maps_is_v5_2(void **state)
{
  (void)state;
  for (int variant = 0; variant < SMALL_SIZES; variant++)
    for (int which = 1; which <= 2; which++) { /* the first or the second matrix is zero: either suffices */
      Model *v6 = small_model(&version_v6, variant), *v5 = small_model(&version_v5_2, variant);
      fill_param(v6, which == 1 ? "time_maa_w1" : "time_maa_w2", 0);
      fill_param(v6, which == 1 ? "time_decay_w1" : "time_decay_w2", 0);
      check_same_model(v6, v5);
      model_free(v6);
      model_free(v5);
    }
}

/* v5.2 whose decays and bonuses are the same within a head is v5.1. */
static void v5_2_with_one_decay_per_head_is_v5_1(void **state)
{
  (void)state;
  for (int variant = 0; variant < SMALL_SIZES; variant++) {
    Dims d = small_dims(&version_v5_1, variant);
    d.F = 12;
    Model *one = random_model(&version_v5_1, &d, 7), *two = random_model(&version_v5_2, &d, 8);
    for (int i = 0; i < one->count; i++) {
      Tensor *from = one->params[i].t, *to = model_param(two, one->params[i].name)->t;
      size_t repeat = to->n / from->n;
      for (size_t j = 0; j < to->n; j++)
        to->data[j] = from->data[j / repeat];
    }
    size_t n1, n2;
    double *y1 = run_model(one, &n1), *y2 = run_model(two, &n2);
    check_close_double("logits of v5.1 and v5.2", y2, y1, n1, MODEL_TOL);
    for (int i = 0; i < one->count; i++) { /* gradients: the sum over a head */
      Tensor *from = one->params[i].t, *to = model_param(two, one->params[i].name)->t;
      double *g = calloc(from->n, sizeof *g);
      for (size_t j = 0; j < to->n; j++)
        g[j / (to->n / from->n)] += (double)to->grad[j];
      for (size_t j = 0; j < from->n; j++)
        check_number(one->params[i].name, (double)from->grad[j], g[j], 10 * MODEL_TOL);
      free(g);
    }
    free(y1), free(y2);
    model_free(one);
    model_free(two);
  }
}

/* ---- v1: keys beyond a clamp are all the same ---- */

/* Logits with every key near `centre`: spread a little, or not at all. */
static double *logits_with_keys(double centre, double spread, size_t *n)
{
  Model *m = small_model(&version_v1, 0);
  fill_param(m, "attn.key.bias", centre);
  for (int i = 0; i < m->count; i++)
    for (size_t j = 0; strstr(m->params[i].name, "attn.key.weight") && j < m->params[i].t->n; j++)
      m->params[i].t->data[j] *= (real)spread;
  double *logits = run_model(m, n);
  model_free(m);
  return logits;
}

static void v1_clamps_keys_at_minus_60_and_30(void **state)
{
  (void)state;
  static const double centre[] = {-60.5, -59.5, 29.5, 30.5};
  for (size_t i = 0; i < COUNT_OF(centre); i++) {
    size_t n;
    bool clamped = centre[i] < -60 || centre[i] > 30;
    double *spread = logits_with_keys(centre[i], 0.05, &n), *same = logits_with_keys(centre[i], 0, &n);
    double apart = worst_difference_double(spread, same, n, FINITE_ONLY, NULL);
    assert_true(clamped ? apart <= 0 : apart > 1e-3);
    free(spread), free(same);
  }
}

/* A constant decay, repeated for every token: the same bits, and its gradient is the sum. */
static Tensor *run_wkv6_repeated(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  Tensor *S = leaf[S6], *w = t_reshape(tp, leaf[W6], 1, (int[]){z.H * z.N});
  w = t_add(tp, tape_zeros(tp, 3, c->leaf[K6].shape), w);
  Tensor *y = t_wkv6(tp, leaf[R6], w, leaf[K6], leaf[V6], leaf[U6], &S);
  return looked_at(tp, c, y, &S, 1);
}

static Tensor *run_wkv4_repeated(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *abp[] = {leaf[A4], leaf[B4], leaf[P4]}, *w = t_add(tp, tape_zeros(tp, 3, c->leaf[K4].shape), leaf[W4]);
  Tensor *y = t_wkv4(tp, w, leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  return looked_at(tp, c, y, abp, 3);
}

static void a_decay_per_token_may_be_constant(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    OpCase c = wkv6_case("decay", sizes[i], PER_CHANNEL, BOTH), other = c;
    other.run = run_wkv6_repeated;
    check_looks(c, other, 0);
    other = c = wkv4_case("decay", sizes[i], PER_CHANNEL, BOTH);
    other.run = run_wkv4_repeated;
    check_looks(c, other, 0);
  }
}

/* ---- (b) wkv7 that removes nothing is wkv6, read after the update ----

   S_t = diag(e^w) S_{t-1} + k v' in both, and  r' S_t = (r e^w)' S_{t-1} + (r.k) v. So wkv6 with r e^w for
   r and u = e^-w reads the same; where w differs between tokens, u = 0 and (r.k) v is added. */

/* [B,H,N,N] with the last two axes changed over */
static Tensor *transposed(Tape *tp, Tensor *S)
{
  Tensor *rows[16];
  int B = S->shape[0], H = S->shape[1], N = S->shape[2];
  for (int j = 0; j < N; j++)
    rows[j] = t_reshape(tp, t_slice(tp, S, 3, j, 1), 4, (int[]){B, H, 1, N});
  return t_concat(tp, rows, N, 2);
}

static Tensor *log_decay(Tape *tp, Tensor **leaf, const OpCase *c)
{
  if (c->arg[MODE] == PER_TOKEN)
    return leaf[W6];
  return t_add(tp, tape_zeros(tp, 3, c->leaf[K6].shape), t_reshape(tp, leaf[W6], 1, (int[]){-1}));
}

static Tensor *run_wkv7_without_removal(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *none = tape_zeros(tp, 3, c->leaf[K6].shape), *S = transposed(tp, leaf[S6]);
  Tensor *y = t_wkv7(tp, leaf[R6], log_decay(tp, leaf, c), leaf[K6], leaf[V6], none, none, &S);
  S = transposed(tp, S);
  y = t_add(tp, y, t_affine(tp, t_sum_all(tp, leaf[U6]), 0, 0)); /* u is a leaf of no effect */
  return looked_at(tp, c, y, &S, 1);
}

static Tensor *run_wkv6_read_after(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  Tensor *S = leaf[S6], *r = t_mul(tp, leaf[R6], t_exp(tp, log_decay(tp, leaf, c)));
  Tensor *u = c->arg[MODE] == PER_TOKEN ? t_affine(tp, leaf[U6], 0, 0) : t_exp(tp, t_neg(tp, leaf[W6]));
  Tensor *y = t_wkv6(tp, r, leaf[W6], leaf[K6], leaf[V6], u, &S);
  if (c->arg[MODE] == PER_TOKEN) {
    int heads[] = {z.B * z.T, z.H, z.N};
    Tensor *rk = t_reshape(tp, t_mul(tp, leaf[R6], leaf[K6]), 3, heads);
    Tensor *now = t_mul(tp, t_sum(tp, rk, 2, true), t_reshape(tp, leaf[V6], 3, heads));
    y = t_add(tp, y, t_reshape(tp, now, 3, c->leaf[K6].shape));
  } else {
    y = t_add(tp, y, t_affine(tp, t_sum_all(tp, leaf[U6]), 0, 0));
  }
  return looked_at(tp, c, y, &S, 1);
}

static void wkv7_that_removes_nothing_is_wkv6(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv6_case("wkv7 without removal", sizes[i], mode, BOTH), other = c;
      c.run = run_wkv7_without_removal;
      other.run = run_wkv6_read_after;
      check_looks(c, other, ALIKE_TOL);
    }
}

/* ---- a selective scan whose channels share one decay is wkv6, read after the update ----

   With x for v, B for k and C for r: S_t [n,d] = diag(e^A) S_{t-1} + delta B x' in both, where wkv6 has delta x for v.
   What wkv6 reads is made the state after the update as above: C e^A for r, and u = e^-A. */

static Tensor *run_scan_of_one_decay(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int D = c->leaf[V6].shape[2];
  Tensor *A = t_add(tp, tape_zeros(tp, 2, (int[]){D, D}), leaf[W6]); /* [D,N]: the same in all rows */
  Tensor *delta = t_affine(tp, tape_zeros(tp, 3, c->leaf[V6].shape), 1, 1), *none = t_sum_all(tp, leaf[U6]);
  Tensor *h = t_reshape(tp, transposed(tp, leaf[S6]), 3, (int[]){c->leaf[V6].shape[0], D, D});
  Tensor *y = t_selective_scan(tp, leaf[V6], delta, A, leaf[K6], leaf[R6], &h);
  Tensor *S = transposed(tp, t_reshape(tp, h, 4, c->leaf[S6].shape));
  return looked_at(tp, c, t_add(tp, y, t_affine(tp, none, 0, 0)), &S, 1);
}

static void a_scan_of_one_decay_is_wkv6(void **state)
{
  (void)state;
  static const Sizes one_head[] = {{2, 5, 1, 3}, {1, 1, 1, 1}, {2, 19, 1, 4}};
  for (size_t i = 0; i < COUNT_OF(one_head); i++) {
    OpCase c = wkv6_case("scan and wkv6", one_head[i], PER_CHANNEL, BOTH), other = c;
    c.run = run_scan_of_one_decay;
    other.run = run_wkv6_read_after;
    check_looks(c, other, ALIKE_TOL);
  }
}

/* ---- (c) linear in the values, and in the state that holds values ---- */

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

/* ---- (d) a beginning that neither writes nor fades changes nothing ---- */

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
  Tensor *y = t_wkv6(tp, after(tp, leaf[R6], 1), after(tp, leaf[W6], 0), after(tp, leaf[K6], 0),
                     after(tp, leaf[V6], 0), leaf[U6], &S);
  return looked_at(tp, c, without_idle(tp, y), &S, 1);
}

static Tensor *run_wkv7_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *S = leaf[S7], *x[S7];
  for (int l = 0; l < S7; l++)
    x[l] = after(tp, leaf[l], l == R7 ? 1 : 0);
  Tensor *y = t_wkv7(tp, x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], &S);
  return looked_at(tp, c, without_idle(tp, y), &S, 1);
}

static void fill_from_nothing2(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c, (void)rng;
  for (size_t i = 0; i < leaf[W2]->n; i++)
    leaf[W2]->data[i] = (real)-0.3;
  tensor_fill(leaf[A2], 0);
  tensor_fill(leaf[B2], 0);
}

/* e = 0, from an empty state: there is nothing that could fade */
static Tensor *run_wkv2_after_idle(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *zero = tape_zeros(tp, 2, c->leaf[A2].shape), *ab[] = {zero, zero};
  Tensor *e = exp_key2(tp, leaf[K2]);
  bool idle = c->arg[WITH_IDLE];
  if (idle)
    e = after(tp, e, 0);
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
  if (idle)
    k = after(tp, k, 1e-30), v = after(tp, v, 0);
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

/* ---- (f) a sequence may be cut anywhere ---- */

static void check_cuts(OpCase c, int key)
{
  OpCase cut = c;
  for (int t = TOKENWISE; t < c.leaf[key].shape[1]; t++) {
    if (t == 0)
      continue;
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
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++)
      check_cuts(wkv4_case("wkv4 cut", z, mode, BOTH), K4);
    for (int mode = PER_TOKEN; mode <= PER_HEAD; mode++)
      check_cuts(wkv6_case("wkv6 cut", z, mode, BOTH), K6);
    check_cuts(wkv7_case("wkv7 cut", z, BOTH), K7);
    check_cuts(scan_case("scan cut", z, BOTH), XS);
  }
}

/* ---- (g), (h): where the exponents of wkv4 start is of no importance ---- */

/* Keys and p moved by a number for each channel: only p moves. Undone in p, so that all outputs agree. */
static Tensor *run_wkv4_moved(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *move = t_affine(tp, t_tanh(tp, leaf[U4]), c->number[SPREAD], 0);
  Tensor *abp[] = {leaf[A4], leaf[B4], t_add(tp, leaf[P4], move)};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], t_add(tp, leaf[K4], move), leaf[V4], &abp[0], &abp[1], &abp[2]);
  abp[2] = t_sub(tp, abp[2], move);
  return looked_at(tp, c, y, abp, 3);
}

/* p moved, a and b scaled against it: the same state. As sums a e^p, b e^p it comes out the same too. */
enum { MOVE = EPS }; /* of OpCase.number */
static Tensor *run_wkv4_state(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *move = t_affine(tp, t_tanh(tp, leaf[P4]), c->number[MOVE], 0), *scale = t_exp(tp, t_neg(tp, move));
  Tensor *abp[] = {t_mul(tp, leaf[A4], scale), t_mul(tp, leaf[B4], scale), t_add(tp, leaf[P4], move)};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  Tensor *back = t_exp(tp, abp[2]), *sums[] = {t_mul(tp, abp[0], back), t_mul(tp, abp[1], back)};
  return looked_at(tp, c, y, sums, 2);
}

static Tensor *run_wkv2_for_wkv4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *start = t_exp(tp, leaf[P4]), *ab[] = {t_mul(tp, leaf[A4], start), t_mul(tp, leaf[B4], start)};
  Tensor *y = t_wkv2(tp, leaf[W4], leaf[U4], t_exp(tp, leaf[K4]), leaf[V4], 0, &ab[0], &ab[1]);
  return looked_at(tp, c, y, ab, 2);
}

static void wkv4_does_not_see_where_exponents_start(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv4_case("wkv4 moved", sizes[i], mode, BOTH), other = c;
      other.run = run_wkv4_moved, other.number[SPREAD] = 4;
      check_looks(c, other, 20 * ALIKE_TOL);
      c.name = "wkv4 with another p", c.run = other.run = run_wkv4_state;
      for (int move = -6; move <= 6; move += 4) {
        other.number[MOVE] = move;
        check_looks(c, other, 4 * ALIKE_TOL);
      }
    }
}

static void wkv4_is_wkv2_without_eps(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int start = -3; start <= 3; start += 3) {
      OpCase c = wkv4_case("wkv4 and wkv2", sizes[i], PER_CHANNEL, BOTH), other = c;
      c.arg[CENTRE] = other.arg[CENTRE] = start;
      c.run = run_wkv4_state, other.run = run_wkv2_for_wkv4;
      check_looks(c, other, ALIKE_TOL);
    }
}

/* ---- (i) wkv7 swaps: with kappa = (e_i - e_j) / sqrt 2, S (1 - 2 kappa kappa') swaps columns i, j ---- */

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
  for (int l = 0; l < 6; l++)
    leaf[l] = new_leaf(3, shape, false);
  Tensor *S0 = random_leaf(4, (int[]){1, 1, PLACES, PLACES}, &rng, 1, false), *S = S0;
  for (int j = 0; j < PLACES; j++)
    at[j] = j;
  for (int t = 0; t < SWAPS; t++) {
    int i = (int)rng_below(&rng, PLACES), j = (i + 1 + (int)rng_below(&rng, PLACES - 1)) % PLACES,
        was = at[i];
    put_swap(leaf[A7], leaf[B7], t, i, j);
    at[i] = at[j], at[j] = was;
    first[t] = at[0];
    leaf[R7]->data[t * PLACES] = 1; /* reads column 0 */
  }
  Tape *tp = tape_new();
  Tensor *y = t_wkv7(tp, leaf[R7], leaf[W7], leaf[K7], leaf[V7], leaf[A7], leaf[B7], &S);
  for (int t = 0; t < SWAPS; t++)
    check_column(y->data + t * PLACES, 1, S0->data, first[t]);
  for (int j = 0; j < PLACES; j++)
    check_column(S->data + j, PLACES, S0->data, at[j]);
  tape_free(tp);
  free_leaves(leaf, 6);
  tensor_free(S0);
}

/* ---- (j) norms ---- */

/* arg: H, power of two that x is scaled by. eps is scaled with its square: then the bits are the same. */
static Tensor *run_group_norm_scaled(Tape *tp, Tensor **leaf, const OpCase *c)
{
  double scale = ldexp(1, c->arg[1]);
  return t_group_norm(tp, t_affine(tp, leaf[0], scale, 0), c->arg[0], leaf[1], leaf[2],
                      c->number[0] * scale * scale);
}

/* By any number, and moved: up to eps, which is small here. */
static Tensor *run_group_norm_moved(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_group_norm(tp, t_affine(tp, leaf[0], c->number[0], c->number[1]), c->arg[0], leaf[1], leaf[2],
                      1e-30);
}

static Tensor *run_l2norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *y = t_affine(tp, leaf[0], c->number[0], 0);
  for (int i = 0; i < c->arg[1]; i++)
    y = t_l2norm(tp, y, c->arg[0], 1e-12);
  return y;
}

static void norms_do_not_see_scale(void **state)
{
  (void)state;
  for (int H = 1; H <= 3; H++) {
    int C = 5 * H;
    OpCase
        c = {"group norm", run_group_norm_scaled, NULL, NULL, 3, {SHAPE(2, 4, C), SHAPE(C), SHAPE(C)}, {H, 0},
             {64e-5}},
        other = c;
    for (other.arg[1] = -9; other.arg[1] <= 9; other.arg[1] += 6)
      check_alike(&c, &other, 0, ALIKE_GRADIENT_TOL);
    c.run = other.run = run_group_norm_moved, c.number[0] = 1;
    other.number[0] = 3.7, other.number[1] = 2;
    check_alike(&c, &other, 4 * ALIKE_TOL, ALIKE_GRADIENT_TOL);
    OpCase once = {"l2norm", run_l2norm, NULL, NULL, 1, {SHAPE(2, 4, C)}, {H, 1}, {1}}, twice = once,
           larger = once;
    twice.arg[1] = 2, larger.number[0] = 37.5;
    check_alike(&once, &twice, ALIKE_TOL, ALIKE_GRADIENT_TOL);
    check_alike(&once, &larger, ALIKE_TOL, ALIKE_GRADIENT_TOL);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(v6_without_low_rank_maps_is_v5_2),
      cmocka_unit_test(v5_2_with_one_decay_per_head_is_v5_1),
      cmocka_unit_test(v1_clamps_keys_at_minus_60_and_30),
      cmocka_unit_test(a_decay_per_token_may_be_constant),
      cmocka_unit_test(wkv7_that_removes_nothing_is_wkv6),
      cmocka_unit_test(a_scan_of_one_decay_is_wkv6),
      cmocka_unit_test(linear_in_values),
      cmocka_unit_test(idle_tokens_change_nothing),
      cmocka_unit_test(a_sequence_may_be_cut_anywhere),
      cmocka_unit_test(wkv4_does_not_see_where_exponents_start),
      cmocka_unit_test(wkv4_is_wkv2_without_eps),
      cmocka_unit_test(wkv7_tracks_a_permutation),
      cmocka_unit_test(norms_do_not_see_scale),
  };
  int failed = cmocka_run_group_tests_name("identities", tests, NULL, NULL);
  printf("worst: values %.2g, gradients %.2g, swaps %.2g\n", worst_value_apart, worst_gradient_apart,
         worst_swap);
  return failed;
}
