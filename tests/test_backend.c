/* The backend at work: which one it may be, what it waits for, and reference kernels on memory that is elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "far.h"

#include <stdlib.h>
#include <string.h>

/* ---- the same numbers here and there ---- */

typedef struct {
  real *near, *far;
  size_t n;
} Pair;

enum { MOST_PAIRS = 16 };
static Pair pairs[MOST_PAIRS];
static int pair_count;
static Rng rng;

static Pair pair(size_t n)
{
  assert_true(pair_count < MOST_PAIRS);
  Pair p = {calloc(n + 1, sizeof(real)), backend_far.memory->alloc(n * sizeof(real)), n};
  random_fill(p.near, n, &rng, 1);
  if (n) backend_far.memory->write(p.far, p.near, n * sizeof(real));
  return pairs[pair_count++] = p;
}

static int new_pairs(void **state)
{
  (void)state;
  pair_count = 0;
  rng = rng_new(1, 2);
  return 0;
}

static int free_pairs(void **state)
{
  (void)state;
  for (int i = 0; i < pair_count; i++) {
    backend_far.memory->free(pairs[i].far, pairs[i].n * sizeof(real));
    free(pairs[i].near);
  }
  return far_held() != 0;
}

/* The kernel on `near` and the fall-back on `far` leave the same in all pairs: in outputs, and in what is only read. */
static void check_falls_back(OpId id, const void *near, const void *far)
{
  op_rows[id].kernel(near);
  backend_fall_back(backend_far.memory, id, far);
  for (int i = 0; i < pair_count; i++) {
    real *x = calloc(pairs[i].n + 1, sizeof *x);
    backend_far.memory->read(x, pairs[i].far, pairs[i].n * sizeof *x);
    if (memcmp(x, pairs[i].near, pairs[i].n * sizeof *x) != 0) fail_msg("%s: pair %d differs", op_rows[id].name, i);
    free(x);
  }
}

/* ---- falling back ---- */

static void operands_come_and_go(void **state)
{
  (void)state;
  enum { B = 2, T = 20, H = 2, N = 3, BTHN = B * T * H * N, BHNN = B * H * N * N };
  Pair y = pair(BTHN), S1 = pair(BHNN), segments = pair(B * H * k_segments(T) * N * N), r = pair(BTHN), w = pair(BTHN),
       k = pair(BTHN), v = pair(BTHN), a = pair(BTHN), b = pair(BTHN), S0 = pair(BHNN);
#define WKV7(at) &(Wkv7){y.at, S1.at, segments.at, r.at, w.at, k.at, v.at, a.at, b.at, S0.at, B, T, H, N}
  check_falls_back(OP_wkv7, WKV7(near), WKV7(far));
}

/* x x: both operands are one tensor, and so are their gradients, to which both add. */
static void two_operands_may_be_one_tensor(void **state)
{
  (void)state;
  enum { N = 7 };
  Pair gx = pair(N), g = pair(N), x = pair(N);
  Broadcast shape = {{1, 1, 1, N}, {0, 0, 0, 1}, {0, 0, 0, 1}};
#define SQUARE(at)                                         \
  &(BinaryBackward)                                        \
  {                                                        \
    gx.at, gx.at, g.at, { NULL, x.at, x.at, shape, B_MUL } \
  }
  check_falls_back(OP_binary_backward, SQUARE(near), SQUARE(far));
}

static void gradients_may_be_left_out(void **state)
{
  (void)state;
  enum { ROWS = 3, IN = 4, OUT = 5 };
  for (int without = 0; without < 8; without++) {
    Pair none = {NULL, NULL, 0};
    Pair gx = without & 1 ? none : pair(ROWS * IN), gw = without & 2 ? none : pair(OUT * IN),
         gbias = without & 4 ? none : pair(OUT), g = pair(ROWS * OUT), x = pair(ROWS * IN), w = pair(OUT * IN);
#define BACKWARD(at)                                                                      \
  &(LinearBackward)                                                                       \
  {                                                                                       \
    gx.at, gw.at, gbias.at, g.at, { NULL, x.at, w.at, NULL, ROWS, IN, OUT, FACTORS_FULL } \
  }
    check_falls_back(OP_linear_backward, BACKWARD(near), BACKWARD(far));
    free_pairs(NULL);
    new_pairs(NULL);
  }
}

/* Tensors without elements take no room: what comes after them in an arena has their address. */
static void an_empty_operand_may_have_anothers_address(void **state)
{
  (void)state;
  enum { ROWS = 3, OUT = 5 };
  Pair gbias = pair(OUT), g = pair(ROWS * OUT);
#define EMPTY(at)                                                                              \
  &(LinearBackward)                                                                            \
  {                                                                                            \
    gbias.at, gbias.at, gbias.at, g.at, { NULL, g.at, g.at, NULL, ROWS, 0, OUT, FACTORS_FULL } \
  }
  check_falls_back(OP_linear_backward, EMPTY(near), EMPTY(far));
}

enum { HEADS = 2, POSITIONS = 4, CHANNELS = 3, EACH = HEADS * POSITIONS * CHANNELS };

static Attention attention(real *y, acc *log_sum, acc *scratch, const real *q, const real *k, const real *v)
{
  return (Attention){.y = y,
                     .log_sum = log_sum,
                     .scratch = scratch,
                     .q = q,
                     .k = k,
                     .v = v,
                     .B = 1,
                     .T = POSITIONS,
                     .U = POSITIONS,
                     .H = HEADS,
                     .N = CHANNELS};
}

static void scratch_is_given(void **state)
{
  (void)state;
  acc log_sum[HEADS * POSITIONS], scratch[HEADS * 2 * POSITIONS];
  Pair y = pair(EACH), q = pair(EACH), k = pair(EACH), v = pair(EACH);
  acc *far_sum = backend_far.memory->alloc(sizeof log_sum);
  Attention near = attention(y.near, log_sum, scratch, q.near, k.near, v.near),
            far = attention(y.far, far_sum, NULL, q.far, k.far, v.far);
  check_falls_back(OP_attention, &near, &far);
  backend_far.memory->free(far_sum, sizeof log_sum);
}

/* On the host nothing is moved, and scratch is given all the same. */
static void the_host_runs_in_place(void **state)
{
  (void)state;
  acc log_sum[2][HEADS * POSITIONS], scratch[HEADS * 2 * POSITIONS];
  Pair y = pair(EACH), z = pair(EACH), q = pair(EACH), k = pair(EACH), v = pair(EACH);
  Attention own = attention(y.near, log_sum[0], scratch, q.near, k.near, v.near),
            given = attention(z.near, log_sum[1], NULL, q.near, k.near, v.near);
  k_attention(&own);
  backend_fall_back(&memory_host, OP_attention, &given);
  assert_memory_equal(y.near, z.near, EACH * sizeof(real));
  assert_memory_equal(log_sum[0], log_sum[1], sizeof log_sum[0]);
}

/* Packed numbers and integers are moved as they are; an index list stays with the host. */
static void bits_and_integers(void **state)
{
  (void)state;
  enum { ROWS = 4, C = 3, COUNT = 5 };
  const Memory *memory = backend_far.memory;
  const int index[COUNT] = {3, 0, 3, 1, 2};
  int best[COUNT], found[COUNT];
  uint32_t bits[ROWS * C];
  Pair y = pair(COUNT * C), numbers = pair(ROWS * C);
  for (int storage = 0; storage < STORAGE_COUNT; storage++) {
    Storage as = (Storage)storage;
    size_t bytes = ROWS * C * storage_size(as);
    void *far_bits = memory->alloc(bytes);
    assert_int_equal(packed_write(bits, as, numbers.near, ROWS * C), ROWS * C);
    memory->write(far_bits, bits, bytes);
    check_falls_back(OP_rows_packed, &(RowsPacked){y.near, {bits, as}, index, COUNT, ROWS, C},
                     &(RowsPacked){y.far, {far_bits, as}, index, COUNT, ROWS, C});
    memory->free(far_bits, bytes);
  }
  int *far_best = memory->alloc(sizeof best);
  check_falls_back(OP_argmax, &(Argmax){best, y.near, COUNT, C}, &(Argmax){far_best, y.far, COUNT, C});
  memory->read(found, far_best, sizeof found);
  assert_memory_equal(found, best, sizeof best);
  memory->free(far_best, sizeof best);
}

/* ---- which one is at work ---- */

static int flushes;
static void count_flush(void) { flushes++; }

/* The reference, counting how often it is waited for. */
static Backend counting(void)
{
  Backend b = backend_reference;
  b.name = "counting", b.flush = count_flush;
  flushes = 0;
  return b;
}

static void use_far(void *arg) { (void)arg, backend_use(&backend_far); }

static void memory_stays_while_tensors_are_there(void **state)
{
  (void)state;
  Backend same_memory = counting();
  Tensor *t = tensor_new(1, (int[]){3});
  expect_failure(use_far, NULL, "backend far: tensors are there already, in the memory of backend reference");
  assert_ptr_equal(backend_now(), &backend_reference);
  backend_use(&same_memory);
  assert_ptr_equal(backend_now(), &same_memory);
  expect_failure(use_far, NULL, "in the memory of backend counting");
  tensor_free(t);
  backend_use(&backend_far);
  t = tensor_new(1, (int[]){3});
  tensor_need_grad(t);
  tensor_free(t);
  Tape *tp = tape_new();
  assert_int_equal(far_held(), 0); /* a tape takes memory when something is computed */
  tape_zeros(tp, 1, (int[]){3});
  assert_true(far_held() > 0);
  tape_free(tp);
  assert_int_equal(far_held(), 0);
  backend_use(&backend_reference);
}

static void whoever_looks_waits(void **state)
{
  (void)state;
  real x[3] = {1, 2, 3};
  Backend b = counting();
  backend_use(&b);
  real *p = backend_alloc(sizeof x, "numbers");
  backend_write_new(p, x, sizeof x);
  assert_int_equal(flushes, 0);
  backend_write(p, x, sizeof x);
  assert_int_equal(flushes, 1);
  backend_read(x, p, sizeof x);
  assert_int_equal(flushes, 2);
  backend_flush();
  assert_int_equal(flushes, 3);
  backend_free(p, sizeof x);
  assert_int_equal(flushes, 4);
  backend_free(NULL, 0);
  backend_use(&backend_reference);
  assert_int_equal(flushes, 5);
  assert_true(x[0] == 1 && x[1] == 2 && x[2] == 3);
}

static void ask_for_a_planet(void *arg)
{
  (void)arg;
  backend_alloc((size_t)1 << 60, "a planet");
}

static void too_much_fails_and_counts_nothing(void **state)
{
  (void)state;
  expect_failure(ask_for_a_planet, NULL, "out of memory: a planet needs 1E");
  backend_use(&backend_far);
  expect_failure(ask_for_a_planet, NULL, "out of memory: a planet needs 1E");
  backend_use(&backend_reference);
}

#define ON_PAIRS(test) cmocka_unit_test_setup_teardown(test, new_pairs, free_pairs)

int main(void)
{
  const struct CMUnitTest tests[] = {
      ON_PAIRS(operands_come_and_go),
      ON_PAIRS(two_operands_may_be_one_tensor),
      ON_PAIRS(gradients_may_be_left_out),
      ON_PAIRS(an_empty_operand_may_have_anothers_address),
      ON_PAIRS(scratch_is_given),
      ON_PAIRS(the_host_runs_in_place),
      ON_PAIRS(bits_and_integers),
      cmocka_unit_test(memory_stays_while_tensors_are_there),
      cmocka_unit_test(whoever_looks_waits),
      cmocka_unit_test(too_much_fails_and_counts_nothing),
  };
  return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
