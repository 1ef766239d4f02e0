/* Every fast kernel against its reference twin, alone and in shadow mode, at the sizes and with the numbers of
   kernel_cases.c. The test goes through the table of ops itself, so an op without a case fails; test_fast_train.c has
   whole models. `test_fast --bench` prints a table of times instead. */
#include "engine/err.h"
#include "fast/fast.h"
#include "fast/shadow.h"
#include "kernel_walk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-12;
#else
static const double tolerance = 1e-5;
#endif

/* ---- fast against reference ---- */

static Run run(const Call *c, const Backend *b, int threads)
{
  fast_set_threads(threads);
  return walk_run(c, b);
}

static void check_call(const Call *c)
{
  Run want = run(c, &backend_reference, 1), one = run(c, &backend_fast, 1);
  walk_compare(&one, &want, tolerance, "fast against reference");
  for (int threads = 2; c->setting.mode != WITH_NAN && threads <= 7; threads += 5) {
    Run many = run(c, &backend_fast, threads);
    walk_compare(&many, &one, 0, threads == 2 ? "2 threads against 1" : "7 threads against 1");
    run_free(&many);
  }
  run_free(&want);
  run_free(&one);
}

static void check_op(void **state) { kernel_walk(*(OpId *)*state, check_call); }

/* ---- shadow mode ---- */

enum { NONE = -1 };
static int spoilt; /* the operand whose last number becomes wrong */

static void spoil(OpId id, const void *op, bool before)
{
  if (before || spoilt == NONE) return;
  Operand operand[MOST_OPERANDS], *o = &operand[spoilt];
  op_rows[id].operands(op, operand);
  if (o->type == OF_INT) ((int *)o->data)[o->count - 1] += 1;
  else if (o->type == OF_ACC) ((acc *)o->data)[o->count - 1] = (acc)NAN;
  else ((real *)o->data)[o->count - 1] = (real)NAN;
}

static void run_shadow(void *arg)
{
  const Run *r = arg;
  backend_shadow.run(r->call->id, r->op);
}

/* The message that the call ends with in shadow mode, or NULL. */
static const char *shadow_failure(const Call *c, int operand)
{
  Run r;
  run_put(&r, c, &backend_shadow, usual_filling);
  spoilt = operand;
  shadow_watch = spoil;
  const char *failure = rwkv_protect(run_shadow, &r);
  shadow_watch = NULL;
  run_take(&r);
  const char *fault = run_fault(&r);
  run_free(&r);
  return failure ? failure : fault;
}

/* An error at the end of each output is found. */
static void check_shadow(void **state)
{
  OpId id = *(OpId *)*state;
  for (int v = 0, variants = call_variants(id); v < variants; v++) {
    Call c = call_new(id, (Setting){.variant = v});
    const char *failure = shadow_failure(&c, NONE);
    if (failure) fail_msg("variant %d: %s", v, failure);
    for (int i = 0; i < c.operands; i++) {
      const Operand *o = &c.operand[i];
      char wanted[100];
      if (!is_output(o) || (o->type == OF_INT && o->terms > 1)) continue; /* the latter may be either of two */
      snprintf(wanted, sizeof wanted, "shadow: %s: the kernels disagree in %s[%zu]", op_rows[id].name, o->name,
               o->count - 1);
      failure = shadow_failure(&c, i);
      if (!failure || strncmp(failure, wanted, strlen(wanted)))
        fail_msg("variant %d: '%s', expected '%s'", v, failure ? failure : "no error", wanted);
    }
    call_free(&c);
  }
}

/* ---- times ---- */

static int bench(int threads)
{
  fast_set_threads(threads);
  printf("%s, %d threads\n%-26s%-24s%12s%12s%8s\n", REAL_NAME, threads, "op", "shape", "ref us", "fast us", "ratio");
  for (OpId id = 0; id < OP_COUNT; id++) {
    Call c = call_new(id, (Setting){.variant = BENCH});
    double ref = 1e6 * call_seconds(&c, &backend_reference), fast = 1e6 * call_seconds(&c, &backend_fast);
    printf("%-26s%-24s%12.1f%12.1f%8.1f\n", op_rows[id].name, call_shape(id), ref, fast, ref / fast);
    call_free(&c);
  }
  return 0;
}

int main(int argc, char **argv)
{
  if (argc > 1 && strcmp(argv[1], "--bench") == 0) return bench(argc > 2 ? atoi(argv[2]) : fast_threads());
  if (argc > 1) cmocka_set_test_filter(argv[1]); /* test_fast 'fast wkv7*' */
  static OpId ids[OP_COUNT];
  for (OpId id = 0; id < OP_COUNT; id++) ids[id] = id;
#define OP(name_, ...) {.name = "fast " #name_, .test_func = check_op, .initial_state = &ids[OP_##name_]},
  const struct CMUnitTest tests[] = {
#include "engine/op_table.h"
#define OP(name_, ...) {.name = "shadow " #name_, .test_func = check_shadow, .initial_state = &ids[OP_##name_]},
#include "engine/op_table.h"
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
