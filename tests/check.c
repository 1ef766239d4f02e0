#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static bool both_the_same_nonfinite(double a, double b) { return (isnan(a) && isnan(b)) || (isinf(a) && a == b); }

double worst_difference_double(const double *got, const double *want, size_t n, NonFinite mode, size_t *at)
{
  double worst = -1, difference2 = 0, want2 = 0;
  size_t ignored;
  if (!at) at = &ignored;
  *at = 0;
  for (size_t i = 0; i < n; i++) {
    double d = fabs(got[i] - want[i]);
    if (mode == SAME_NONFINITE && both_the_same_nonfinite(got[i], want[i])) continue;
    if (!isfinite(got[i]) || !isfinite(want[i])) return *at = i, HUGE_VAL;
    difference2 += d * d;
    want2 += fmax(want[i] * want[i], 1e-6);
    d /= fmax(1, fabs(want[i]));
    if (d > worst) worst = d, *at = i;
  }
  return fmax(fmax(worst, 0), want2 > 0 ? sqrt(difference2 / want2) : 0);
}

static double *to_doubles(const real *x, size_t n)
{
  double *copy = rwkv_alloc(n, sizeof *copy, "doubles");
  for (size_t i = 0; i < n; i++) copy[i] = x[i];
  return copy;
}

double worst_difference(const real *got, const real *want, size_t n, NonFinite mode, size_t *at)
{
  double *g = to_doubles(got, n), *w = to_doubles(want, n);
  double worst = worst_difference_double(g, w, n, mode, at);
  free(g);
  free(w);
  return worst;
}

static void judge(const char *what, double difference, double tol, size_t at, double got, double want)
{
  if (!(difference <= tol))
    fail_msg("%s: difference %.3g, allowed %.3g; worst at [%zu]: got %.17g, want %.17g", what, difference, tol, at, got,
             want);
}

static void check_close_mode(const char *what, const real *got, const real *want, size_t n, double tol, NonFinite mode)
{
  size_t at;
  double d = worst_difference(got, want, n, mode, &at);
  judge(what, d, tol, at, n ? (double)got[at] : 0, n ? (double)want[at] : 0);
}

void check_close(const char *what, const real *got, const real *want, size_t n, double tol)
{
  check_close_mode(what, got, want, n, tol, FINITE_ONLY);
}

void check_close_nonfinite(const char *what, const real *got, const real *want, size_t n, double tol)
{
  check_close_mode(what, got, want, n, tol, SAME_NONFINITE);
}

void check_close_double(const char *what, const double *got, const double *want, size_t n, double tol)
{
  size_t at;
  double d = worst_difference_double(got, want, n, FINITE_ONLY, &at);
  judge(what, d, tol, at, n ? got[at] : 0, n ? want[at] : 0);
}

void check_number(const char *what, double got, double want, double tol)
{
  check_close_double(what, &got, &want, 1, tol);
}

void check_tensor(const char *what, const Tensor *t, const double *want, double tol)
{
  double *got = doubles_of(t);
  size_t at;
  double d = worst_difference_double(got, want, t->n, FINITE_ONLY, &at);
  double there = t->n ? got[at] : 0;
  free(got);
  judge(what, d, tol, at, there, t->n ? want[at] : 0);
}

/* ---- tensors ---- */

void random_fill(real *x, size_t n, Rng *rng, double scale)
{
  for (size_t i = 0; i < n; i++) x[i] = (real)(scale * rng_normal(rng));
}

Tensor *new_leaf(int axes, const int *shape, bool needs_grad)
{
  Tensor *t = tensor_new(axes, shape);
  if (needs_grad) tensor_need_grad(t);
  return t;
}

Tensor *random_leaf(int axes, const int *shape, Rng *rng, double scale, bool needs_grad)
{
  Tensor *t = new_leaf(axes, shape, needs_grad);
  random_fill(t->data, t->n, rng, scale);
  return t;
}

void free_leaves(Tensor **leaves, int n)
{
  for (int i = 0; i < n; i++) tensor_free(leaves[i]);
}

void zero_grads(Tensor **leaves, int n)
{
  for (int i = 0; i < n; i++)
    if (leaves[i]->grad) memset(leaves[i]->grad, 0, leaves[i]->n * sizeof(real));
}

double *doubles_of(const Tensor *t)
{
  real *copy = rwkv_alloc(t->n, sizeof *copy, "numbers");
  tensor_read(t, 0, t->n, copy);
  double *x = to_doubles(copy, t->n);
  free(copy);
  return x;
}

Tensor *flat_concat(Tape *tp, Tensor **parts, int count)
{
  Tensor *flat[8];
  assert_true(count <= 8);
  for (int i = 0; i < count; i++) flat[i] = t_reshape(tp, parts[i], 1, (int[]){(int)parts[i]->n});
  return t_concat(tp, flat, count, 0);
}

/* ---- failures ---- */

bool fails_with(void (*fn)(void *), void *arg, const char *substring)
{
  const char *message = rwkv_protect(fn, arg);
  return message && strstr(message, substring);
}

void expect_failure(void (*fn)(void *), void *arg, const char *substring)
{
  expect_failure_with(fn, arg, substring, NULL);
}

void expect_failure_with(void (*fn)(void *), void *arg, const char *substring, ...)
{
  const char *message = rwkv_protect(fn, arg);
  if (!message) fail_msg("nothing failed, expected \"%s\"", substring);
  va_list more;
  va_start(more, substring);
  for (const char *s = substring; s; s = va_arg(more, const char *))
    if (!strstr(message, s)) fail_msg("failed with \"%s\", expected \"%s\"", message, s);
  va_end(more);
}

static void fail_the_test(const char *message) { fail_msg("%s", message); }

__attribute__((constructor)) void unprotected_failures_fail_the_test(void) { rwkv_on_fail(fail_the_test); }

/* ---- gradients ---- */

enum { DIRECTIONS = 6 };

typedef struct {
  GradFunction *f;
  void *ctx;
  Tensor **leaves;
  int n;
  Tape *tape;        /* reset for every run */
  size_t total, out; /* numbers in all leaves, in the output */
  double *projection, *start, *gradient, *direction;
  double rounding; /* of the projected output: the least that can be told apart */
} Check;

/* Walks all numbers of all leaves: i the leaf, e the element, at its place in the flat arrays. */
#define EACH_ELEMENT(c, i, e, at)                     \
  for (size_t i = 0, at = 0; i < (size_t)(c)->n; i++) \
    for (size_t e = 0; e < (c)->leaves[i]->n; e++, at++)

static double *evaluate(const Check *c, bool recording, size_t *n)
{
  tape_reset(c->tape);
  c->tape->recording = recording;
  Tensor *y = c->f(c->tape, c->leaves, c->ctx);
  if (n) *n = y->n;
  return doubles_of(y);
}

static double projected(const Check *c)
{
  double *y = evaluate(c, false, NULL), sum = 0;
  for (size_t i = 0; i < c->out; i++) sum += y[i] * c->projection[i];
  free(y);
  return sum;
}

static void backward_once(const Check *c)
{
  Tape *tp = c->tape;
  tape_reset(tp);
  tp->recording = true;
  Tensor *y = c->f(tp, c->leaves, c->ctx), *onto = tape_tensor(tp, y->axes, y->shape);
  for (size_t i = 0; i < c->out; i++) onto->data[i] = (real)c->projection[i];
  tape_backward(tp, t_sum_all(tp, t_mul(tp, y, onto)));
}

static void read_gradient(const Check *c, double *to)
{
  EACH_ELEMENT(c, i, e, at) to[at] = c->leaves[i]->needs_grad ? (double)c->leaves[i]->grad[e] : 0;
}

/* Sizes away from 0, so that every element counts, and not all the same, so that errors of opposite
   sign do not cancel. */
static void choose_direction(Check *c, Rng *rng, int only)
{
  EACH_ELEMENT(c, i, e, at)
  {
    double d = (0.5 + 0.5 * rng_uniform(rng)) * (rng_below(rng, 2) ? 1 : -1);
    bool moves = c->leaves[i]->needs_grad && (only < 0 || (size_t)only == i);
    c->direction[at] = moves ? d : 0;
  }
}

/* The leaves moved by `step` along the direction; the analytic gradient's opinion of the change. Rounding
   of the moved numbers is thus not held against f. */
static double move(const Check *c, double step)
{
  double expected = 0;
  EACH_ELEMENT(c, i, e, at)
  {
    real *x = &c->leaves[i]->data[e];
    *x = (real)(c->start[at] + step * c->direction[at]);
    expected += ((double)*x - c->start[at]) * c->gradient[at];
  }
  return expected;
}

/* (f(x+s) - f(x-s)) - what the gradient says; and that difference of f itself */
static double mismatch(const Check *c, double step, double *change)
{
  double expected = move(c, step), plus = projected(c);
  expected -= move(c, -step);
  *change = plus - projected(c);
  move(c, 0);
  return *change - expected;
}

static double directional_error(const Check *c)
{
  const double h = GRADIENT_STEP;
  double change, wider_change, size = 0;
  double error = mismatch(c, h, &change), wider = mismatch(c, 2 * h, &wider_change);
  error = (8 * error - wider) / (12 * h); /* cancels the h^3 term of the central difference */
  for (size_t at = 0; at < c->total; at++) size += pow(c->gradient[at] * c->direction[at], 2);
  double seen = fmax(sqrt(size), fabs(change) / (2 * h));
  error = fabs(error) / fmax(seen, 8 * c->rounding / h / GRADIENT_TOL);
  return isfinite(error) ? error : HUGE_VAL;
}

static void along_directions(Check *c, Rng *rng, GradientErrors *errors)
{
  for (int d = 0; d < DIRECTIONS + c->n; d++) {
    int leaf = d < DIRECTIONS ? -1 : d - DIRECTIONS;
    if (leaf >= 0 && !c->leaves[leaf]->needs_grad) continue;
    choose_direction(c, rng, leaf);
    double error = directional_error(c);
    if (error > errors->directional) errors->directional = error, errors->leaf = leaf;
  }
}

static void project(Check *c, Rng *rng, GradientErrors *errors)
{
  size_t n;
  double *recorded = evaluate(c, true, &c->out), *unrecorded = evaluate(c, false, &n), squares = 0;
  errors->unrecorded = n == c->out ? worst_difference_double(unrecorded, recorded, n, FINITE_ONLY, NULL) : HUGE_VAL;
  c->projection = rwkv_alloc(c->out, sizeof(double), "projection");
  for (size_t i = 0; i < c->out; i++) {
    c->projection[i] = (double)(real)rng_normal(rng);
    squares += pow(recorded[i] * c->projection[i], 2);
  }
  c->rounding = REAL_EPS * fmax(sqrt(squares), 1e-12);
  free(recorded);
  free(unrecorded);
}

/* After two backward passes on fresh tapes the gradient is twice that of one. */
static double accumulation_error(Check *c)
{
  double *twice = rwkv_alloc(c->total, sizeof *twice, "gradient");
  zero_grads(c->leaves, c->n);
  backward_once(c);
  read_gradient(c, c->gradient);
  backward_once(c);
  read_gradient(c, twice);
  for (size_t at = 0; at < c->total; at++) twice[at] /= 2;
  double error = worst_difference_double(twice, c->gradient, c->total, FINITE_ONLY, NULL);
  free(twice);
  EACH_ELEMENT(c, i, e, at) if (c->leaves[i]->needs_grad) c->leaves[i]->grad[e] = (real)c->gradient[at];
  return error;
}

GradientErrors gradient_errors(GradFunction *f, void *ctx, Tensor **leaves, int n)
{
  GradientErrors errors = {.leaf = -1};
  Check c = {.f = f, .ctx = ctx, .leaves = leaves, .n = n, .tape = tape_new()};
  Rng rng = rng_named(7, "check_gradient");
  for (int i = 0; i < n; i++) c.total += leaves[i]->n;
  c.start = rwkv_alloc(c.total, sizeof(double), "leaves");
  c.gradient = rwkv_alloc(c.total, sizeof(double), "gradient");
  c.direction = rwkv_alloc(c.total, sizeof(double), "direction");
  EACH_ELEMENT(&c, i, e, at) c.start[at] = leaves[i]->data[e];

  project(&c, &rng, &errors);
  errors.accumulated = accumulation_error(&c);
  EACH_ELEMENT(&c, i, e, at)
  errors.moved = fmax(errors.moved, fabs((double)leaves[i]->data[e] - c.start[at]));
  along_directions(&c, &rng, &errors);

  free(c.start);
  free(c.gradient);
  free(c.direction);
  free(c.projection);
  tape_free(c.tape);
  return errors;
}

void check_gradient(const char *what, GradFunction *f, void *ctx, Tensor **leaves, int n)
{
  GradientErrors e = gradient_errors(f, ctx, leaves, n);
  if (!(e.unrecorded <= 0)) fail_msg("%s: without recording the values differ by %.3g", what, e.unrecorded);
  if (!(e.moved <= 0)) fail_msg("%s: the leaves were changed by %.3g", what, e.moved);
  if (!(e.accumulated <= VALUE_TOL))
    fail_msg("%s: gradients do not accumulate over two backward passes: off by %.3g", what, e.accumulated);
  if (!(e.directional <= GRADIENT_TOL))
    fail_msg("%s: the gradient %s %d is off by %.3g, allowed %.3g", what, e.leaf < 0 ? "along all leaves" : "by leaf",
             e.leaf, e.directional, GRADIENT_TOL);
}
