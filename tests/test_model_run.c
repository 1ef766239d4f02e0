/* Running models: cutting sequences, batches, gradients, the loss, new models, the optimiser's groups. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOR_VERSIONS(v) for (const Version *const *v##_ = version_list(), *v; (v = *v##_) != NULL; v##_++)

/* ---- a run in pieces ---- */

typedef struct {
  int B, T, V;
  real *logits; /* [B,T,V] */
  State *state; /* after */
} Result;

static void free_result(Result *r)
{
  free(r->logits);
  state_free(r->state);
}

static bool same_results(const Result *a, const Result *b)
{
  size_t n = (size_t)a->B * (size_t)a->T * (size_t)a->V;
  return memcmp(a->logits, b->logits, n * sizeof(real)) == 0 && same_states(a->state, b->state);
}

/* tokens[b][from .. to) as [B,to-from] */
static void run_piece(Model *m, Tape *tp, const int *tokens, Result *r, int from, int to)
{
  int length = to - from;
  int *piece = calloc((size_t)(r->B * length), sizeof *piece);
  for (int b = 0; b < r->B; b++)
    memcpy(piece + b * length, tokens + b * r->T + from, (size_t)length * sizeof *piece);
  Tensor *t = model_logits(tp, m, piece, r->B, length, r->state);
  free(piece); /* the tape must not need them any more */
  size_t row = (size_t)length * (size_t)r->V;
  assert_int_equal(t->n, (size_t)r->B * row);
  for (int b = 0; b < r->B; b++) tensor_read(t, (size_t)b * row, row, r->logits + (b * r->T + from) * r->V);
}

typedef enum { RECORDED, UNRECORDED, NEW_STEP } RunMode;

/* cut[t]: a piece ends before t. NEW_STEP: the tape is reset after each piece. */
static Result run(Model *m, const int *tokens, int B, int T, const bool *cut, RunMode mode)
{
  Result r = {B, T, m->d.V, calloc((size_t)(B * T * m->d.V), sizeof(real)), state_new(m, B)};
  Tape *tp = tape_new();
  tp->recording = mode != UNRECORDED;
  for (int from = 0, t = 1; t <= T; t++)
    if (t == T || (cut && cut[t])) {
      run_piece(m, tp, tokens, &r, from, t);
      from = t;
      if (mode == NEW_STEP) tape_reset(tp);
    }
  state_detach(r.state);
  tape_free(tp);
  return r;
}

static void must_match(Model *m, const int *tokens, const Result *whole, const bool *cut, RunMode mode,
                       const char *how)
{
  Result r = run(m, tokens, whole->B, whole->T, cut, mode);
  bool same = same_results(&r, whole);
  free_result(&r);
  if (!same) fail_msg("%s, B=%d T=%d: %s differs from one run", m->version->name, whole->B, whole->T, how);
}

static void check_cuts(Model *m, int B, int T)
{
  int *tokens = random_tokens((uint64_t)T, B * T, m->d.V);
  Result whole = run(m, tokens, B, T, NULL, UNRECORDED);
  for (int i = 0; i < B * T * m->d.V; i++) assert_true(isfinite((double)whole.logits[i]));
  must_match(m, tokens, &whole, NULL, RECORDED, "a recorded run");
  bool cut[64] = {false};
  char how[40];
  for (int t = 1; t < T; t++) {
    cut[t] = true;
    snprintf(how, sizeof how, "cutting at %d", t);
    must_match(m, tokens, &whole, cut, t % 2 ? UNRECORDED : RECORDED, how);
    cut[t] = false;
  }
  for (int t = 1; t < T; t++) cut[t] = true;
  must_match(m, tokens, &whole, cut, UNRECORDED, "token by token");
  must_match(m, tokens, &whole, cut, RECORDED, "token by token, recorded");
  must_match(m, tokens, &whole, cut, NEW_STEP, "token by token, each a step of its own");
  free_result(&whole);
  free(tokens);
}

static void cutting_anywhere(void **state)
{
  (void)state;
  enum { COUNT = 7 };
  static const int lengths[COUNT] = {1, 2, 3, 7, 16, 17, 20};
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      for (int i = 0; i < COUNT; i++) check_cuts(m, 1 + (i + variant) % 3, lengths[i]);
      model_free(m);
    }
}

/* ---- batches ---- */

/* Row `row` of a batch must be what the sequence gives alone, in logits and in state. */
static void check_row(const Result *batch, int row, const Result *alone, const char *version)
{
  size_t n = (size_t)alone->T * (size_t)alone->V;
  if (memcmp(batch->logits + (size_t)row * n, alone->logits, n * sizeof(real)))
    fail_msg("%s: sequence %d gives other logits in a batch than alone", version, row);
  for (int i = 0; i < alone->state->count; i++) {
    const Tensor *want = alone->state->now[i];
    if (memcmp(batch->state->now[i]->data + (size_t)row * want->n, want->data, want->n * sizeof(real)))
      fail_msg("%s: sequence %d leaves another state %d in a batch than alone", version, row, i);
  }
}

static void check_batch(Model *m)
{
  enum { B = 3, T = 18 };
  static const int order[B] = {2, 0, 1};
  int *tokens = random_tokens(5, B * T, m->d.V), permuted[B * T];
  for (int b = 0; b < B; b++) memcpy(permuted + b * T, tokens + order[b] * T, T * sizeof *permuted);
  Result batch = run(m, tokens, B, T, NULL, UNRECORDED), mixed = run(m, permuted, B, T, NULL, RECORDED);
  for (int b = 0; b < B; b++) {
    Result alone = run(m, tokens + b * T, 1, T, NULL, RECORDED);
    check_row(&batch, b, &alone, m->version->name);
    for (int p = 0; p < B; p++)
      if (order[p] == b) check_row(&mixed, p, &alone, m->version->name);
    free_result(&alone);
  }
  assert_false(same_results(&batch, &mixed));
  free_result(&batch);
  free_result(&mixed);
  free(tokens);
}

static void sequences_of_a_batch_do_not_mix(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      check_batch(m);
      model_free(m);
    }
}

/* Nothing in the future reaches the past. */
static void causal(void **state)
{
  (void)state;
  enum { T = 18, AT = 11 };
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    int *tokens = random_tokens(6, T, m->d.V);
    Result a = run(m, tokens, 1, T, NULL, UNRECORDED);
    tokens[AT] = (tokens[AT] + 1) % m->d.V;
    Result b = run(m, tokens, 1, T, NULL, UNRECORDED);
    size_t before = (size_t)(AT * m->d.V);
    assert_memory_equal(a.logits, b.logits, before * sizeof(real));
    for (int t = AT; t < T; t++) /* and everything in the past reaches the future */
      assert_true(memcmp(a.logits + t * m->d.V, b.logits + t * m->d.V, (size_t)m->d.V * sizeof(real)) != 0);
    free_result(&a);
    free_result(&b);
    free(tokens);
    model_free(m);
  }
}

/* ---- gradients ---- */

#ifdef AVIARY_DOUBLE
#define SEGMENT_TOL 1e-10
#else
#define SEGMENT_TOL 1e-3
#endif

/* In v1 numerator and denominator are both proportional to e^(key bias): its gradient is 0 but for rounding. */
static bool has_no_effect(const Param *p) { return strstr(p->name, "attn.key.bias") != NULL; }

typedef enum { AT_ONCE, CARRIED, DETACHED } Segments;

/* Gradient of the loss on tokens[b][CUT..T), after the tokens before it. */
static double *segment_grads(Model *m, const int *tokens, const int *targets, int B, int T, int cut,
                             Segments how, double *loss, size_t *n)
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
  if (how != AT_ONCE) model_logits(tp, m, first, B, cut, st);
  if (how == DETACHED) state_detach(st);
  Tensor *l = how == AT_ONCE ? model_loss(tp, m, tokens, all, B, T, st, 0, NULL)
                             : model_loss(tp, m, second, late, B, rest, st, 0, NULL);
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
        fail_msg("%s %s[%zu]: gradient %.12g in two segments, %.12g in one", m->version->name,
                 m->params[i].name, j - at, carried[j], once[j]);
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
  Tensor *l = model_loss(p->tp, p->m, p->tokens, p->targets, p->B, p->T, st, 0, NULL);
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
  skip(); /* float32 has not the digits; the same code is checked in float64 */
#endif
}

/* ---- the loss ---- */

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

static void check_loss(Model *m, int B, int T, int every)
{
  int *tokens = random_tokens(11, B * T, m->d.V), *targets = random_tokens(12, B * T, m->d.V);
  State *st = state_new(m, B), *st2 = state_new(m, B);
  real *logits = logits_of(m, tokens, B, T, st);
  double total = 0;
  int scored = 0, correct = 0;
  for (int i = 0; i < B * T; i++) {
    const real *x = logits + i * m->d.V;
    bool right;
    if (i % 3 == 0) /* make some of the targets the most likely */
      for (int j = targets[i] = 0; j < m->d.V; j++)
        if (x[j] > x[targets[i]]) targets[i] = j;
    if (every && i % every == 0) {
      targets[i] = i % 2 ? -1 : -100;
      continue;
    }
    total += surprise(x, m->d.V, targets[i], &right);
    scored++, correct += right;
  }
  Tape *tp = tape_new();
  Score score = {-5, -5};
  double loss = (double)model_loss(tp, m, tokens, targets, B, T, st2, 0, &score)->data[0];
  double want = scored ? total / scored : 0;
  if (!(fabs(loss - want) <= LOSS_TOL * fmax(1, want)))
    fail_msg("%s: loss %.15g, by hand %.15g", m->version->name, loss, want);
  assert_int_equal(score.scored, scored);
  assert_int_equal(score.correct, correct);
  assert_true(same_states(st, st2)); /* the state does not depend on what is scored */
  state_free(st), state_free(st2);
  tape_free(tp);
  free(logits), free(tokens), free(targets);
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
    Tensor *loss = model_loss(tp, m, tokens, targets, 2, 2, st, 1e-4, NULL);
    assert_true(loss->data[0] == 0);
    zero_model_grads(m);
    tape_backward(tp, loss);
    size_t n;
    double *g = model_grads(m, &n);
    assert_true(largest(g, n) == 0);
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

static double *wrapped_grads(Model *m, const int *tokens, const int *targets, int B, int T, double l2wrap,
                             double *loss)
{
  size_t n;
  State *st = state_new(m, B);
  Tape *tp = tape_new();
  zero_model_grads(m);
  Tensor *l = model_loss(tp, m, tokens, targets, B, T, st, l2wrap, NULL);
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

/* ---- what must fail ---- */

typedef struct {
  Model *m;
  const Version *version;
  Dims d;
  const int *tokens, *targets;
  int B, T;
  State *st;
  Tape *tp;
  const char *name;
} Call;

static void call_new(void *arg)
{
  Call *c = arg;
  c->m = model_new(c->version, &c->d, 1);
}

static void call_find(void *arg) { version_find(((Call *)arg)->name); }

static void call_run(void *arg)
{
  Call *c = arg;
  model_logits(c->tp, c->m, c->tokens, c->B, c->T, c->st);
}

static void call_loss(void *arg)
{
  Call *c = arg;
  model_loss(c->tp, c->m, c->tokens, c->targets, c->B, c->T, c->st, 0, NULL);
}

static void must_fail(void (*fn)(void *), Call *c, const char *first, const char *second)
{
  const char *message = rwkv_protect(fn, c);
  if (!message) fail_msg("nothing failed, expected \"%s\"", first);
  if (!strstr(message, first) || !strstr(message, second))
    fail_msg("failed with \"%s\", expected \"%s\" and \"%s\"", message, first, second);
}

static void impossible_sizes(void **state)
{
  (void)state;
  static const struct {
    Dims d;
    const char *says;
  } bad[] = {
      {{.V = 0, .C = 8, .L = 1}, "vocab 0"},     {{.V = 5, .C = 0, .L = 1}, "dim 0"},
      {{.V = 5, .C = 8, .L = 0}, "layers 0"},    {{.V = -3, .C = 8, .L = 1}, "vocab -3"},
      {{.V = 5, .C = -8, .L = 1}, "dim -8"},     {{.V = 5, .C = 8, .L = -1}, "layers -1"},
      {{.V = 2000000000, .C = 8, .L = 1}, "2000000000"}, {{.V = 5, .C = 2000000000, .L = 1}, "2000000000"},
      {{.V = 5, .C = 8, .L = 2000000000}, "2000000000"}, {{.V = 5, .C = 8, .L = 1, .F = -7}, "-7"},
      {{.V = 5, .C = 8, .L = 1, .N = -1}, "-1"}, {{.V = 5, .C = 8, .L = 1, .Dw = 2000000000}, "2000000000"},
  };
  FOR_VERSIONS(v) {
    char name[3] = {v->name[0], v->name[1]}; /* "v5" for all three of them */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
      must_fail(call_new, &(Call){.version = v, .d = bad[i].d}, v->name, bad[i].says);
    if (version_uses(v, offsetof(Dims, N))) {
      must_fail(call_new, &(Call){.version = v, .d = {.V = 5, .C = 8, .L = 1, .N = 3}}, name, "8 channels");
      must_fail(call_new, &(Call){.version = v, .d = {.V = 5, .C = 8, .L = 1, .N = 16}}, name, "16");
    }
  }
  Call other_width = {.version = version_find("v7"), .d = {.V = 5, .C = 8, .L = 1, .A = 16}};
  must_fail(call_new, &other_width, "v7", "16");
}

static void unknown_version(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    assert_ptr_equal(version_find(v->name), v);
    must_fail(call_find, &(Call){.name = "v99"}, "v99", v->name);
    must_fail(call_find, &(Call){.name = ""}, "", v->name);
  }
}

/* What is refused before it begins leaves the state alone. */
static void refused(Call c, const char *first, const char *second)
{
  State *before = state_copy(c.st);
  c.tp = tape_new();
  must_fail(call_run, &c, first, second);
  assert_true(same_states(c.st, before));
  tape_reset(c.tp);
  tape_free(c.tp);
  state_free(before);
}

static void bad_runs(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0), *fewer = small_model(v, 1);
    int tokens[6] = {1, 2, 3, 4, 5, 6};
    State *st = state_new(m, 2), *of_fewer = state_new(fewer, 2);
    free(logits_of(m, tokens, 2, 3, st));
    refused((Call){.m = m, .tokens = tokens, .B = 1, .T = 3, .st = st}, "batch of 2", "[1,3]");
    refused((Call){.m = m, .tokens = tokens, .B = 3, .T = 2, .st = st}, "batch of 2", "[3,2]");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 0, .st = st}, "[2,0]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 0, .T = 3, .st = st}, "[0,3]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = -1, .st = st}, "[2,-1]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = of_fewer}, "another model", v->name);
    tokens[4] = m->d.V;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "sequence 1, position 1", "0..");
    tokens[4] = -1;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "token -1", "0..");
    tokens[4] = 2147483647;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "2147483647", "0..");
    state_free(st), state_free(of_fewer);
    model_free(m), model_free(fewer);
  }
}

static void state_of_another_version(void **state)
{
  (void)state;
  const int token = 1;
  FOR_VERSIONS(v)
    FOR_VERSIONS(other) {
      if (v == other) continue;
      Model *m = small_model(v, 1), *n = small_model(other, 1);
      State *st = state_new(n, 1);
      refused((Call){.m = m, .tokens = &token, .B = 1, .T = 1, .st = st}, "another model", other->name);
      state_free(st);
      model_free(m), model_free(n);
    }
}

static bool same_shapes(const State *a, const State *b)
{
  bool same = a->count == b->count;
  for (int i = 0; same && i < a->count; i++) same = tensor_same_shape(a->now[i], b->now[i]);
  return same;
}

/* Same version, same number of layers, but other sizes: where the state's are others, it must be noticed. */
static void check_other_sizes(const Version *v, Dims a, Dims b)
{
  const int tokens[2] = {1, 2};
  Model *m = random_model(v, &a, 1), *n = random_model(v, &b, 2);
  Call c = {.m = m, .tokens = tokens, .B = 1, .T = 2, .st = state_new(n, 1), .tp = tape_new()};
  State *right = state_new(m, 1);
  bool fits = same_shapes(right, c.st);
  const char *message = rwkv_protect(call_run, &c);
  tape_reset(c.tp);
  tape_free(c.tp);
  state_free(c.st), state_free(right);
  model_free(m), model_free(n);
  if (!message && !fits) fail_msg("%s: runs on the state of a model with other sizes", v->name);
}

static void state_of_other_sizes(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Dims a = {.V = 7, .C = 16, .L = 2}, b = {.V = 7, .C = 32, .L = 2};
    bool heads = version_uses(v, offsetof(Dims, N));
    if (heads) a.N = b.N = 4;
    check_other_sizes(v, a, b);
    check_other_sizes(v, b, a);
    if (!heads) continue;
    b = a;
    b.N = 8; /* the state has as many numbers as channels allow, but other heads */
    check_other_sizes(v, a, b);
  }
  Dims a = {.V = 7, .C = 16, .L = 2, .A = 16}, b = {.V = 7, .C = 16, .L = 2, .A = 24};
  check_other_sizes(version_find("v4"), a, b);
}

static void targets_outside(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    const int tokens[3] = {1, 2, 3}, targets[3] = {0, -1, m->d.V};
    Call c = {.m = m, .tokens = tokens, .targets = targets, .B = 1, .T = 3};
    c.st = state_new(m, 1), c.tp = tape_new();
    char text[40];
    snprintf(text, sizeof text, "target %d", m->d.V);
    must_fail(call_loss, &c, text, "");
    state_free(c.st);
    tape_free(c.tp);
    model_free(m);
  }
}

/* ---- new models ---- */

static void seeds(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Dims d = small_dims(v, 0);
    Model *a = model_new(v, &d, 1), *b = model_new(v, &d, 1), *c = model_new(v, &d, 2);
    int others = 0;
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
      size_t bytes = a->params[i].t->n * sizeof(real);
      assert_string_equal(a->params[i].name, b->params[i].name);
      assert_memory_equal(a->params[i].t->data, b->params[i].t->data, bytes);
      others += memcmp(a->params[i].t->data, c->params[i].t->data, bytes) != 0;
      for (size_t j = 0; j < a->params[i].t->n; j++) assert_true(isfinite((double)a->params[i].t->data[j]));
      assert_ptr_equal(model_param(a, a->params[i].name), &a->params[i]);
    }
    assert_true(others >= 2 + d.L); /* embedding, head, and matrices in each block */
    assert_true(others < a->count);
    assert_null(model_param(a, "blocks.0"));
    model_free(a), model_free(b), model_free(c);
  }
}

/* Models of one layer and of one channel where a version allows it: no NaN from dividing by L-1 or C-1. */
static void smallest_models(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int L = 1; L <= 4; L++) {
      Dims d = {.V = 2, .C = 4, .L = L};
      if (version_uses(v, offsetof(Dims, N))) d.N = 2;
      Model *m = model_new(v, &d, 1);
      for (int i = 0; i < m->count; i++)
        for (size_t j = 0; j < m->params[i].t->n; j++)
          if (!isfinite((double)m->params[i].t->data[j]))
            fail_msg("%s, %d layers: %s[%zu] is not finite", v->name, L, m->params[i].name, j);
      State *st = state_new(m, 1);
      real *logits = logits_of(m, (const int[]){1, 0, 1}, 1, 3, st);
      for (int j = 0; j < 6; j++) assert_true(isfinite((double)logits[j]));
      free(logits);
      state_free(st);
      model_free(m);
    }
}

/* max(32, 32 round(f/32)), where a half goes to the even neighbour as in Python: 1.8 sqrt(6400) = 4.5 * 32 */
static int expected_rank(double f)
{
  int n = (int)floor(f / 32);
  double rest = f / 32 - n;
  if (rest > 0.5 || (rest == 0.5 && n % 2)) n++;
  return n < 1 ? 32 : 32 * n;
}

static void default_sizes(void **state)
{
  (void)state;
  const Version *v7 = version_find("v7");
  Dims d = {.one = 1, .V = 100, .C = 768, .L = 12};
  v7->complete(&d);
  assert_int_equal(d.Dw, 64);
  assert_int_equal(d.Da, 64);
  assert_int_equal(d.Dv, 32);
  assert_int_equal(d.Dg, 128);
  assert_int_equal(d.F, 3072);
  assert_int_equal(d.N, 64);
  assert_int_equal(d.H, 12);
  assert_int_equal(d.A, 768);
  for (int C = 64; C <= 8192; C += 64) {
    Dims e = {.one = 1, .V = 100, .C = C, .L = 12};
    v7->complete(&e);
    assert_int_equal(e.Dw, expected_rank(1.8 * sqrt(C)));
    assert_int_equal(e.Da, expected_rank(1.8 * sqrt(C)));
    assert_int_equal(e.Dv, expected_rank(1.3 * sqrt(C)));
    assert_int_equal(e.Dg, expected_rank(0.6 * pow(C, 0.8)));
    assert_int_equal(e.F, 4 * C);
  }
  Dims tie = {.one = 1, .V = 100, .C = 6400, .L = 1};
  v7->complete(&tie);
  assert_int_equal(tie.Dw, 128);
  Dims kept = {.one = 1, .V = 9, .C = 24, .L = 1, .F = 10, .N = 8, .Dw = 1, .Da = 2, .Dv = 3, .Dg = 4};
  Dims all = kept;
  v7->complete(&all);
  kept.A = 24, kept.H = 3;
  assert_memory_equal(&all, &kept, sizeof kept);
  Dims v4 = {.one = 1, .V = 100, .C = 24, .L = 3};
  version_find("v4")->complete(&v4);
  assert_int_equal(v4.A, 24);
  assert_int_equal(v4.F, 96);
}

/* ---- counting ---- */

static void counts(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    size_t params = 0, floats = 0;
    for (int i = 0; i < m->count; i++) params += m->params[i].t->n;
    assert_int_equal(model_param_count(m, true), params);
    assert_int_equal(model_param_count(m, false), params); /* a new model has nothing that is unused */
    State *st = state_new(m, 3);
    for (int i = 0; i < st->count; i++) floats += st->own[i]->n;
    assert_int_equal(3 * version_state_floats(m->version, &m->d, 0), floats);
    free(logits_of(m, (const int[]){0, 1, 2, 3, 2, 1}, 3, 2, st));
    floats = 0; /* v1, v2 and v3 remember every token */
    for (int i = 0; i < st->count; i++) floats += st->own[i]->n;
    assert_int_equal(3 * version_state_floats(m->version, &m->d, 2), floats);
    state_free(st);
    model_free(m);
  }
  Dims d = {.V = 10, .C = 8, .L = 2, .N = 4};
  Model *m = model_new(version_find("v7"), &d, 1);
  assert_int_equal(version_state_floats(m->version, &m->d, 100), 2 * (8 + 2 * 4 * 4 + 8));
  model_free(m);
  d = (Dims){.V = 10, .C = 8, .L = 3, .A = 6};
  m = model_new(version_find("v4"), &d, 1);
  assert_int_equal(version_state_floats(m->version, &m->d, 100), 3 * (2 * 8 + 3 * 6));
  model_free(m);
}

/* ---- the optimiser's groups ---- */

static bool ends_with(const char *text, const char *end)
{
  size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

/* The official trainers' multiples of the learning rate (v4neo: time_decay 2, time_first 3; v7: att.w0 2). */
static double official_scale(const char *version, const char *name)
{
  if (strcmp(version, "v7") == 0) return ends_with(name, "att.w0") ? 2 : 1;
  return ends_with(name, "att.time_decay") ? 2 : ends_with(name, "att.time_first") ? 3 : 1;
}

static void optimizer_groups(void **state)
{
  (void)state;
  const OptConfig cfg = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 1, .final = 1};
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    Optim *o = model_optimizer(m, &cfg);
    bool known = strcmp(v->name, "v4") == 0 || strcmp(v->name, "v7") == 0;
    int decayed = 0;
    assert_int_equal(o->count, m->count);
    for (int i = 0; i < o->count; i++) {
      const Param *p = &m->params[i];
      const int *size = p->t->shape;
      bool matrix = p->t->axes == 2 && size[0] > 1 && size[1] > 1 && ends_with(p->name, ".weight");
      assert_ptr_equal(o->params[i].p, p->t);
      if (o->params[i].decay != matrix) fail_msg("%s: weight decay on %s is wrong", v->name, p->name);
      assert_true(o->params[i].lr_scale == p->lr_scale);
      if (known && o->params[i].lr_scale != official_scale(v->name, p->name))
        fail_msg("%s: %s learns at %g times the rate", v->name, p->name, o->params[i].lr_scale);
      decayed += matrix;
    }
    assert_true(decayed > 4 * m->d.L && decayed < m->count);
    opt_free(o);
    model_free(m);
  }
}

/* A few steps on one sequence: every parameter moves, and the loss falls. */
static void training_lowers_the_loss(void **state)
{
  (void)state;
  enum { T = 16, STEPS = 30 };
  const OptConfig cfg = {.lr = 3e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .final = 1};
  FOR_VERSIONS(v) {
    Dims d = small_dims(v, 1);
    Model *m = model_new(v, &d, 1), *start = model_new(v, &d, 1);
    int *tokens = random_tokens(20, T + 1, d.V);
    Optim *o = model_optimizer(m, &cfg);
    Tape *tp = tape_new();
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
      State *st = state_new(m, 1);
      Tensor *loss = model_loss(tp, m, tokens, tokens + 1, 1, T, st, 1e-4, NULL);
      last = (double)loss->data[0];
      if (step == 0) first = last;
      tape_backward(tp, loss);
      opt_step(o);
      opt_zero_grad(o);
      state_free(st);
      tape_reset(tp);
    }
    if (!(last < first - 0.2)) fail_msg("%s: the loss went from %g to %g", v->name, first, last);
    for (int i = 0; i < m->count; i++)
      if (memcmp(m->params[i].t->data, start->params[i].t->data, m->params[i].t->n * sizeof(real)) == 0)
        fail_msg("%s: %s has not moved", v->name, m->params[i].name);
    tape_free(tp);
    opt_free(o);
    free(tokens);
    model_free(m), model_free(start);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cutting_anywhere),
      cmocka_unit_test(sequences_of_a_batch_do_not_mix),
      cmocka_unit_test(causal),
      cmocka_unit_test(gradient_through_the_state),
      cmocka_unit_test(finite_differences),
      cmocka_unit_test(loss_by_hand),
      cmocka_unit_test(nothing_scored_gives_no_gradient),
      cmocka_unit_test(l2wrap_changes_the_gradient_only),
      cmocka_unit_test(impossible_sizes),
      cmocka_unit_test(unknown_version),
      cmocka_unit_test(bad_runs),
      cmocka_unit_test(state_of_another_version),
      cmocka_unit_test(state_of_other_sizes),
      cmocka_unit_test(targets_outside),
      cmocka_unit_test(seeds),
      cmocka_unit_test(smallest_models),
      cmocka_unit_test(default_sizes),
      cmocka_unit_test(counts),
      cmocka_unit_test(optimizer_groups),
      cmocka_unit_test(training_lowers_the_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
