/* Work that waits gives what work at once gives: random programs of kernels over a few shared buffers, read and written
   as a whole and by tiles in any order, and a training step of every version. */
#include "check.h"
#include "fast/fast.h"
#include "fast/pool.h"
#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- random programs ---- */

enum { B = 6, T = 5, R = B * T, C = 12, LARGE = 6, SQUARE = 3, VECTORS = 4, STEPS = 120, PROGRAMS = 400 };

typedef struct {
  real large[LARGE][R * C], square[SQUARE][C * C], vector[VECTORS][C];
  acc stats[R * 2 * 2]; /* two heads */
} Numbers;

static void one_step(Numbers *m, Rng *rng)
{
#define PICK(n) ((int)rng_below(rng, n))
  int i = PICK(LARGE), j = (i + 1 + PICK(LARGE - 1)) % LARGE, k = PICK(LARGE), s = PICK(SQUARE), v = PICK(VECTORS);
  while (k == i || k == j) k = PICK(LARGE);
  real *x = m->large[i], *y = m->large[j], *z = m->large[k], *w = m->square[s], *w2 = m->square[(s + 1) % SQUARE],
       *c = m->vector[v], *c2 = m->vector[(v + 1) % VECTORS];
  Broadcast same = {{1, 1, R, C}, {0, 0, C, 1}, {0, 0, C, 1}}, row = {{1, 1, R, C}, {0, 0, C, 1}, {0, 0, 0, 1}};
  int index[R];
  switch (PICK(20)) {
  case 0: run_unary(&(Unary){y, x, R * C, U_TANH}); break;
  case 1: run_unary_backward(&(UnaryBackward){y, x, {z, z, R * C, U_TANH}}); break;
  case 2: run_binary(&(Binary){y, x, z, same, B_ADD}); break;
  case 3: run_binary(&(Binary){y, x, c, row, B_MUL}); break;
  case 4: run_binary_backward(&(BinaryBackward){y, c2, x, {NULL, z, c, row, B_MUL}}); break;
  case 5: run_linear(&(Linear){y, x, w, NULL, R, C, C, FACTORS_FULL}); break;
  case 6: run_linear_backward(&(LinearBackward){y, w2, c, x, {NULL, z, w, NULL, R, C, C, FACTORS_FULL}}); break;
  case 7: run_matmul_backward(&(MatmulBackward){NULL, w2, x, {NULL, z, w, R, C, C, FACTORS_FULL}}); break;
  case 8: run_lerp(&(Lerp){y, x, z, c, R, 1, C}); break;
  case 9: run_lerp_backward(&(LerpBackward){y, NULL, c2, x, {NULL, z, z, c, R, 1, C}}); break;
  case 10: run_shift(&(Shift){y, x, z, B, T, C}); break;
  case 11: run_clear(&(Clear){y, R * C}); break;
  case 12: run_clear(&(Clear){w, C * C}); break;
  case 13: run_clear(&(Clear){c, C}); break;
  case 14: run_norm(&(Norm){y, m->stats, x, c, c2, 1e-2, R, 2, C / 2}); break;
  case 15: run_unary(&(Unary){w2, w, C * C, U_TANH}); break;
  case 16: run_unary(&(Unary){c2, c, C, U_TANH}); break;
  case 17: run_sum(&(Sum){c, x, 0.1, 1, R, C}); break;
  case 18: run_affine(&(Affine){y, x, 0.5, 0.1, R * C}); break;
  default:
    for (int n = 0; n < R; n++) index[n] = PICK(R);
    run_rows(&(Rows){y, x, index, R, R, C});
    if (PICK(2)) run_rows_backward(&(RowsBackward){z, y, {NULL, NULL, index, R, R, C}});
  }
  if (PICK(3) == 0) run_unary(&(Unary){m->large[k], y, R * C, U_TANH}); /* keeps the numbers in bounds */
#undef PICK
}

static void run_program(Numbers *m, uint64_t seed, int threads)
{
  Rng rng = rng_new(seed, 0);
  real *all = m->large[0];
  memset(m, 0, sizeof *m);
  for (size_t i = 0; i < offsetof(Numbers, stats) / sizeof(real); i++) all[i] = (real)(rng_uniform(&rng) - 0.5);
  backend_use(threads ? &backend_fast : &backend_reference);
  fast_set_threads(threads);
  fast_set_tile(threads ? C : 0);
  backend_now()->batch(B, T, C);
  for (int i = 0; i < STEPS; i++) one_step(m, &rng);
  backend_flush();
  fast_set_tile(0);
}

static void random_programs(void **state)
{
  (void)state;
  static Numbers want, one, three;
  int grown = 0;
  for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
    run_program(&want, seed, 0);
    run_program(&one, seed, 1);
    run_program(&three, seed, 3);
    const real *w = want.large[0], *f = one.large[0];
    size_t n = offsetof(Numbers, stats) / sizeof(real);
    double most = 1;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)w[i]));
    if (!(most < 1e4)) {
      grown++;
      continue;
    }
    for (size_t i = 0; i < n; i++)
      if (!(fabs((double)f[i] - (double)w[i]) <= (sizeof(real) == 8 ? 1e-10 : 1e-2) * most))
        fail_msg("program %d: number %zu is %g, the reference has %g", (int)seed, i, (double)f[i], (double)w[i]);
    assert_memory_equal(&one, &three, n * sizeof(real));
  }
  assert_true(grown < PROGRAMS / 2);
}

/* ---- every version ---- */

typedef struct {
  double loss;
  size_t n;
  real *grad;
} Result;

static Result learn(const Version *v, int threads)
{
  Dims d = {.V = 23, .C = 32, .L = 2, .N = 16, .ctx = 16};
  Result r = {0};
  backend_use(threads ? &backend_fast : &backend_reference);
  fast_set_threads(threads);
  fast_set_tile(threads ? 64 : 0);
  Model *m = model_new(v, &d, 3);
  State *st = state_new(m, B);
  Tape *tp = tape_new();
  Rng rng = rng_new(5, 0);
  int tokens[R], targets[R];
  for (int i = 0; i < m->count; i++) { /* what begins as zero hides what comes after it */
    Tensor *t = m->params[i].t;
    for (size_t k = 0; k < t->n; k++) t->data[k] += (real)(0.2 * (rng_uniform(&rng) - 0.5));
  }
  State *other = state_new(m, 4), *one = state_new(m, 1);
  for (int part = 0; part < 3; part++) { /* the second with a state; the third beside batches of other sizes */
    for (int i = 0; i < R; i++)
      tokens[i] = (int)rng_below(&rng, 23), targets[i] = rng_below(&rng, 3) ? (int)rng_below(&rng, 23) : -1;
    Tensor *loss = model_loss(tp, m, TOKENS(tokens, B, T), targets, st, NULL, NULL);
    if (part == 2) loss = t_add(tp, loss, model_loss(tp, m, TOKENS(tokens, 1, T), targets, one, NULL, NULL));
    if (part == 2) loss = t_add(tp, loss, model_loss(tp, m, TOKENS(tokens, 4, T), targets, other, NULL, NULL));
    tape_backward(tp, loss);
    real value;
    tensor_read(loss, 0, 1, &value);
    r.loss += (double)value;
    state_detach(st);
    state_detach(one);
    state_detach(other);
    tape_reset(tp);
  }
  for (int i = 0; i < m->count; i++) r.n += m->params[i].t->n;
  r.grad = malloc(r.n * sizeof(real));
  for (size_t i = 0, at = 0; i < (size_t)m->count; at += m->params[i++].t->n)
    tensor_read_grad(m->params[i].t, 0, m->params[i].t->n, r.grad + at);
  tape_free(tp);
  state_free(one);
  state_free(other);
  state_free(st);
  model_free(m);
  fast_set_tile(0);
  backend_use(&backend_reference);
  return r;
}

static void version(void **state)
{
  const Version *v = version_find(*state);
  Result want = learn(v, 0), one = learn(v, 1), two = learn(v, 2);
  double most = 0, bound = sizeof(real) == 8 ? 1e-11 : 2e-4;
  for (size_t i = 0; i < want.n; i++) most = fmax(most, fabs((double)want.grad[i]));
  assert_true(fabs(one.loss - want.loss) <= bound * want.loss);
  for (size_t i = 0; i < want.n; i++)
    if (!(fabs((double)one.grad[i] - (double)want.grad[i]) <= bound * most))
      fail_msg("%s: gradient %zu is %g, the reference has %g", v->name, i, (double)one.grad[i], (double)want.grad[i]);
  assert_memory_equal(one.grad, two.grad, want.n * sizeof(real));
  free(want.grad), free(one.grad), free(two.grad);
}

/* ---- the threads ---- */

enum { ITEMS = 1000 };
static atomic_int visits[ITEMS];

static void visit(const void *arg, size_t i)
{
  (void)arg;
  atomic_fetch_add(&visits[i], 1);
}

static void every_item_once(void **state)
{
  (void)state;
  for (int round = 0; round < 2000; round++) {
    size_t n = (size_t)(round % 7 ? round % 13 : ITEMS);
    for (size_t i = 0; i < n; i++) atomic_store(&visits[i], 0);
    pool_run(1 + round % 9, n, visit, NULL);
    for (size_t i = 0; i < n; i++) assert_int_equal(atomic_load(&visits[i]), 1);
  }
}

/* What is expected need not come, nor be memory at all. */
static void expected_in_vain(void **state)
{
  static char memory[1 << 16];
  const struct {
    const void *at;
    size_t bytes;
  } expected[] = {{NULL, 0}, {memory, sizeof memory}, {memory, (size_t)-1}, {(void *)64, 1 << 20}, {memory + 1, 1}};
  (void)state;
  for (size_t round = 0; round < 500; round++) {
    size_t i = round % (sizeof expected / sizeof *expected);
    for (size_t k = 0; k < ITEMS; k++) atomic_store(&visits[k], 0);
    pool_expect(expected[i].at, expected[i].bytes);
    pool_run(1 + (int)round % 9, ITEMS, visit, NULL);
    for (size_t k = 0; k < ITEMS; k++) assert_int_equal(atomic_load(&visits[k]), 1);
  }
}

int main(void)
{
#define VERSION(name_)                                                  \
  {                                                                     \
    .name = name_, .test_func = version, .initial_state = (void *)name_ \
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_once),
      cmocka_unit_test(expected_in_vain),
      cmocka_unit_test(random_programs),
      VERSION("v1"),
      VERSION("v2"),
      VERSION("v3"),
      VERSION("v4"),
      VERSION("v5.0"),
      VERSION("v5.1"),
      VERSION("v5.2"),
      VERSION("v6"),
      VERSION("v6a"),
      VERSION("v6b"),
      VERSION("v7"),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
