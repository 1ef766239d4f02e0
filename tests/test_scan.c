/* The selective scan: values written down a second time as in the paper's closed form, gradients by finite differences,
   and its limits. Against the closed form's derivative: test_oracle.c; rebuilt from other ops: test_rebuild.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

typedef struct {
  int B, T, D, N;
} ScanSizes;

static ScanSizes scan_sizes(const OpCase *c)
{
  return (ScanSizes){c->leaf[XS].shape[0], c->leaf[XS].shape[1], c->leaf[AS].shape[0], c->leaf[AS].shape[1]};
}

/* h[d,n] after token t: every write times all decays of the tokens after it. */
static double state_after(double *const *x, const OpCase *c, int b, int t, int d, int n)
{
  ScanSizes z = scan_sizes(c);
  double sum = 0, faded = 1;
  for (int s = t; s >= 0; s--) {
    int row = b * z.T + s;
    double delta = x[DS][row * z.D + d];
    sum += faded * delta * x[BS][row * z.N + n] * x[XS][row * z.D + d];
    faded *= exp(delta * x[AS][d * z.N + n]);
  }
  return sum + faded * x[HS][(b * z.D + d) * z.N + n];
}

static void want_scan(double *y, double *const *x, const OpCase *c)
{
  ScanSizes z = scan_sizes(c);
  for (int i = 0; c->arg[LOOK_AT] & OUTPUT && i < z.B * z.T * z.D; i++, y++)
    for (int n = 0; n < z.N; n++)
      *y += x[CS][i / z.D * z.N + n] * state_after(x, c, i / (z.T * z.D), i / z.D % z.T, i % z.D, n);
  for (int i = 0; c->arg[LOOK_AT] & STATE && i < z.B * z.D * z.N; i++)
    *y++ = state_after(x, c, i / (z.D * z.N), z.T - 1, i / z.N % z.D, i % z.N);
}

static void values_and_gradients(void **state)
{
  (void)state;
  static const Sizes sizes[] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {3, 1, 2, 5}, {1, 16, 1, 3},
                                {1, 17, 3, 2}, {2, 33, 1, 3}, {1, 4, 17, 1}}; /* H: channels */
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int what = OUTPUT; what <= BOTH; what++) {
      char name[64];
      snprintf(name, sizeof name, "scan T %d D %d N %d", sizes[i].T, sizes[i].H, sizes[i].N);
      OpCase c = scan_case(name, sizes[i], what);
      c.want = want_scan, c.loosen = 4;
      check_op(&c);
    }
}

/* delta = 0 neither writes nor fades; a delta so large that e^{delta A} is 0 forgets all, and its gradients are finite
   (nothing is divided by a decay). */
static void steps_of_nothing_and_of_very_much(void **state)
{
  (void)state;
  enum { T = 20, D = 3 };
  for (int large = 0; large <= 1; large++) {
    OpCase c = scan_case("scan, limits", (Sizes){1, T, D, 1}, STATE);
    Tensor *leaf[CASE_LEAVES];
    new_leaves(leaf, &c, true);
    tensor_fill(leaf[AS], -1);
    tensor_fill(leaf[DS], large ? 2000 : 0);
    Tape *tp = tape_new();
    Tensor *h = c.run(tp, leaf, &c);
    for (int d = 0; d < D; d++) {
      double write = 2000 * (double)leaf[BS]->data[T - 1] * (double)leaf[XS]->data[(T - 1) * D + d];
      check_number("state", (double)h->data[d], large ? write : (double)leaf[HS]->data[d], VALUE_TOL);
    }
    tape_backward(tp, t_sum_all(tp, h));
    for (int l = 0; l < LEAVESS; l++)
      for (size_t i = 0; i < leaf[l]->n; i++) assert_true(isfinite(leaf[l]->grad[i]));
    for (int d = 0; d < D; d++) check_number("gradient", (double)leaf[HS]->grad[d], large ? 0 : 1, VALUE_TOL);
    free_leaves(leaf, LEAVESS);
    tape_free(tp);
  }
}

/* ---- what it refuses ---- */

static Tensor *run_scan(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *h = x[5];
  return (void)c, t_selective_scan(tp, x[0], x[1], x[2], x[3], x[4], &h);
}

static void refused(void **state)
{
  (void)state;
  OpCase fits = {.name = "scan",
                 .run = run_scan,
                 .leaves = 6,
                 .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4, 6), SHAPE(2, 3, 6), SHAPE(2, 3, 6), SHAPE(2, 4, 6)}};
  check_each_operand(fits, (const char *[]){"selective_scan: delta is [2,3,4], expected [2,3,5] like x",
                                            "selective_scan: delta is [2,3,5], expected [2,3,4] like x",
                                            "selective_scan: A is [2,3,5], expected [4,N], N at least 1",
                                            "selective_scan: B is [2,3,5], expected [2,3,6]",
                                            "selective_scan: C is [2,3,5], expected [2,3,6]",
                                            "selective_scan: state h is [2,3,5], expected [2,4,6]"});
  OpCase empty = fits, nothing = fits;
  empty.leaf[XS] = empty.leaf[DS] = (Shape)SHAPE(2, 0, 4);
  check_op_fails(&empty, "selective_scan: x is [2,0,4], expected [B,T,C], none of them 0");
  nothing.leaf[AS] = (Shape)SHAPE(4, 0);
  check_op_fails(&nothing, "selective_scan: A is [4,0], expected [4,N], N at least 1");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_gradients),
      cmocka_unit_test(steps_of_nothing_and_of_very_much),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
