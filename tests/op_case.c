#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

#include <stdlib.h>
#include <string.h>

size_t count_of(const Shape *s)
{
  size_t n = 1;
  for (int d = 0; d < s->axes; d++) n *= (size_t)s->shape[d];
  return n;
}

int axis_of(const Shape *s, int axis) { return axis < 0 ? axis + s->axes : axis; }

void unravel(size_t at, const Shape *s, int *coordinate)
{
  for (int d = s->axes - 1; d >= 0; d--) {
    coordinate[d] = (int)(at % (size_t)s->shape[d]);
    at /= (size_t)s->shape[d];
  }
}

size_t ravel(const int *coordinate, const Shape *s)
{
  size_t at = 0;
  for (int d = 0; d < s->axes; d++) at = at * (size_t)s->shape[d] + (size_t)coordinate[d];
  return at;
}

void new_leaves(Tensor **leaf, const OpCase *c, bool needs_grad)
{
  Rng rng = rng_named(11, c->name);
  for (int i = 0; i < c->leaves; i++) leaf[i] = random_leaf(c->leaf[i].axes, c->leaf[i].shape, &rng, 1, needs_grad);
  if (c->fill) c->fill(leaf, c, &rng);
}

static Tensor *run_case(Tape *tp, Tensor **leaf, void *ctx)
{
  const OpCase *c = ctx;
  return c->run(tp, leaf, c);
}

static void compare_values(const OpCase *c, Tensor **leaf)
{
  Tape *tp = tape_new();
  Tensor *y = c->run(tp, leaf, c);
  double *x[CASE_LEAVES], *want = calloc(y->n + 1, sizeof *want);
  for (int i = 0; i < c->leaves; i++) x[i] = doubles_of(leaf[i]);
  c->want(want, x, c);
  check_tensor(c->name, y, want, VALUE_TOL * (c->loosen > 0 ? c->loosen : 1));
  for (int i = 0; i < c->leaves; i++) free(x[i]);
  free(want);
  tape_free(tp);
}

static void backward_of(const OpCase *c, Tensor **leaf)
{
  Tape *tp = tape_new();
  Rng rng = rng_new(5, 6);
  Tensor *y = c->run(tp, leaf, c), *onto = tape_tensor(tp, y->axes, y->shape);
  random_fill(onto->data, onto->n, &rng, 1);
  zero_grads(leaf, c->leaves);
  Tensor *loss = t_sum_all(tp, t_mul(tp, y, onto));
  if (loss->needs_grad) tape_backward(tp, loss); /* a single leaf may not reach this output */
  tape_free(tp);
}

static void check_each_leaf_alone(const OpCase *c, Tensor **leaf)
{
  real *together[CASE_LEAVES];
  backward_of(c, leaf);
  for (int i = 0; i < c->leaves; i++) {
    together[i] = malloc((leaf[i]->n + 1) * sizeof(real));
    memcpy(together[i], leaf[i]->grad, leaf[i]->n * sizeof(real));
  }
  for (int i = 0; i < c->leaves; i++) {
    for (int j = 0; j < c->leaves; j++) leaf[j]->needs_grad = i == j;
    backward_of(c, leaf);
    check_close(c->name, leaf[i]->grad, together[i], leaf[i]->n, 10 * REAL_EPS);
    free(together[i]);
  }
}

void check_op(const OpCase *c)
{
  Tensor *leaf[CASE_LEAVES];
  new_leaves(leaf, c, true);
  if (c->want) compare_values(c, leaf);
  check_gradient(c->name, run_case, (void *)c, leaf, c->leaves);
  check_each_leaf_alone(c, leaf);
  free_leaves(leaf, c->leaves);
}

void check_value(const OpCase *c)
{
  Tensor *leaf[CASE_LEAVES];
  new_leaves(leaf, c, false);
  compare_values(c, leaf);
  free_leaves(leaf, c->leaves);
}

void check_all(const OpCase *cases, size_t n)
{
  for (size_t i = 0; i < n; i++) check_op(&cases[i]);
}

/* ---- what many cases share ---- */

void want_first(double *y, double *const *x, const OpCase *c) { memcpy(y, x[0], count_of(&c->leaf[0]) * sizeof *y); }

void fill_around_zero(Tensor **leaf, const OpCase *c, Rng *rng)
{
  bool positive = c->arg[0] == U_LOG || c->arg[0] == U_SQRT;
  for (size_t i = 0; i < leaf[0]->n; i++) {
    double x = 0.2 + 2.5 * rng_uniform(rng);
    leaf[0]->data[i] = (real)(positive || i % 2 ? x : -x);
  }
}

void fill_combs(Tensor **leaf, const OpCase *c, Rng *rng)
{
  for (int i = 0; i < c->leaves; i++)
    for (size_t e = 0; e < leaf[i]->n; e++)
      leaf[i]->data[e] = (real)(0.5 * ((double)rng_below(rng, 9) - 4) + 0.25 * i + 0.1 * (rng_uniform(rng) - 0.5));
}

/* ---- failures ---- */

typedef struct {
  const OpCase *c;
  Tape *tp;
  Tensor **leaf;
} Attempt;

static void attempt(void *arg)
{
  Attempt *a = arg;
  a->c->run(a->tp, a->leaf, a->c);
}

void check_op_fails(const OpCase *c, const char *message)
{
  Tensor *leaf[CASE_LEAVES];
  Tape *tp = tape_new();
  new_leaves(leaf, c, true);
  expect_failure(attempt, &(Attempt){c, tp, leaf}, message);
  assert_null(tp->last); /* nothing half-done is remembered */
  free_leaves(leaf, c->leaves);
  tape_free(tp);
}

void check_refusals(const Refusal *refusals, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    OpCase c = refusals[i].run;
    c.name = refusals[i].message;
    check_op_fails(&c, refusals[i].message);
  }
}

void check_each_operand(OpCase c, const char *const *messages)
{
  static const Shape wrong = SHAPE(2, 3, 5);
  for (int i = 0; i < c.leaves; i++) {
    OpCase spoiled = c;
    spoiled.leaf[i] = wrong;
    spoiled.name = messages[i];
    check_op_fails(&spoiled, messages[i]);
  }
}
