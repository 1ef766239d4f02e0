/* Gradients of whole models: through the state into earlier tokens, and against slopes of the loss. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef AVIARY_DOUBLE
#define SEGMENT_TOL 1e-10
#else
#define SEGMENT_TOL 1e-3
#endif

/* In v1 numerator and denominator are both proportional to e^(key bias): its gradient is 0 but for rounding. */
static bool has_no_effect(const Param *p) { return strstr(p->name, "attn.key.bias") != NULL; }

typedef enum { AT_ONCE, CARRIED, DETACHED } Segments;

/* Gradient of the loss on tokens[b][CUT..T), after the tokens before it. */
static double *segment_grads(Model *m, const int *tokens, const int *targets, int B, int T, int cut, Segments how,
                             double *loss, size_t *n)
{
  State *st = state_new(m, B);
  Tape *tp = tape_new();
  int rest = T - cut, size = B * T;
  int *first = calloc((size_t)size, sizeof *first), *second = calloc((size_t)size, sizeof *second),
      *late = calloc((size_t)size, sizeof *late), *all = calloc((size_t)size, sizeof *all);
  for (int i = 0; i < size; i++) {
    int b = i / T, t = i % T;
    all[i] = t < cut ? -1 : targets[i];
    if (t < cut) first[b * cut + t] = tokens[i];
    else second[b * rest + t - cut] = tokens[i], late[b * rest + t - cut] = targets[i];
  }
  zero_model_grads(m);
  if (how != AT_ONCE) model_logits(tp, m, TOKENS(first, B, cut), st);
  if (how == DETACHED) state_detach(st);
  Tensor *l = how == AT_ONCE ? model_loss(tp, m, TOKENS(tokens, B, T), all, st, NULL, NULL)
                             : model_loss(tp, m, TOKENS(second, B, rest), late, st, NULL, NULL);
  *loss = (double)l->data[0];
  tape_backward(tp, l);
  double *g = model_grads(m, n);
  state_free(st);
  tape_free(tp);
  free(first), free(second), free(late), free(all);
  return g;
}

static double largest(const double *x, size_t n)
{
  double most = 0;
  for (size_t i = 0; i < n; i++) most = isnan(x[i]) ? (double)INFINITY : fmax(most, fabs(x[i]));
  return most;
}

static void check_segments(Model *m)
{
  enum { B = 2, T = 18, CUT = 5 };
  int *tokens = random_tokens(7, B * T, m->d.V), *targets = random_tokens(8, B * T, m->d.V);
  size_t n;
  double loss, loss2, loss3, detached_off = 0;
  double *once = segment_grads(m, tokens, targets, B, T, CUT, AT_ONCE, &loss, &n);
  double *carried = segment_grads(m, tokens, targets, B, T, CUT, CARRIED, &loss2, &n);
  double *detached = segment_grads(m, tokens, targets, B, T, CUT, DETACHED, &loss3, &n);
  assert_true(fabs(loss - loss2) <= SEGMENT_TOL * 1e-3);
  assert_true(loss2 == loss3);
  size_t at = 0;
  for (int i = 0; i < m->count; i++) {
    size_t size = m->params[i].t->n;
    double scale = has_no_effect(&m->params[i]) ? 1e-3 : largest(once + at, size);
    assert_true(isfinite(scale) && scale > 0);
    for (size_t j = at; j < at + size; j++) {
      if (!(fabs(once[j] - carried[j]) <= SEGMENT_TOL * scale))
        fail_msg("%s %s[%zu]: gradient %.12g in two segments, %.12g in one", m->version->name, m->params[i].name,
                 j - at, carried[j], once[j]);
      detached_off = fmax(detached_off, fabs(once[j] - detached[j]) / scale);
    }
    at += size;
  }
  assert_true(detached_off > 1e-2); /* detaching cuts something off, or the test would see nothing */
  free(once), free(carried), free(detached);
  free(tokens), free(targets);
}

static void gradient_through_the_state(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      check_segments(m);
      model_free(m);
    }
}

#ifdef AVIARY_DOUBLE
typedef struct {
  Model *m;
  Tape *tp;
  const int *tokens, *targets;
  int B, T;
} Problem;

static double loss_of(Problem *p, bool backward)
{
  State *st = state_new(p->m, p->B);
  p->tp->recording = backward;
  Tensor *l = model_loss(p->tp, p->m, TOKENS(p->tokens, p->B, p->T), p->targets, st, NULL, NULL);
  double loss = (double)l->data[0];
  if (backward) tape_backward(p->tp, l);
  state_free(st);
  tape_reset(p->tp);
  return loss;
}

/* The loss with t moved by step along direction; t is left as it was, to the bit. */
static double loss_at(Problem *p, Tensor *t, const double *direction, double step)
{
  real *keep = calloc(t->n, sizeof *keep);
  memcpy(keep, t->data, t->n * sizeof *keep);
  for (size_t j = 0; j < t->n; j++) t->data[j] += (real)(step * direction[j]);
  double loss = loss_of(p, false);
  memcpy(t->data, keep, t->n * sizeof *keep);
  free(keep);
  return loss;
}

/* Central differences at h and 2h, extrapolated: the error is h^4. */
static double slope(Problem *p, Tensor *t, const double *direction, double h)
{
  double one = (loss_at(p, t, direction, h) - loss_at(p, t, direction, -h)) / (2 * h);
  double two = (loss_at(p, t, direction, 2 * h) - loss_at(p, t, direction, -2 * h)) / (4 * h);
  return (4 * one - two) / 3;
}

/* A step may carry a relu over its kink, so a smaller one is tried before the gradient is blamed. */
static void check_slope(Problem *p, const Param *q, const double *direction, double expected, double norm)
{
  static const double steps[] = {2e-4, 2e-5, 2e-6};
  double found = 0;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    double rounding = 1e-15 / steps[i];
    found = slope(p, q->t, direction, steps[i]);
    if (fabs(found - expected) <= 1e-6 * fmax(fabs(expected), 0.1 * norm) + rounding) return;
    if (has_no_effect(q) && fabs(found) + norm < 1e-8) return;
  }
  fail_msg("%s %s: slope %.12g, gradient says %.12g", p->m->version->name, q->name, found, expected);
}

static void check_slopes(Problem *p)
{
  enum { DIRECTIONS = 2 };
  zero_model_grads(p->m);
  loss_of(p, true);
  for (int i = 0; i < p->m->count; i++) {
    Tensor *t = p->m->params[i].t;
    double *direction = calloc(t->n, sizeof *direction), norm = 0;
    for (size_t j = 0; j < t->n; j++) norm += (double)t->grad[j] * (double)t->grad[j];
    norm = sqrt(norm);
    if (!(norm > 1e-9) && !has_no_effect(&p->m->params[i]))
      fail_msg("%s %s: the gradient is %g", p->m->version->name, p->m->params[i].name, norm);
    Rng r = rng_named(3, p->m->params[i].name);
    for (int k = 0; k < DIRECTIONS; k++) {
      double expected = 0;
      for (size_t j = 0; j < t->n; j++) {
        direction[j] = rng_normal(&r);
        expected += direction[j] * (double)t->grad[j];
      }
      check_slope(p, &p->m->params[i], direction, expected, norm);
    }
    free(direction);
  }
}
#endif

static void finite_differences(void **state)
{
  (void)state;
#ifdef AVIARY_DOUBLE
  enum { B = 2, T = 17 };
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      int *tokens = random_tokens(9, B * T, m->d.V), *targets = random_tokens(10, B * T, m->d.V);
      for (int i = 0; i < B * T; i += 5) targets[i] = -1;
      Problem p = {m, tape_new(), tokens, targets, B, T};
      check_slopes(&p);
      tape_free(p.tp);
      free(tokens), free(targets);
      model_free(m);
    }
#else
  printf("SKIPPED: float32 has not the digits; the same code is checked in float64\n");
  skip();
#endif
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_through_the_state),
      cmocka_unit_test(finite_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
