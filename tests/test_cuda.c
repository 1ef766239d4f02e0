/* Every kernel of the device against its reference twin, at the sizes and with the numbers of kernel_cases.c; as the
   processor runs it (cuda/on_host.h), or on a device (device.h). What comes out must not depend on the order of threads
   and blocks, to the bit: otherwise some do not wait for each other. The processor runs them in several orders; a
   device does as it likes, and is asked twice, also at sizes that fill it. test_cuda_train.c has whole models. */
#include "cuda/on_host_backend.h"
#include "device.h"
#include "kernel_cases.h"
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

static Device device;

static Run run(const Call *c, OnHostOrder order)
{
  on_host_order(order);
  return walk_run(c, device.backend);
}

static void check_again(const Call *c, const Run *first, OnHostOrder order, const char *what)
{
  Run other = run(c, order);
  walk_compare(&other, first, 0, what);
  run_free(&other);
}

static void check_call(const Call *c)
{
  if (sizeof(real) == sizeof(double) && call_is_rounded(c)) return;     /* a device has no such products */
  double allowed = c->setting.variant < 0 ? 50 * tolerance : tolerance; /* BENCH, LARGE: many roundings in a row */
  Run want = walk_run(c, &backend_reference), forward = run(c, ORDER_FORWARD);
  walk_compare(&forward, &want, allowed, "device against reference");
  if (device.is_real && !device.small) check_again(c, &forward, ORDER_FORWARD, "once more");
  if (!device.is_real && c->setting.mode == PLAIN && !c->setting.nulls) {
    check_again(c, &forward, ORDER_BACKWARD, "threads backward");
    check_again(c, &forward, ORDER_SHUFFLED, "threads shuffled");
  }
  run_free(&want);
  run_free(&forward);
}

static size_t numbers_in(const Call *c)
{
  size_t n = 0;
  for (int i = 0; i < c->operands; i++) n += c->operand[i].count;
  return n;
}

static void check_one(OpId id, int variant, size_t most)
{
  Call c = call_new(id, (Setting){.variant = variant});
  if (numbers_in(&c) <= most) check_call(&c);
  call_free(&c);
}

static void check_op(void **state)
{
  enum { SMALL = 300000 }; /* numbers of all operands: heads of 64 and 33 tokens are among them */
  OpId id = *(OpId *)*state;
  for (int v = 0; device.small && v < call_variants(id); v++) check_one(id, v, SMALL);
  if (device.small) return;
  if (!device.large) kernel_walk(id, check_call);
  if (device.is_real || device.large) check_one(id, BENCH, SIZE_MAX);
  if ((device.is_real || device.large) && call_is_large(id)) check_one(id, LARGE, SIZE_MAX);
}

int main(int argc, char **argv)
{
  device = device_of(argc, argv, &rwkv_backend_module);
  static OpId ids[OP_COUNT];
  for (OpId id = 0; id < OP_COUNT; id++) ids[id] = id;
  const struct CMUnitTest tests[] = {
#define OP(name_, ...) {.name = "cuda " #name_, .test_func = check_op, .initial_state = &ids[OP_##name_]},
#include "engine/op_table.h"
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
