/* The loss of a model: by hand, where nothing is scored, and what l2wrap adds to its gradient. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"

#include <math.h>
#include <stdlib.h>

#ifdef AVIARY_DOUBLE
#define LOSS_TOL 1e-13
#else
#define LOSS_TOL 2e-6
#endif

/* -log softmax(x)[target], and whether the target has the largest logit */
static double surprise(const real *x, int V, int target, bool *right)
{
  int best = 0;
  long double sum = 0;
  for (int j = 1; j < V; j++)
    if (x[j] > x[best]) best = j;
  for (int j = 0; j < V; j++) sum += expl((long double)x[j] - (long double)x[best]);
  *right = best == target;
  return (double)(logl(sum) + (long double)x[best] - (long double)x[target]);
}

/* What model_log_likelihood says of every scored position is what stands in right and log_p. */
static void check_log_likelihood(Model *m, const int *tokens, const int *targets, int B, int T, const double *want,
                                 const bool *right, int scored)
{
  Tape *tp = tape_new();
  State *st = state_new(m, B);
  double *log_p = malloc((size_t)(B * T) * sizeof *log_p);
  bool *greedy = malloc((size_t)(B * T) * sizeof *greedy);
  assert_int_equal(model_log_likelihood(tp, m, TOKENS(tokens, B, T), targets, st, log_p, greedy), scored);
  for (int i = 0; i < scored; i++) {
    if (!(fabs(log_p[i] - want[i]) <= LOSS_TOL * fmax(1, fabs(want[i]))))
      fail_msg("%s: log p %.15g, by hand %.15g", m->version->name, log_p[i], want[i]);
    assert_true(greedy[i] == right[i]);
  }
  free(log_p), free(greedy);
  state_free(st);
  tape_free(tp);
}

static void check_loss(Model *m, int B, int T, int every)
{
  int *tokens = random_tokens(11, B * T, m->d.V), *targets = random_tokens(12, B * T, m->d.V);
  State *st = state_new(m, B), *st2 = state_new(m, B);
  real *logits = logits_of(m, tokens, B, T, st);
  double total = 0, *log_p = malloc((size_t)(B * T) * sizeof *log_p);
  bool *right = malloc((size_t)(B * T) * sizeof *right);
  int scored = 0, correct = 0;
  for (int i = 0; i < B * T; i++) {
    const real *x = logits + i * m->d.V;
    if (i % 3 == 0) /* make some of the targets the most likely */
      for (int j = targets[i] = 0; j < m->d.V; j++)
        if (x[j] > x[targets[i]]) targets[i] = j;
    if (every && i % every == 0) {
      targets[i] = i % 2 ? -1 : -100;
      continue;
    }
    log_p[scored] = -surprise(x, m->d.V, targets[i], &right[scored]);
    total -= log_p[scored];
    correct += right[scored++];
  }
  Tape *tp = tape_new();
  Score score = {-5, -5};
  double loss = (double)model_loss(tp, m, TOKENS(tokens, B, T), targets, st2, NULL, &score)->data[0];
  double want = scored ? total / scored : 0;
  if (!(fabs(loss - want) <= LOSS_TOL * fmax(1, want)))
    fail_msg("%s: loss %.15g, by hand %.15g", m->version->name, loss, want);
  assert_int_equal(score.scored, scored);
  assert_int_equal(score.correct, correct);
  assert_true(same_states(st, st2)); /* the state does not depend on what is scored */
  check_log_likelihood(m, tokens, targets, B, T, log_p, right, scored);
  state_free(st), state_free(st2);
  tape_free(tp);
  free(logits), free(tokens), free(targets), free(log_p), free(right);
}

static void loss_by_hand(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    check_loss(m, 1, 1, 0);
    check_loss(m, 3, 17, 0);
    check_loss(m, 3, 17, 2);
    check_loss(m, 2, 9, 5);
    check_loss(m, 2, 9, 1); /* nothing is scored: 0 */
    model_free(m);
  }
}

static void nothing_scored_gives_no_gradient(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    const int tokens[4] = {1, 2, 3, 0}, targets[4] = {-1, -1, -1, -1};
    State *st = state_new(m, 2);
    Tape *tp = tape_new();
    Tensor *loss = model_loss(tp, m, TOKENS(tokens, 2, 2), targets, st, &(LossOptions){.l2wrap = 1e-4}, NULL);
    assert_true(loss->data[0] == 0);
    zero_model_grads(m);
    tape_backward(tp, loss);
    size_t n;
    double *g = model_grads(m, &n);
    for (size_t i = 0; i < n; i++) assert_true(g[i] == 0);
    free(g);
    state_free(st);
    tape_free(tp);
    model_free(m);
  }
}

/* 1e-4/2 times the mean square of the largest logits of the scored rows: what l2wrap adds the gradient of. */
static double wrap_of(Model *m, const int *tokens, const int *targets, int B, int T)
{
  State *st = state_new(m, B);
  real *logits = logits_of(m, tokens, B, T, st);
  double sum = 0;
  int scored = 0;
  for (int i = 0; i < B * T; i++) {
    double top = -INFINITY;
    for (int j = 0; j < m->d.V; j++) top = fmax(top, (double)logits[i * m->d.V + j]);
    if (targets[i] >= 0) sum += top * top, scored++;
  }
  state_free(st);
  free(logits);
  return 0.5e-4 * sum / scored;
}

static double *wrapped_grads(Model *m, const int *tokens, const int *targets, int B, int T, double l2wrap, double *loss)
{
  size_t n;
  State *st = state_new(m, B);
  Tape *tp = tape_new();
  zero_model_grads(m);
  Tensor *l = model_loss(tp, m, TOKENS(tokens, B, T), targets, st, &(LossOptions){.l2wrap = l2wrap}, NULL);
  *loss = (double)l->data[0];
  tape_backward(tp, l);
  state_free(st);
  tape_free(tp);
  return model_grads(m, &n);
}

static void check_l2wrap(Model *m)
{
  enum { B = 2, T = 9 };
  int *tokens = random_tokens(13, B * T, m->d.V), *targets = random_tokens(14, B * T, m->d.V);
  targets[3] = -1;
  double loss, wrapped, h = 1e-3, expected = 0;
  double *plain = wrapped_grads(m, tokens, targets, B, T, 0, &loss);
  double *with = wrapped_grads(m, tokens, targets, B, T, 1e-4, &wrapped);
  assert_true(loss == wrapped);
  Tensor *w = model_param(m, "head.weight")->t;
  size_t from = 0;
  for (int i = 0; m->params[i].t != w; i++) from += m->params[i].t->n;
  Rng r = rng_named(4, "direction");
  double *direction = calloc(w->n, sizeof *direction);
  for (size_t j = 0; j < w->n; j++) {
    direction[j] = rng_normal(&r) / 10;
    expected += direction[j] * (with[from + j] - plain[from + j]);
  }
  for (size_t j = 0; j < w->n; j++) w->data[j] += (real)(h * direction[j]);
  double up = wrap_of(m, tokens, targets, B, T);
  for (size_t j = 0; j < w->n; j++) w->data[j] -= (real)(2 * h * direction[j]);
  double found = (up - wrap_of(m, tokens, targets, B, T)) / (2 * h);
  double tol = sizeof(real) == 8 ? 1e-6 * fabs(expected) : 1e-6;
  if (!(fabs(found - expected) <= tol))
    fail_msg("%s: l2wrap changes the slope by %.12g, expected %.12g", m->version->name, expected, found);
  assert_true(fabs(expected) > 1e-6);
  free(direction), free(plain), free(with);
  free(tokens), free(targets);
}

static void l2wrap_changes_the_gradient_only(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    check_l2wrap(m);
    model_free(m);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loss_by_hand),
      cmocka_unit_test(nothing_scored_gives_no_gradient),
      cmocka_unit_test(l2wrap_changes_the_gradient_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
