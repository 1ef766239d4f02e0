/* Two gradients of an op may be one and the same memory, as those of x * x are: every kernel of the device must add to
   it for both. */
#include "cuda/on_host_backend.h"
#include "kernel_cases.h"
#include "kernel_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Ten times test_cuda's: what is added for one may cancel what is added for the other. */
#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-11;
#else
static const double tolerance = 1e-4;
#endif

/* Runs the call with gradient `second` where `first` is; the numbers of `second` itself are not looked at. */
static Run run_same(const Call *c, const Backend *b, int first, int second)
{
  Run r;
  run_put(&r, c, b, usual_filling);
  char *begin = r.there[first] + (run_numbers(&r, first) - r.image[first]);
  call_point(r.op, &c->operand[second], begin);
  b->run(c->id, r.op);
  run_take(&r);
  const char *fault = run_fault(&r);
  if (fault) fail_msg("variant %d: %s", c->setting.variant, fault);
  return r;
}

static void check_pair(const Call *c, int first, int second)
{
  if (sizeof(real) == sizeof(double) && call_is_rounded(c)) return; /* a device has no such products */
  Run want = run_same(c, &backend_reference, first, second), got = run_same(c, &backend_cuda, first, second);
  double loose = kernel_cases[c->id].loose > 0 ? kernel_cases[c->id].loose : 1;
  const char *difference = runs_differ(&got, &want, loose * tolerance);
  if (difference)
    fail_msg("variant %d, %s is %s: %s", c->setting.variant, c->operand[second].name, c->operand[first].name,
             difference);
  run_free(&want);
  run_free(&got);
}

static bool is_gradient(const Operand *o) { return o->data && o->access == UPDATE && o->name[0] == 'g'; }

static void check_op(void **state)
{
  OpId id = *(OpId *)*state;
  for (int v = 0, variants = call_variants(id); v < variants; v++) {
    Call c = call_new(id, (Setting){.variant = v});
    for (int i = 0; i < c.operands; i++)
      for (int j = i + 1; j < c.operands; j++)
        if (is_gradient(&c.operand[i]) && is_gradient(&c.operand[j]) && c.operand[i].count == c.operand[j].count)
          check_pair(&c, i, j);
    call_free(&c);
  }
}

static int open_device(void **state)
{
  (void)state;
  char why[300];
  const Backend *b = rwkv_backend_module.open(&(BackendChoice){0, "full", NULL}, why, sizeof why);
  return b == &backend_cuda ? 0 : -1;
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]); /* test_cuda_same 'same wkv7*' */
  static OpId ids[OP_COUNT];
  for (OpId id = 0; id < OP_COUNT; id++) ids[id] = id;
  const struct CMUnitTest tests[] = {
#define OP(name_, ...) {.name = "same " #name_, .test_func = check_op, .initial_state = &ids[OP_##name_]},
#include "engine/op_table.h"
  };
  return cmocka_run_group_tests(tests, open_device, NULL);
}
