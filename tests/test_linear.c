/* Linear maps and look-up, with matrices kept in fewer bits too: values against sums written down again here, and
   gradients against finite differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"
#include "engine/backend.h"

#include <math.h>
#include <string.h>

static Tensor *run_linear(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return c->leaves == 3 ? t_linear_bias(tp, leaf[0], leaf[1], leaf[2]) : t_linear(tp, leaf[0], leaf[1]);
}

static void want_linear(double *y, double *const *x, const OpCase *c)
{
  size_t out = (size_t)c->leaf[1].shape[0], in = (size_t)c->leaf[1].shape[1];
  for (size_t i = 0; i < count_of(&c->leaf[0]) / in * out; i++) {
    if (c->leaves == 3) y[i] = x[2][i % out];
    for (size_t j = 0; j < in; j++) y[i] += x[0][i / out * in + j] * x[1][i % out * in + j];
  }
}

static Tensor *run_matmul(Tape *tp, Tensor **leaf, const OpCase *c) { return (void)c, t_matmul(tp, leaf[0], leaf[1]); }

static void want_matmul(double *y, double *const *x, const OpCase *c)
{
  size_t in = (size_t)c->leaf[1].shape[0], out = (size_t)c->leaf[1].shape[1];
  for (size_t i = 0; i < count_of(&c->leaf[0]) / in * out; i++)
    for (size_t j = 0; j < in; j++) y[i] += x[0][i / out * in + j] * x[1][j * out + i % out];
}

static Tensor *run_rows(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_rows(tp, leaf[0], c->index, c->arg[0], c->arg + 1);
}

static void want_rows(double *y, double *const *x, const OpCase *c)
{
  size_t C = (size_t)c->leaf[0].shape[1], count = 1;
  for (int d = 0; d < c->arg[0]; d++) count *= (size_t)c->arg[1 + d];
  for (size_t i = 0; i < count * C; i++) y[i] = x[0][(size_t)c->index[i / C] * C + i % C];
}

static void linear_maps(void **state)
{
  (void)state;
  static const int index[] = {3, 0, 3, 3, 1, 0}; /* 2 is never looked up, 3 thrice */
  static const OpCase cases[] = {
      {"linear of a vector", run_linear, want_linear, NULL, 2, {SHAPE(5), SHAPE(3, 5)}},
      {"linear of rows", run_linear, want_linear, NULL, 2, {SHAPE(3, 17), SHAPE(5, 17)}},
      {"linear [B,T,C]", run_linear, want_linear, NULL, 2, {SHAPE(2, 3, 5), SHAPE(17, 5)}},
      {"linear, 4 axes", run_linear, want_linear, NULL, 2, {SHAPE(2, 1, 3, 5), SHAPE(5, 5)}},
      {"linear 1 to 1", run_linear, want_linear, NULL, 2, {SHAPE(4, 1), SHAPE(1, 1)}},
      {"linear 1 to 3", run_linear, want_linear, NULL, 2, {SHAPE(1, 1), SHAPE(3, 1)}},
      {"linear with bias", run_linear, want_linear, NULL, 3, {SHAPE(2, 3, 5), SHAPE(3, 5), SHAPE(3)}},
      {"linear of a vector with bias", run_linear, want_linear, NULL, 3, {SHAPE(17), SHAPE(1, 17), SHAPE(1)}},
      {"matmul of a vector", run_matmul, want_matmul, NULL, 2, {SHAPE(5), SHAPE(5, 3)}},
      {"matmul of rows", run_matmul, want_matmul, NULL, 2, {SHAPE(3, 17), SHAPE(17, 5)}},
      {"matmul [B,T,C]", run_matmul, want_matmul, NULL, 2, {SHAPE(2, 3, 5), SHAPE(5, 17)}},
      {"matmul, 4 axes", run_matmul, want_matmul, NULL, 2, {SHAPE(2, 1, 3, 5), SHAPE(5, 5)}},
      {"matmul 1 to 1", run_matmul, want_matmul, NULL, 2, {SHAPE(1), SHAPE(1, 1)}},
      {"row", run_rows, want_rows, NULL, 1, {SHAPE(4, 5)}, {0}, .index = index},
      {"rows [6]", run_rows, want_rows, NULL, 1, {SHAPE(4, 5)}, {1, 6}, .index = index},
      {"rows [2,3]", run_rows, want_rows, NULL, 1, {SHAPE(4, 1)}, {2, 2, 3}, .index = index},
      {"rows [1,3,2]", run_rows, want_rows, NULL, 1, {SHAPE(4, 17)}, {3, 1, 3, 2}, .index = index},
  };
  check_all(cases, COUNT_OF(cases));
}

/* A sum over no terms is 0, whatever lay in memory before. */
static void linear_over_nothing(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  memset(arena_alloc(&tp->numbers, 4096), 0xFF, 4096);
  arena_reset(&tp->numbers);
  Tensor *x = new_leaf(2, (int[]){2, 0}, false), *w = new_leaf(2, (int[]){3, 0}, false),
         *m = new_leaf(2, (int[]){0, 3}, false), *bias = new_leaf(1, (int[]){3}, false);
  tensor_fill(bias, 7);
  check_tensor("linear", t_linear(tp, x, w), (double[6]){0}, 0);
  check_tensor("linear_bias", t_linear_bias(tp, x, w, bias), (double[]){7, 7, 7, 7, 7, 7}, 0);
  check_tensor("matmul", t_matmul(tp, x, m), (double[6]){0}, 0);
  free_leaves((Tensor *[]){x, w, m, bias}, 4);
  tape_free(tp);
}

/* ---- matrices kept in fewer bits ---- */

typedef struct {
  Tape *tp;
  Tensor *x, *w, *bias;
  int op;
} PackedMap;

static Tensor *run_packed(const PackedMap *m)
{
  static const int index[] = {4, 0, 4};
  if (m->op == 0) return t_linear_bias(m->tp, m->x, m->w, m->bias);
  return m->op == 1 ? t_matmul(m->tp, m->x, m->w) : t_rows(m->tp, m->w, index, 1, (int[]){3});
}

static void attempt_packed(void *m) { run_packed(m); }

/* What the packed matrix gives is what its numbers give, expanded; no gradient flows through it. */
static void packed_maps(void **state)
{
  (void)state;
  Rng rng = rng_new(3, 4);
  for (int storage = 0; storage < STORAGE_COUNT; storage++) {
    Arena arena = {0}, numbers = {0};
    Storage as = (Storage)storage;
    Tensor *packed = tensor_in(&arena, &numbers, 2, (int[]){5, 5}, &as);
    Tensor *plain = random_leaf(2, (int[]){5, 5}, &rng, 1, false);
    Tensor *x = random_leaf(2, (int[]){3, 5}, &rng, 1, false), *bias = random_leaf(1, (int[]){5}, &rng, 1, false);
    assert_int_equal(packed_write((void *)packed->packed.bits, as, plain->data, plain->n), plain->n);
    tensor_read(packed, 0, packed->n, plain->data);
    for (int op = 0; op < 3; op++) {
      Tape *tp = tape_new();
      Tensor *want = run_packed(&(PackedMap){tp, x, plain, bias, op});
      Tensor *got = run_packed(&(PackedMap){tp, x, packed, bias, op});
      assert_true(tensor_same_shape(want, got));
      assert_memory_equal(want->data, got->data, want->n * sizeof(real));
      x->needs_grad = true;
      if (op < 2) expect_failure(attempt_packed, &(PackedMap){tp, x, packed, bias, op}, storage_names[as]);
      else assert_false(run_packed(&(PackedMap){tp, x, packed, bias, op})->needs_grad);
      tp->recording = false;
      run_packed(&(PackedMap){tp, x, packed, bias, op});
      x->needs_grad = false;
      tape_free(tp);
    }
    free_leaves((Tensor *[]){plain, x, bias}, 3);
    arena_free(&arena);
    arena_free(&numbers);
  }
}

/* ---- what it refuses ---- */

/* ---- factors in bfloat16 ---- */

/* To a significand of 8 bits, the even one of two. */
static double bf16(double x)
{
  int e;
  double m = frexp(x, &e); /* 0.5 <= |m| < 1 */
  return ldexp(nearbyint(ldexp(m, 8)), e - 8);
}

enum { ROWS = 19, IN = 35, OUT = 18, ALL = ROWS * OUT + ROWS * IN + OUT * IN };

/* y, gx and gw of y = x w', by maps as they are made here. */
static void rounded_map(double *out, Tensor *x, Tensor *w, bool turned)
{
  Tape *tp = tape_new();
  zero_grads((Tensor *[]){x, w}, 2);
  Tensor *y = turned ? t_matmul(tp, x, w) : t_linear(tp, x, w);
  for (size_t i = 0; i < y->n; i++) *out++ = y->data[i];
  tape_backward(tp, t_sum_all(tp, t_mul(tp, y, y)));
  for (size_t i = 0; i < x->n; i++) *out++ = x->grad[i];
  for (size_t i = 0; i < w->n; i++) *out++ = w->grad[i];
  tape_free(tp);
}

/* Every factor is rounded, that of the way back too; nothing else is. */
static void factors_in_bfloat16(void **state)
{
  (void)state;
  Rng rng = rng_new(8, 1);
  assert_true(bf16(1 + 3.0 / 256) == 1 + 4.0 / 256 && bf16(1 + 1.0 / 256) == 1 && packed_bf16(1 + 3.0 / 256) > 1.015);
  for (int turned = 0; turned < 2; turned++) {
    Tensor *x = random_leaf(2, (int[]){ROWS, IN}, &rng, 1, true);
    Tensor *w = random_leaf(2, turned ? (int[]){IN, OUT} : (int[]){OUT, IN}, &rng, 1, true);
    double got[ALL], want[ALL] = {0}, *y = want, *gx = y + ROWS * OUT, *gw = gx + ROWS * IN;
    backend_round_factors(FACTORS_BF16);
    rounded_map(got, x, w, turned);
    backend_round_factors(FACTORS_FULL);
    for (int i = 0; i < ROWS; i++)
      for (int o = 0; o < OUT; o++) {
        for (int c = 0; c < IN; c++)
          y[i * OUT + o] += bf16(x->data[i * IN + c]) * bf16(w->data[turned ? c * OUT + o : o * IN + c]);
        double g = bf16(2 * (double)(real)got[i * OUT + o]);
        for (int c = 0; c < IN; c++) {
          int at = turned ? c * OUT + o : o * IN + c;
          gx[i * IN + c] += g * bf16(w->data[at]);
          gw[at] += g * bf16(x->data[i * IN + c]);
        }
      }
    check_close_double("factors in bfloat16", got, want, ALL, VALUE_TOL);
    tensor_free(x);
    tensor_free(w);
  }
}

static void refused(void **state)
{
  (void)state;
  static const int low[] = {0, 2, -1}, high[] = {4, 0, 0};
  static const Refusal refusals[] = {
      {"linear: x [2,3] does not fit a weight [3,2] [out,in]",
       {.run = run_linear, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(3, 2)}}},
      {"linear: x [] does not fit a weight [1,1]", {.run = run_linear, .leaves = 2, .leaf = {SCALAR, SHAPE(1, 1)}}},
      {"linear: x [3] does not fit a weight [3]", {.run = run_linear, .leaves = 2, .leaf = {SHAPE(3), SHAPE(3)}}},
      {"linear: bias [3] does not fit a weight [2,3] [out,in]",
       {.run = run_linear, .leaves = 3, .leaf = {SHAPE(3), SHAPE(2, 3), SHAPE(3)}}},
      {"matmul: x [2,3] does not fit a matrix [2,3] [in,out]",
       {.run = run_matmul, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 3)}}},
      {"matmul: x [3] does not fit a matrix [3,1,1]",
       {.run = run_matmul, .leaves = 2, .leaf = {SHAPE(3), SHAPE(3, 1, 1)}}},
      {"rows: the table is [rows,C], not [4]",
       {.run = run_rows, .leaves = 1, .leaf = {SHAPE(4)}, .arg = {1, 3}, .index = low}},
      {"rows: index -1 at [3], expected 0 to 3",
       {.run = run_rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {1, 3}, .index = low}},
      {"rows: index 4 at [1], expected 0 to 3",
       {.run = run_rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {1, 3}, .index = high}},
      {"rows: an index of shape [1,1,1,1] has too many axes",
       {.run = run_rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {4, 1, 1, 1, 1}, .index = low}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_maps), cmocka_unit_test(linear_over_nothing),
      cmocka_unit_test(packed_maps), cmocka_unit_test(factors_in_bfloat16),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
