#include "kernel_walk.h"

#include "kernel_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* How many operands can be NULL, and how many hold random numbers. */
typedef struct {
  int optional, inputs;
} Found;

static Found check_call(OpId id, Setting s, KernelCheck *check)
{
  Call c = call_new(id, s);
  Found f = {c.optional, c.inputs};
  check(&c);
  call_free(&c);
  return f;
}

void kernel_walk(OpId id, KernelCheck *check)
{
  static const unsigned masks[] = {0x5555, 0xaaaa, 0xffff};
  for (int v = 0, variants = call_variants(id); v < variants; v++) {
    Found found = check_call(id, (Setting){.variant = v}, check);
    for (int m = 0; found.optional && m < 3; m++) check_call(id, (Setting){.variant = v, .nulls = masks[m]}, check);
    check_call(id, (Setting){.variant = v, .mode = EXTREME}, check);
    for (int i = 0; i < found.inputs; i++) check_call(id, (Setting){.variant = v, .mode = WITH_NAN, .nan = i}, check);
  }
}

Run walk_run(const Call *c, const Backend *b)
{
  Run r = run_call(c, b, usual_filling);
  const char *fault = run_fault(&r);
  if (fault) fail_msg("variant %d: %s", c->setting.variant, fault);
  return r;
}

void walk_compare(const Run *got, const Run *want, double allowed, const char *what)
{
  static const char *modes[] = {"plain", "extreme", "NaN"};
  const Setting *s = &want->call->setting;
  const KernelCase *k = &kernel_cases[want->call->id];
  double loose = k->loose_rounded > 0 && call_is_rounded(want->call) ? k->loose_rounded : k->loose > 0 ? k->loose : 1;
  const char *difference = runs_differ(got, want, loose * allowed);
  if (difference)
    fail_msg("%s variant %d, %s, NULL %x, NaN %d, %s: %s", op_rows[want->call->id].name, s->variant, modes[s->mode],
             s->nulls, s->nan, what, difference);
}
