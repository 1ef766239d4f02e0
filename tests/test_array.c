/* Tape ops on arrays: values written down again, gradients by finite differences, refusals. */
#include "engine/err.h"
#include "op_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- permute ---- */

static Tensor *run_permute(Tape *tp, Tensor **leaf, const OpCase *c) { return t_permute(tp, leaf[0], c->arg); }

static void want_permute(double *y, double *const *x, const OpCase *c)
{
  const Shape *from = &c->leaf[0];
  Shape to = *from;
  for (int d = 0; d < from->axes; d++) to.shape[d] = from->shape[axis_of(from, c->arg[d])];
  for (size_t i = 0; i < count_of(from); i++) {
    int at[MAX_AXES], there[MAX_AXES];
    unravel(i, from, at);
    for (int d = 0; d < from->axes; d++) there[d] = at[axis_of(from, c->arg[d])];
    y[ravel(there, &to)] = x[0][i];
  }
}

static void permutations(void **state)
{
  (void)state;
  const OpCase cases[] = {
      {"permute 2", run_permute, want_permute, NULL, 1, {SHAPE(3, 5)}, {1, 0}},
      {"permute 3", run_permute, want_permute, NULL, 1, {SHAPE(2, 3, 5)}, {2, 0, 1}},
      {"permute 4", run_permute, want_permute, NULL, 1, {SHAPE(2, 3, 4, 5)}, {0, 2, 1, 3}},
      {"permute from the end", run_permute, want_permute, NULL, 1, {SHAPE(2, 3, 4, 5)}, {-1, 1, -2, 0}},
      {"permute 1", run_permute, want_permute, NULL, 1, {SHAPE(7)}, {0}},
      {"permute nothing", run_permute, want_permute, NULL, 1, {SHAPE(2, 0, 3)}, {2, 1, 0}},
  };
  check_all(cases, COUNT_OF(cases));
  check_op_fails(&(OpCase){"", run_permute, NULL, NULL, 1, {SHAPE(2, 3)}, {0, 0}}, "named twice");
  check_op_fails(&(OpCase){"", run_permute, NULL, NULL, 1, {SHAPE(2, 3)}, {0, 2}}, "no axis 2");
}

/* ---- max ---- */

static Tensor *run_max(Tape *tp, Tensor **leaf, const OpCase *c) { return t_max(tp, leaf[0], c->arg[0], c->arg[1]); }

static void want_max(double *y, double *const *x, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  int axis = axis_of(s, c->arg[0]);
  Shape rest = *s;
  rest.shape[axis] = 1;
  for (size_t i = 0; i < count_of(&rest); i++) y[i] = -INFINITY;
  for (size_t i = 0; i < count_of(s); i++) {
    int at[MAX_AXES];
    unravel(i, s, at);
    at[axis] = 0;
    y[ravel(at, &rest)] = fmax(y[ravel(at, &rest)], x[0][i]);
  }
}

/* Numbers far enough from each other for finite differences: a shuffled ladder. */
static void fill_ladder(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c;
  for (size_t i = 0; i < leaf[0]->n; i++) leaf[0]->data[i] = (real)i * (real)0.25 - 2;
  for (size_t i = leaf[0]->n; i > 1; i--) {
    size_t j = rng_below(rng, i);
    real t = leaf[0]->data[i - 1];
    leaf[0]->data[i - 1] = leaf[0]->data[j];
    leaf[0]->data[j] = t;
  }
}

static void largest(void **state)
{
  (void)state;
  const OpCase cases[] = {
      {"max of the last axis", run_max, want_max, fill_ladder, 1, {SHAPE(2, 3, 5)}, {-1, 0}},
      {"max of the first", run_max, want_max, fill_ladder, 1, {SHAPE(4, 3)}, {0, 0}},
      {"max in the middle, kept", run_max, want_max, fill_ladder, 1, {SHAPE(2, 5, 3)}, {1, 1}},
      {"max of one", run_max, want_max, fill_ladder, 1, {SHAPE(3, 1)}, {1, 0}},
  };
  check_all(cases, COUNT_OF(cases));
  check_op_fails(&(OpCase){"", run_max, NULL, NULL, 1, {SHAPE(2, 0)}, {1, 0}}, "is empty");
}

/* ---- gather ---- */

static Tensor *run_gather(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_gather(tp, leaf[0], c->index, c->arg[0]);
}

static void want_gather(double *y, double *const *x, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  size_t n = (size_t)s->shape[s->axes - 1], count = (size_t)c->arg[0];
  for (size_t i = 0; i < count_of(s) / n * count; i++) y[i] = x[0][i / count * n + (size_t)c->index[i]];
}

static void picking(void **state)
{
  (void)state;
  static const int index[] = {4, 0, 0, 2, 3, 1, 1, 1, 4, 0, 2, 2};
  const OpCase cases[] = {
      {"gather", run_gather, want_gather, NULL, 1, {SHAPE(4, 5)}, {3}, .index = index},
      {"gather from a row", run_gather, want_gather, NULL, 1, {SHAPE(5)}, {12}, .index = index},
      {"gather from 3 axes", run_gather, want_gather, NULL, 1, {SHAPE(2, 3, 5)}, {2}, .index = index},
      {"gather nothing", run_gather, want_gather, NULL, 1, {SHAPE(2, 5)}, {0}, .index = index},
  };
  check_all(cases, COUNT_OF(cases));
  check_op_fails(&(OpCase){"", run_gather, NULL, NULL, 1, {SHAPE(4, 4)}, {3}, .index = index}, "index 4");
}

/* ---- softmax ---- */

static Tensor *run_softmax(Tape *tp, Tensor **leaf, const OpCase *c) { return (void)c, t_softmax(tp, leaf[0]); }

static void want_softmax(double *y, double *const *x, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  size_t n = (size_t)s->shape[s->axes - 1];
  for (size_t i = 0; i < count_of(s); i++) {
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += exp(x[0][i / n * n + j] - x[0][i]);
    y[i] = 1 / sum;
  }
}

static void softmax(void **state)
{
  (void)state;
  const OpCase cases[] = {
      {"softmax", run_softmax, want_softmax, NULL, 1, {SHAPE(3, 5)}},
      {"softmax of 4 axes", run_softmax, want_softmax, NULL, 1, {SHAPE(2, 3, 1, 17)}},
      {"softmax of one", run_softmax, want_softmax, NULL, 1, {SHAPE(3, 1)}},
  };
  check_all(cases, COUNT_OF(cases));
  check_op_fails(&(OpCase){"", run_softmax, NULL, NULL, 1, {SCALAR}}, "softmax");
  Tape *tp = tape_new();
  Tensor *x = tape_zeros(tp, 1, (int[]){3});
  x->data[0] = 1000, x->data[1] = -1000, x->data[2] = 1000;
  Tensor *y = t_softmax(tp, x);
  assert_true(fabs((double)y->data[0] - 0.5) < 1e-12 && y->data[1] >= 0 && y->data[1] < (real)1e-30);
  tape_free(tp);
}

/* ---- bmm ---- */

static Tensor *run_bmm(Tape *tp, Tensor **leaf, const OpCase *c) { return (void)c, t_bmm(tp, leaf[0], leaf[1]); }

static void want_bmm(double *y, double *const *x, const OpCase *c)
{
  const Shape *a = &c->leaf[0], *b = &c->leaf[1];
  size_t M = (size_t)a->shape[a->axes - 2], K = (size_t)a->shape[a->axes - 1], N = (size_t)b->shape[b->axes - 1];
  size_t na = count_of(a) / (M * K), nb = count_of(b) / (K * N), batch = na > nb ? na : nb;
  for (size_t i = 0; i < batch * M * N; i++)
    for (size_t k = 0; k < K; k++)
      y[i] += x[0][(i / (M * N) % na * M + i / N % M) * K + k] * x[1][(i / (M * N) % nb * K + k) * N + i % N];
}

static void products(void **state)
{
  (void)state;
  const OpCase cases[] = {
      {"bmm of two matrices", run_bmm, want_bmm, NULL, 2, {SHAPE(3, 5), SHAPE(5, 4)}},
      {"bmm of many", run_bmm, want_bmm, NULL, 2, {SHAPE(2, 3, 5), SHAPE(2, 5, 4)}},
      {"bmm of heads", run_bmm, want_bmm, NULL, 2, {SHAPE(2, 3, 4, 5), SHAPE(2, 3, 5, 1)}},
      {"bmm, one on the right", run_bmm, want_bmm, NULL, 2, {SHAPE(2, 3, 5), SHAPE(5, 4)}},
      {"bmm, one on the left", run_bmm, want_bmm, NULL, 2, {SHAPE(3, 5), SHAPE(2, 5, 4)}},
  };
  check_all(cases, COUNT_OF(cases));
  check_op_fails(&(OpCase){"", run_bmm, NULL, NULL, 2, {SHAPE(3, 5), SHAPE(4, 5)}}, "bmm: a [3,5] and b [4,5]");
  check_op_fails(&(OpCase){"", run_bmm, NULL, NULL, 2, {SHAPE(2, 3, 5), SHAPE(3, 5, 4)}}, "same leading axes");
  check_op_fails(&(OpCase){"", run_bmm, NULL, NULL, 2, {SHAPE(5), SHAPE(5, 4)}}, "bmm");
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(permutations), cmocka_unit_test(largest),
                                     cmocka_unit_test(picking), cmocka_unit_test(softmax), cmocka_unit_test(products)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
