/* What must hold between versions: a special case of one is another. Values, and the gradients of all parameters. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"
#include "op_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef AVIARY_DOUBLE
#define MODEL_TOL 1e-12
#else
#define MODEL_TOL 1e-4
#endif

/* ---- v6 with low-rank maps of zero is v5.2 ---- */

static void fill_param(Model *m, const char *suffix, double value)
{
  for (int i = 0; i < m->count; i++) {
    const char *at = strstr(m->params[i].name, suffix);
    if (at && at[strlen(suffix)] == 0) tensor_fill(m->params[i].t, (real)value);
  }
}

/* The name in v5.2 of a parameter of v6, and whether the one is 1 minus the other; false: it has none. */
static bool name_in_v5(const char *name6, char *name5, size_t size, bool *complement)
{
  const char *mix = strstr(name6, "time_maa_");
  *complement = mix != NULL;
  snprintf(name5, size, "%s", name6);
  if (strstr(name6, "_w1") || strstr(name6, "_w2") || strstr(name6, "maa_x") || strstr(name6, "maa_w")) return false;
  if (mix) snprintf(name5, size, "%.*stime_mix_%s", (int)(mix - name6), name6, mix + strlen("time_maa_"));
  return true;
}

static void copy_to_v5(Model *v6, Model *v5)
{
  int copied = 0;
  for (int i = 0; i < v6->count; i++) {
    char name[80];
    bool complement;
    if (!name_in_v5(v6->params[i].name, name, sizeof name, &complement)) continue;
    Param *to = model_param(v5, name);
    const Tensor *from = v6->params[i].t;
    assert_non_null(to);
    assert_int_equal(to->t->n, from->n);
    for (size_t j = 0; j < from->n; j++) to->t->data[j] = complement ? 1 - from->data[j] : from->data[j];
    copied++;
  }
  assert_int_equal(copied, v5->count);
}

enum { MODEL_B = 2, MODEL_T = 18 };

/* Logits; and the gradient of the loss in the parameters. */
static double *run_model(Model *m, size_t *n)
{
  int *tokens = random_tokens(5, MODEL_B * MODEL_T, m->d.V), *targets = random_tokens(6, MODEL_B * MODEL_T, m->d.V);
  Tape *tp = tape_new();
  State *st = state_new(m, MODEL_B), *again = state_new(m, MODEL_B);
  Tensor *logits = model_logits(tp, m, TOKENS(tokens, MODEL_B, MODEL_T), st);
  double *values = doubles_of(logits);
  *n = logits->n;
  zero_model_grads(m);
  tape_backward(tp, model_loss(tp, m, TOKENS(tokens, MODEL_B, MODEL_T), targets, again, NULL, NULL));
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
    if (!name_in_v5(v6->params[i].name, name, sizeof name, &complement)) continue;
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
      for (size_t j = 0; j < to->n; j++) to->data[j] = from->data[j / repeat];
    }
    size_t n1, n2;
    double *y1 = run_model(one, &n1), *y2 = run_model(two, &n2);
    check_close_double("logits of v5.1 and v5.2", y2, y1, n1, MODEL_TOL);
    for (int i = 0; i < one->count; i++) { /* gradients: the sum over a head */
      Tensor *from = one->params[i].t, *to = model_param(two, one->params[i].name)->t;
      double *g = calloc(from->n, sizeof *g);
      for (size_t j = 0; j < to->n; j++) g[j / (to->n / from->n)] += (double)to->grad[j];
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(v6_without_low_rank_maps_is_v5_2),
      cmocka_unit_test(v5_2_with_one_decay_per_head_is_v5_1),
      cmocka_unit_test(v1_clamps_keys_at_minus_60_and_30),
  };
  return cmocka_run_group_tests_name("versions_alike", tests, NULL, NULL);
}
