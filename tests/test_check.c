/* The checkers themselves, on planted errors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/backend.h"
#include "engine/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- worst_difference ---- */

enum { ROWS = 5, COLUMNS = 7, COUNT = ROWS * COLUMNS };

typedef struct {
  real got[COUNT], want[COUNT];
} Pair;

static Pair equal_pair(double scale)
{
  Pair p;
  Rng rng = rng_new(1, 2);
  random_fill(p.want, COUNT, &rng, scale);
  memcpy(p.got, p.want, sizeof p.got);
  return p;
}

static double difference(const Pair *p) { return worst_difference(p->got, p->want, COUNT, FINITE_ONLY, NULL); }

static void equal_numbers_pass(void **state)
{
  (void)state;
  Pair p = equal_pair(1);
  assert_true(difference(&p) == 0);
  assert_true(worst_difference(NULL, NULL, 0, FINITE_ONLY, NULL) == 0);
  check_close("equal", p.got, p.want, COUNT, 0);
}

static void a_transposed_matrix_is_seen(void **state)
{
  (void)state;
  Pair p = equal_pair(1);
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) p.got[j * ROWS + i] = p.want[i * COLUMNS + j];
  assert_true(difference(&p) > 0.5);
}

static void one_element_off_is_seen_and_named(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT; i++) {
    Pair p = equal_pair(1);
    size_t at;
    p.got[i] += (real)0.01;
    double d = worst_difference(p.got, p.want, COUNT, FINITE_ONLY, &at);
    assert_true(at == i);
    assert_true(d > 0.002 && d < 0.011);
  }
}

static void a_wrong_sign_is_seen(void **state)
{
  (void)state;
  Pair p = equal_pair(1);
  for (int i = 0; i < COUNT; i++) p.got[i] = -p.want[i];
  assert_true(difference(&p) > 1);
}

/* |got - want| alone would let all of this pass at 1e-4. */
static void an_error_among_small_numbers_is_seen(void **state)
{
  (void)state;
  Pair p = equal_pair(1e-2);
  for (int i = 0; i < COUNT; i++) p.got[i] *= (real)1.01;
  assert_true(difference(&p) > 9e-3);
  p = equal_pair(1e-6);
  memset(p.got, 0, sizeof p.got);
  assert_true(difference(&p) > 5e-4);
}

static void large_numbers_are_compared_relatively(void **state)
{
  (void)state;
  double want = 1e6, got = 1e6 + 1;
  double d = worst_difference_double(&got, &want, 1, FINITE_ONLY, NULL);
  assert_true(d > 0.9e-6 && d < 1.1e-6);
}

static void nan_and_infinity_fail_on_either_side(void **state)
{
  (void)state;
  static const double odd[] = {NAN, INFINITY, -INFINITY};
  for (int k = 0; k < 3; k++)
    for (int side = 0; side < 3; side++) { /* got, want, both */
      Pair p = equal_pair(1);
      size_t at;
      if (side != 1) p.got[11] = (real)odd[k];
      if (side != 0) p.want[11] = (real)odd[k];
      assert_true(isinf(worst_difference(p.got, p.want, COUNT, FINITE_ONLY, &at)));
      assert_true(at == 11);
      double expected = worst_difference(p.got, p.want, COUNT, SAME_NONFINITE, NULL);
      assert_true(side == 2 ? expected == 0 : isinf(expected));
    }
}

static void different_infinities_are_different(void **state)
{
  (void)state;
  const double a[] = {INFINITY, -INFINITY, NAN};
  for (int i = 0; i < 3; i++)
    assert_true(isinf(worst_difference_double(&a[i], &a[(i + 1) % 3], 1, SAME_NONFINITE, NULL)));
}

/* ---- fails_with ---- */

static void fails(void *arg) { rwkv_fail("the cat is %s", (const char *)arg); }
static void succeeds(void *arg) { (void)arg; }

static void failures_are_told_apart(void **state)
{
  (void)state;
  assert_true(fails_with(fails, "black", "cat is black"));
  assert_false(fails_with(fails, "black", "dog"));
  assert_false(fails_with(succeeds, NULL, ""));
}

/* ---- gradients ---- */

enum { LEAVES = 3 };

/* linear_bias and tanh: smooth, and the bias is a small leaf */
static Tensor *layer(Tape *tp, Tensor **leaf, void *ctx)
{
  (void)ctx;
  return t_tanh(tp, t_linear_bias(tp, leaf[0], leaf[1], leaf[2]));
}

static void new_layer(Tensor **leaf)
{
  Rng rng = rng_new(3, 4);
  leaf[0] = random_leaf(3, (int[]){2, 5, 17}, &rng, 0.5, true);
  leaf[1] = random_leaf(2, (int[]){3, 17}, &rng, 0.5, true);
  leaf[2] = random_leaf(1, (int[]){3}, &rng, 0.5, true);
}

static GradientErrors errors_of(GradFunction *f)
{
  Tensor *leaf[LEAVES];
  new_layer(leaf);
  GradientErrors e = gradient_errors(f, NULL, leaf, LEAVES);
  free_leaves(leaf, LEAVES);
  return e;
}

static void a_right_gradient_passes(void **state)
{
  (void)state;
  Tensor *leaf[LEAVES];
  new_layer(leaf);
  check_gradient("layer", layer, NULL, leaf, LEAVES);
  assert_true(leaf[2]->grad[0] != 0);
  leaf[0]->needs_grad = false;
  check_gradient("layer with a constant", layer, NULL, leaf, LEAVES);
  free_leaves(leaf, LEAVES);
}

/* The errors of f while one op is another one; all else runs as always. */
static OpId planted_id;
static void (*planted)(const void *op);

static void run_planted(OpId id, const void *op)
{
  if (id == planted_id) planted(op);
  else backend_reference.run(id, op);
}

static GradientErrors errors_with(OpId id, void (*instead)(const void *op), GradFunction *f)
{
  Backend b = backend_reference;
  b.name = "planted", b.run = run_planted;
  planted_id = id, planted = instead;
  backend_use(&b);
  GradientErrors e = errors_of(f);
  backend_use(&backend_reference);
  return e;
}

static double planted_scale; /* the gradients of planted_linear are this many times the right ones */
static int planted_leaf;     /* in this leaf; -1: in all */

static void planted_linear(const void *arg)
{
  const LinearBackward *op = arg;
  const Linear *f = &op->forward;
  real *to[LEAVES] = {op->gx, op->gw, op->gbias};
  size_t n[LEAVES] = {f->rows * f->in, f->out * f->in, f->out};
  real *right[LEAVES];
  for (int i = 0; i < LEAVES; i++) right[i] = calloc(n[i], sizeof(real));
  k_linear_backward(&(LinearBackward){right[0], right[1], right[2], op->g, *f});
  for (int i = 0; i < LEAVES; i++) {
    double scale = planted_leaf < 0 || planted_leaf == i ? planted_scale : 1;
    for (size_t k = 0; k < n[i]; k++) to[i][k] += (real)(scale * (double)right[i][k]);
    free(right[i]);
  }
}

static GradientErrors with_planted_scale(double scale, int leaf)
{
  planted_scale = scale;
  planted_leaf = leaf;
  return errors_with(OP_linear_backward, planted_linear, layer);
}

static void a_wrong_factor_is_seen(void **state)
{
  (void)state;
#ifdef AVIARY_DOUBLE
  const double slightly = 1.001;
#else
  const double slightly = 1.1;
#endif
  assert_true(with_planted_scale(1, -1).directional < GRADIENT_TOL / 2);
  for (int leaf = -1; leaf < LEAVES; leaf++) {
    assert_true(with_planted_scale(-1, leaf).directional > 0.3);
    assert_true(with_planted_scale(slightly, leaf).directional > GRADIENT_TOL);
    assert_true(with_planted_scale(2, leaf).directional > 0.2);
    GradientErrors missing = with_planted_scale(0, leaf);
    assert_true(missing.directional > 0.3);
    if (leaf == 2) assert_int_equal(missing.leaf, 2); /* the small one: only its own direction shows it */
    assert_true(isinf(with_planted_scale(NAN, leaf).directional));
  }
}

static void one_wrong_element(const void *arg)
{
  const UnaryBackward *op = arg;
  size_t middle = op->forward.n / 2;
  k_unary_backward(op);
  op->gx[middle] -= op->g[middle]; /* as if a term were lost */
}

static void one_wrong_element_is_seen(void **state)
{
  (void)state;
  GradientErrors e = errors_with(OP_unary_backward, one_wrong_element, layer);
  assert_true(e.directional > GRADIENT_TOL);
}

static void overwriting_unary(const void *arg)
{
  const UnaryBackward *op = arg;
  memset(op->gx, 0, op->forward.n * sizeof *op->gx);
  k_unary_backward(op);
}

static Tensor *tanh_of_first(Tape *tp, Tensor **leaf, void *ctx) { return (void)ctx, t_tanh(tp, leaf[0]); }

static void a_gradient_that_overwrites_is_seen(void **state)
{
  (void)state;
  GradientErrors e = errors_with(OP_unary_backward, overwriting_unary, tanh_of_first);
  assert_true(e.directional < GRADIENT_TOL); /* one pass alone looks right */
  assert_true(e.accumulated > 0.1);
}

static Tensor *depends_on_recording(Tape *tp, Tensor **leaf, void *ctx)
{
  Tensor *y = layer(tp, leaf, ctx);
  return tp->recording ? y : t_affine(tp, y, 1.001, 0);
}

static void values_that_depend_on_recording_are_seen(void **state)
{
  (void)state;
  assert_true(errors_of(layer).unrecorded == 0);
  assert_true(errors_of(depends_on_recording).unrecorded > 1e-4);
}

static Tensor *moves_its_leaf(Tape *tp, Tensor **leaf, void *ctx)
{
  if (tp->recording) leaf[0]->data[0] += (real)0.01;
  return layer(tp, leaf, ctx);
}

static void changed_leaves_are_seen(void **state)
{
  (void)state;
  assert_true(errors_of(moves_its_leaf).moved > 0.005);
}

static void the_leaves_are_left_as_they_were(void **state)
{
  (void)state;
  Tensor *leaf[LEAVES], *fresh[LEAVES];
  new_layer(leaf);
  new_layer(fresh);
  gradient_errors(layer, NULL, leaf, LEAVES);
  for (int i = 0; i < LEAVES; i++) assert_memory_equal(leaf[i]->data, fresh[i]->data, leaf[i]->n * sizeof(real));
  free_leaves(leaf, LEAVES);
  free_leaves(fresh, LEAVES);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_numbers_pass),
      cmocka_unit_test(a_transposed_matrix_is_seen),
      cmocka_unit_test(one_element_off_is_seen_and_named),
      cmocka_unit_test(a_wrong_sign_is_seen),
      cmocka_unit_test(an_error_among_small_numbers_is_seen),
      cmocka_unit_test(large_numbers_are_compared_relatively),
      cmocka_unit_test(nan_and_infinity_fail_on_either_side),
      cmocka_unit_test(different_infinities_are_different),
      cmocka_unit_test(failures_are_told_apart),
      cmocka_unit_test(a_right_gradient_passes),
      cmocka_unit_test(a_wrong_factor_is_seen),
      cmocka_unit_test(one_wrong_element_is_seen),
      cmocka_unit_test(a_gradient_that_overwrites_is_seen),
      cmocka_unit_test(values_that_depend_on_recording_are_seen),
      cmocka_unit_test(changed_leaves_are_seen),
      cmocka_unit_test(the_leaves_are_left_as_they_were),
  };
  return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
