/* Every kernel of the device, as the processor runs it (cuda/on_host.h), against its reference twin, at the sizes and
   with the numbers of kernel_cases.c. What comes out must not depend on the order of threads and blocks, to the bit:
   otherwise some do not wait for each other. test_cuda_train.c has whole models. */
#include "cuda/on_host_backend.h"
#include "kernel_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-12;
#else
static const double tolerance = 1e-5;
#endif

static Run run(const Call *c, OnHostOrder order)
{
  on_host_order(order);
  return walk_run(c, &backend_cuda);
}

static void check_call(const Call *c)
{
  Run want = walk_run(c, &backend_reference), forward = run(c, ORDER_FORWARD);
  walk_compare(&forward, &want, tolerance, "device against reference");
  for (int order = ORDER_BACKWARD; c->setting.mode == PLAIN && order < ORDER_COUNT; order++) {
    Run other = run(c, (OnHostOrder)order);
    walk_compare(&other, &forward, 0, order == ORDER_BACKWARD ? "threads backward" : "threads shuffled");
    run_free(&other);
  }
  run_free(&want);
  run_free(&forward);
}

static void check_op(void **state) { kernel_walk(*(OpId *)*state, check_call); }

static int open_device(void **state)
{
  (void)state;
  char why[300];
  const Backend *b = rwkv_backend_module.open(&(BackendChoice){0, "full", NULL}, why, sizeof why);
  return b == &backend_cuda ? 0 : -1;
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]); /* test_cuda 'cuda wkv7*' */
  static OpId ids[OP_COUNT];
  for (OpId id = 0; id < OP_COUNT; id++) ids[id] = id;
  const struct CMUnitTest tests[] = {
#define OP(name_, ...) {.name = "cuda " #name_, .test_func = check_op, .initial_state = &ids[OP_##name_]},
#include "engine/op_table.h"
  };
  return cmocka_run_group_tests(tests, open_device, NULL);
}
