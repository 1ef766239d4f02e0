/* Ops that the device puts off to run them in one launch: clear, adamw and sum_squares of many sizes in a row. What
   comes out is what they give one by one, whoever looks first, and however many there are. */
#include "cuda/on_host_backend.h"
#include "engine/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ALL = 300, KINDS = 4 }; /* more than a launch takes */
typedef enum { P, M, V, G } Kind;
static const size_t sizes[] = {1, 7, 0, 300, 64, 20000, 33};

typedef struct {
  real *at[ALL][KINDS]; /* on the device */
  acc *sum;
} Params;

static size_t size_of(int i) { return sizes[(size_t)i % (sizeof sizes / sizeof *sizes)]; }
static const Memory *memory(void) { return backend_cuda.memory; }

static void put(Params *q)
{
  Rng rng = rng_new(5, 1);
  for (int i = 0; i < ALL; i++)
    for (int kind = 0; kind < KINDS; kind++) {
      size_t n = size_of(i);
      real *x = malloc(n * sizeof *x + 1);
      assert_non_null(x);
      for (size_t k = 0; k < n; k++) x[k] = (real)rng_uniform(&rng);
      q->at[i][kind] = memory()->alloc(n * sizeof *x);
      memory()->write(q->at[i][kind], x, n * sizeof *x);
      free(x);
    }
  q->sum = memory()->alloc(sizeof *q->sum);
  memory()->write(q->sum, &(acc){1}, sizeof *q->sum);
}

static void give(Params *q)
{
  for (int i = 0; i < ALL; i++)
    for (int kind = 0; kind < KINDS; kind++) memory()->free(q->at[i][kind], size_of(i) * sizeof(real));
  memory()->free(q->sum, sizeof *q->sum);
}

static void assert_same(const Params *a, const Params *b)
{
  for (int i = 0; i < ALL; i++)
    for (int kind = 0; kind < KINDS; kind++) {
      size_t bytes = size_of(i) * sizeof(real);
      char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
      memory()->read(x, a->at[i][kind], bytes);
      memory()->read(y, b->at[i][kind], bytes);
      if (memcmp(x, y, bytes)) fail_msg("parameter %d, %d: differs", i, kind);
      free(x), free(y);
    }
  acc x, y;
  memory()->read(&x, a->sum, sizeof x), memory()->read(&y, b->sum, sizeof y);
  assert_true(x - y < 1e-12 * y && y - x < 1e-12 * y);
}

/* A step, then zeros; `alone`: waits after each op. */
static void step(Params *q, bool alone)
{
  Adamw settings = {.scale = 0.5, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .unbias1 = 0.5, .unbias2 = 0.3};
  for (int i = 0; i < ALL; i++) {
    backend_cuda.run(OP_sum_squares, &(SumSquares){q->sum, q->at[i][G], size_of(i)});
    if (alone) backend_cuda.flush();
  }
  for (int i = 0; i < ALL; i++) {
    Adamw op = settings;
    op.p = q->at[i][P], op.m = q->at[i][M], op.v = q->at[i][V], op.g = q->at[i][G], op.n = size_of(i);
    op.decay = i % 2 ? 0.1 : 0;
    for (int again = 0; again < (i % 10 == 3 ? 2 : 1); again++) { /* some twice */
      backend_cuda.run(OP_adamw, &op);
      if (alone) backend_cuda.flush();
    }
  }
  for (int i = 0; i < ALL; i++) {
    backend_cuda.run(OP_clear, &(Clear){q->at[i][G], size_of(i)});
    if (alone) backend_cuda.flush();
  }
}

static void in_a_row(void **state)
{
  (void)state;
  static Params one, many;
  put(&one), put(&many);
  step(&one, true);
  size_t before = backend_cuda.counts->launches;
  step(&many, false);
  backend_cuda.flush();
  assert_true(backend_cuda.counts->launches - before < ALL / 4);
  assert_same(&many, &one);
  give(&one), give(&many);
}

/* What waits is done before another op, a read, a write, and before memory is given back. */
static void whoever_looks(void **state)
{
  (void)state;
  real ones[3] = {1, 1, 1}, got[3];
  real *x = memory()->alloc(sizeof ones), *y = memory()->alloc(sizeof ones);
  memory()->write(x, ones, sizeof ones);
  backend_cuda.run(OP_clear, &(Clear){x, 3});
  backend_cuda.run(OP_affine, &(Affine){.y = y, .x = x, .scale = 2, .offset = 5, .n = 3});
  memory()->read(got, y, sizeof got);
  assert_true(got[0] == 5 && got[2] == 5);
  backend_cuda.run(OP_clear, &(Clear){y, 3});
  memory()->write(y, ones, sizeof ones);
  memory()->read(got, y, sizeof got);
  assert_true(got[0] == 1 && got[2] == 1);
  backend_cuda.run(OP_clear, &(Clear){y, 3});
  memory()->free(y, sizeof ones);
  memory()->free(x, sizeof ones);
}

static int open_device(void **state)
{
  (void)state;
  char why[300];
  return rwkv_backend_module.open(&(BackendChoice){0, "full", NULL}, why, sizeof why) ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(in_a_row), cmocka_unit_test(whoever_looks)};
  return cmocka_run_group_tests(tests, open_device, NULL);
}
