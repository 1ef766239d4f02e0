/* AdamW, clipping and the schedule, against the formulas worked out here. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"
#include "engine/optim.h"

#include <math.h>
#include <string.h>

static const OptConfig usual = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .final = 1};

/* ---- the update ---- */

enum { N = 5, STEPS = 6 };

/* Adam's averages written out as sums over all gradients so far: m^ = sum (1-b) b^(t-s) g_s / (1 - b^t). */
static double mean_so_far(const double *g, int t, double beta, int power)
{
  double sum = 0, weights = 0;
  for (int s = 0; s <= t; s++) {
    double weight = pow(beta, t - s);
    sum += weight * pow(g[s], power);
    weights += weight;
  }
  return sum / weights; /* sum of b^(t-s) = (1 - b^t) / (1 - b) */
}

/* Where one parameter is after all steps. */
static double expected_path(const OptConfig *c, double p, const double *g, double lr_scale, bool decay)
{
  for (int t = 0; t < STEPS; t++) {
    double lr = c->lr * lr_scale;
    double update = mean_so_far(g, t, c->beta1, 1) / (sqrt(mean_so_far(g, t, c->beta2, 2)) + c->eps);
    p = p - lr * update - (decay ? lr * c->weight_decay * p : 0);
  }
  return p;
}

static void check_update(const OptConfig *cfg, double gradient_size, double lr_scale, bool decay)
{
  Rng rng = rng_new(1, 2);
  Tensor *p = random_leaf(1, (int[]){N}, &rng, 1, true);
  double start[N], g[N][STEPS], want[N];
  for (int i = 0; i < N; i++) start[i] = p->data[i];
  Optim *o = opt_new(cfg, 1, 0);
  opt_add(o, 0, "p", p, lr_scale, decay);
  for (int t = 0; t < STEPS; t++) {
    random_fill(p->grad, N, &rng, gradient_size);
    p->reached = true;
    if (t == 3) p->grad[1] = 0;
    double squares = 0;
    for (int i = 0; i < N; i++) g[i][t] = p->grad[i], squares += g[i][t] * g[i][t];
    check_number("norm", opt_step(o, NULL) / gradient_size, sqrt(squares) / gradient_size, VALUE_TOL);
    if (cfg->clip > 0 && sqrt(squares) > cfg->clip)
      for (int i = 0; i < N; i++) g[i][t] *= cfg->clip / sqrt(squares);
    assert_int_equal(o->step, t + 1);
  }
  for (int i = 0; i < N; i++) want[i] = expected_path(cfg, start[i], g[i], lr_scale, decay);
  check_tensor("parameter", p, want, 3 * VALUE_TOL);
  opt_free(o);
  tensor_free(p);
}

static void adamw_updates(void **state)
{
  (void)state;
  static const double sizes[] = {1, 1e-3, 30};
  for (int s = 0; s < 3; s++)
    for (int decay = 0; decay <= 1; decay++)
      for (int scale = 1; scale <= 3; scale++) check_update(&usual, sizes[s], scale, decay);
  OptConfig c = usual;
  c.eps = 0.1; /* outside of the root */
  check_update(&c, 1, 1, true);
  c.beta1 = c.beta2 = 0;
  check_update(&c, 1, 1, false);
  c = usual;
  c.weight_decay = 0;
  check_update(&c, 1, 1, true);
}

static void clipping(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.eps = 0.1; /* so that the size of the gradient matters */
  c.clip = 1.5;
  check_update(&c, 3, 1, true);    /* always clipped */
  check_update(&c, 0.7, 1, true);  /* now and then */
  check_update(&c, 0.01, 1, true); /* never */
}

/* The very first update is lr * sign(g), whatever the size: the bias correction. */
static void the_first_step_is_lr(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.eps = 1e-30;
  Tensor *p = new_leaf(1, (int[]){3}, true);
  const real g[] = {(real)1e-3, (real)-20, 0};
  memcpy(p->grad, g, sizeof g);
  p->reached = true;
  Optim *o = opt_new(&c, 1, 0);
  opt_add(o, 0, "p", p, 1, true);
  opt_step(o, NULL);
  check_tensor("first step", p, (double[]){-0.01, 0.01, 0}, VALUE_TOL);
  opt_free(o);
  tensor_free(p);
}

/* The norm is taken over all parameters together; groups differ in rate and decay. */
static void several_parameters(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.clip = 1;
  c.eps = 1e-30;
  Tensor *p[] = {new_leaf(1, (int[]){2}, true), new_leaf(2, (int[]){1, 1}, true), new_leaf(0, NULL, true)};
  Optim *o = opt_new(&c, 3, 0);
  opt_add(o, 0, "p", p[0], 1, true);
  opt_add(o, 1, "p", p[1], 2, false);
  opt_add(o, 2, "p", p[2], 1, true);
  tensor_fill(p[2], 10);
  p[0]->grad[0] = 2, p[0]->grad[1] = -6, p[1]->grad[0] = 9; /* that of p[2] is 0, but it decays */
  for (int i = 0; i < 3; i++) p[i]->reached = true;
  check_number("norm", opt_step(o, NULL), 11, VALUE_TOL);
  check_number("m", (double)o->params[0].m->data[1], 0.1 * -6 / 11, VALUE_TOL);
  check_number("v", (double)o->params[1].v->data[0], 0.01 * pow(9.0 / 11, 2), VALUE_TOL);
  check_tensor("first", p[0], (double[]){-0.01, 0.01}, VALUE_TOL);
  check_tensor("twice the rate", p[1], (double[]){-0.02}, VALUE_TOL);
  check_tensor("decay alone", p[2], (double[]){10 - 0.01 * 0.1 * 10}, VALUE_TOL);
  opt_zero_grad(o);
  for (int i = 0; i < 3; i++)
    for (size_t e = 0; e < p[i]->n; e++) assert_true(p[i]->grad[e] == 0);
  opt_free(o);
  opt_free(NULL);
  free_leaves(p, 3);
}

/* ---- what is left as it is ---- */

/* Frozen, or not reached by any gradient: neither decay nor moments, and no part of the norm. What comes late has the
   bias correction of its own steps. */
static void without_gradient_nothing_moves(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.eps = 1e-30;
  Tensor *p[] = {new_leaf(0, NULL, true), new_leaf(0, NULL, true), new_leaf(0, NULL, false)};
  Optim *o = opt_new(&c, 3, 0);
  for (int i = 0; i < 3; i++) opt_add(o, i, "p", p[i], 1, true), tensor_fill(p[i], 10);
  assert_null(o->params[2].m);
  const double step = 0.01 + 0.01 * 0.1 * 10; /* the first one: rate and decay */
  p[0]->grad[0] = 3, p[0]->reached = true;
  p[1]->grad[0] = 4;
  check_number("norm", opt_step(o, NULL), 3, VALUE_TOL);
  check_tensor("reached", p[0], (double[]){10 - step}, VALUE_TOL);
  check_tensor("not reached", p[1], (double[]){10}, 0);
  check_tensor("frozen", p[2], (double[]){10}, 0);
  assert_true(o->params[0].steps == 1 && o->params[1].steps == 0 && o->step == 1);

  p[0]->reached = false, p[1]->reached = true;
  tensor_need_grad(p[2]);
  p[2]->grad[0] = -3, p[2]->reached = true;
  check_number("norm", opt_step(o, NULL), 5, VALUE_TOL);
  check_tensor("no longer reached", p[0], (double[]){10 - step}, VALUE_TOL);
  check_tensor("its first step", p[1], (double[]){10 - step}, VALUE_TOL);
  check_tensor("no longer frozen", p[2], (double[]){10 + 0.02 - step}, VALUE_TOL);
  opt_free(o);
  free_leaves(p, 3);
}

/* ---- groups and rates ---- */

static double moved_by(Optim *o, int i, const double *rates)
{
  for (int j = 0; j < o->count; j++) {
    Tensor *p = o->params[j].p;
    p->grad[0] = -2, p->reached = true; /* constant: every update is the rate itself */
  }
  double before = (double)o->params[i].p->data[0];
  opt_step(o, rates);
  return (double)o->params[i].p->data[0] - before;
}

static void groups_have_rates(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.warmup = 4;
  c.eps = 1e-30;
  Tensor *p[] = {new_leaf(0, NULL, true), new_leaf(0, NULL, true), new_leaf(0, NULL, true)};
  Optim *o = opt_new(&c, 3, 2);
  for (int i = 0; i < 3; i++) opt_add(o, i, "p", p[i], 1, false), o->params[i].group = i;
  opt_group_lr(o, 1, 1);
  for (int i = 0; i < 3; i++) {
    double part = opt_schedule(&c, o->step), want[] = {0.01 * part, part, 0.01 * part}; /* group 2 has no rate */
    check_number("its rate", opt_rate(o, i), want[i], 1e-12);
    check_number("its step", moved_by(o, i, NULL), want[i], 10 * VALUE_TOL);
  }
  opt_set_rate(o, 0, 0.5);
  check_number("set", moved_by(o, 0, NULL), 0.5, 10 * VALUE_TOL);
  check_number("set for all without a rate", moved_by(o, 2, NULL), 0.5, 10 * VALUE_TOL);
  check_number("not for the others", moved_by(o, 1, NULL), 1, 10 * VALUE_TOL);
  check_number("given", moved_by(o, 1, (double[]){1, 0.25, 1}), 0.25, 10 * VALUE_TOL);
  opt_free(o);
  free_leaves(p, 3);
}

/* ---- the schedule ---- */

static void check_rate(const OptConfig *c, long step, double want)
{
  check_number("rate", opt_schedule(c, step), want, 1e-12);
}

static void schedule(void **state)
{
  (void)state;
  OptConfig c = usual;
  for (long step = 0; step < 1000; step += 99) check_rate(&c, step, 1); /* neither warm-up nor end */

  c.warmup = 10;
  check_rate(&c, 0, 0.01);
  check_rate(&c, 5, 0.01 + 0.99 / 2);
  check_rate(&c, 9, 0.01 + 0.99 * 0.9);
  check_rate(&c, 10, 1);
  check_rate(&c, 100000, 1);

  c.total = 110;
  c.final = 0.2;
  check_rate(&c, 5, 0.01 + 0.99 / 2);
  check_rate(&c, 10, 1);
  check_rate(&c, 35, 0.2 + 0.8 * (0.5 + sqrt(0.125)));
  check_rate(&c, 60, 0.6);
  check_rate(&c, 85, 0.2 + 0.8 * (0.5 - sqrt(0.125)));
  check_rate(&c, 110, 0.2);
  check_rate(&c, 1000, 0.2);

  c.warmup = 0;
  c.total = 4;
  c.final = 0;
  check_rate(&c, 0, 1);
  check_rate(&c, 2, 0.5);
  check_rate(&c, 4, 0);
}

static void steps_follow_the_schedule(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.warmup = 2;
  c.total = 6;
  c.final = 0.1;
  c.eps = 1e-30;
  Tensor *p = new_leaf(0, NULL, true);
  Optim *o = opt_new(&c, 1, 0);
  opt_add(o, 0, "p", p, 1, false);
  double want = 0;
  for (int t = 0; t < 8; t++) {
    p->reached = true;
    p->grad[0] = -2; /* constant: every update is the rate itself */
    opt_step(o, NULL);
    want += c.lr * opt_schedule(&c, t);
    check_tensor("along the schedule", p, &want, VALUE_TOL);
  }
  opt_free(o);
  tensor_free(p);
}

/* ---- refusals ---- */

static void step_once(void *o) { opt_step(o, NULL); }

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
  (void)state;
  static const double odd[] = {NAN, INFINITY, -INFINITY};
  for (int k = 0; k < 3; k++) {
    Rng rng = rng_new(4, 4);
    Tensor *p[] = {random_leaf(1, (int[]){N}, &rng, 1, true), random_leaf(1, (int[]){N}, &rng, 1, true)};
    Optim *o = opt_new(&usual, 2, 0);
    for (int i = 0; i < 2; i++) {
      opt_add(o, i, i ? "second" : "first", p[i], 1, true);
      random_fill(p[i]->grad, N, &rng, 1);
      p[i]->reached = true;
    }
    opt_step(o, NULL);
    real before[2][3][N];
    for (int i = 0; i < 2; i++) {
      const OptParam *q = &o->params[i];
      memcpy(before[i][0], q->p->data, sizeof before[i][0]);
      memcpy(before[i][1], q->m->data, sizeof before[i][1]);
      memcpy(before[i][2], q->v->data, sizeof before[i][2]);
    }
    p[1]->grad[3] = (real)odd[k]; /* the parameter before it must not have moved either */
    expect_failure(step_once, o,
                   "the gradient is not finite at step 2, that of second to begin with: nothing was changed");
    for (int i = 0; i < 2; i++) {
      assert_memory_equal(o->params[i].p->data, before[i][0], sizeof before[i][0]);
      assert_memory_equal(o->params[i].m->data, before[i][1], sizeof before[i][1]);
      assert_memory_equal(o->params[i].v->data, before[i][2], sizeof before[i][2]);
    }
    assert_int_equal(o->step, 1);
    opt_free(o);
    free_leaves(p, 2);
  }
}

static void new_optim(void *cfg) { opt_free(opt_new(cfg, 0, 0)); }

static void settings_out_of_range_fail(void **state)
{
  (void)state;
  static const struct {
    size_t field;
    double value;
    const char *message;
  } bad[] = {
      {offsetof(OptConfig, lr), -1e-3, "adamw: lr is -0.001"},
      {offsetof(OptConfig, lr), NAN, "adamw: lr is"},
      {offsetof(OptConfig, lr), INFINITY, "adamw: lr is inf"},
      {offsetof(OptConfig, beta1), 1, "adamw: beta1 is 1"},
      {offsetof(OptConfig, beta1), -0.1, "adamw: beta1 is -0.1"},
      {offsetof(OptConfig, beta2), 1.5, "adamw: beta2 is 1.5"},
      {offsetof(OptConfig, beta2), NAN, "adamw: beta2 is"},
      {offsetof(OptConfig, eps), 0, "adamw: eps is 0"},
      {offsetof(OptConfig, eps), -1e-8, "adamw: eps is -1e-08"},
      {offsetof(OptConfig, weight_decay), -0.1, "adamw: weight_decay is -0.1"},
      {offsetof(OptConfig, clip), -1, "adamw: clip is -1"},
      {offsetof(OptConfig, final), 1.1, "adamw: final is 1.1"},
      {offsetof(OptConfig, final), -0.1, "adamw: final is -0.1"},
  };
  OptConfig c = usual;
  new_optim(&c);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    c = usual;
    memcpy((char *)&c + bad[i].field, &bad[i].value, sizeof(double));
    expect_failure(new_optim, &c, bad[i].message);
  }
}

/* A negative warm-up would start the cosine in the middle. */
static void negative_steps_fail(void **state)
{
  (void)state;
  OptConfig c = usual;
  c.warmup = -5;
  expect_failure(new_optim, &c, "adamw: warmup is -5");
  c = usual;
  c.total = -1;
  expect_failure(new_optim, &c, "adamw: total is -1");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adamw_updates),
      cmocka_unit_test(clipping),
      cmocka_unit_test(the_first_step_is_lr),
      cmocka_unit_test(several_parameters),
      cmocka_unit_test(without_gradient_nothing_moves),
      cmocka_unit_test(groups_have_rates),
      cmocka_unit_test(schedule),
      cmocka_unit_test(steps_follow_the_schedule),
      cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
      cmocka_unit_test(settings_out_of_range_fail),
      cmocka_unit_test(negative_steps_fail),
  };
  return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
