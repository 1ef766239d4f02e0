/* Every fast kernel against its reference twin, and what shadow mode knows of it. The test goes through the op table
   itself, so an op without a case in fast_cases.h fails; test_fast_train.c has whole models. `test_fast --bench` prints
   a table of times instead. */
#include "check.h"
#include "engine/err.h"
#include "fast/fast.h"
#include "fast/shadow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fast_cases.h"

#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-12;
#else
static const double tolerance = 1e-5;
#endif

/* ---- operands ---- */

static const double infinite = HUGE_VAL;
enum { GUARD = 67 * sizeof(double), MOST = sizeof ((Run *)0)->buffer / sizeof *((Run *)0)->buffer };
static const char guard_byte = 0x5a;

static double seconds_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *buffer(Run *r, size_t count, char type)
{
  assert_true(r->buffers < MOST);
  struct Buffer *b = &r->buffer[r->buffers++];
  b->count = count;
  b->size = count * (type == 'i' ? sizeof(int) : type == 'a' ? sizeof(acc) : sizeof(real));
  b->type = type;
  b->memory = malloc(b->size + 2 * GUARD);
  assert_non_null(b->memory);
  memset(b->memory, guard_byte, b->size + 2 * GUARD);
  b->data = b->memory + GUARD;
  memset(b->data, 0xff, b->size); /* NaN: what is left out shows */
  return b->data;
}

static real *in(Run *r, size_t n, double scale, double wide)
{
  real *x = buffer(r, n, 'r');
  for (size_t i = 0; i < n; i++) {
    double z = (rng_uniform(&r->rng) - 0.5) * 3.46 * scale;
    uint64_t way = r->mode == EXTREME ? rng_below(&r->rng, 4) : 4;
    x[i] = (real)(way == 0 ? 0 : way == 1 ? z * 1e-6 : way == 2 ? z * wide : z);
  }
  if (r->operands++ == r->nan && r->mode == WITH_NAN) x[rng_below(&r->rng, n)] = (real)NAN;
  return x;
}

static bool left_out(Run *r) { return r->nulls >> r->optional++ % 16 & 1; }

static real *grad(Run *r, size_t n)
{
  real *g = buffer(r, n, 'r');
  for (size_t i = 0; i < n; i++) g[i] = (real)(rng_uniform(&r->rng) - 0.5);
  return left_out(r) ? NULL : g;
}

static void release(Run *r)
{
  for (int i = 0; i < r->buffers; i++) free(r->buffer[i].memory);
}

/* ---- comparing ---- */

static double number(const struct Buffer *b, size_t i)
{
  if (b->type == 'i') return ((const int *)(const void *)b->data)[i];
  if (b->type == 'a') return ((const acc *)(const void *)b->data)[i];
  return (double)((const real *)(const void *)b->data)[i];
}

/* The larger of the worst and the RMS difference; both relative to the buffer's RMS, the worst also to
   the element where that is larger. NaN must meet NaN and infinity itself: otherwise the answer is infinite. */
static double difference(const struct Buffer *got, const struct Buffer *want)
{
  double square = 0, error = 0, worst = 0;
  size_t finite = 0;
  for (size_t i = 0; i < want->count; i++) {
    double x = number(got, i), y = number(want, i);
    if (!isfinite(y)) {
      if (!(isnan(y) ? isnan(x) : x == y)) return infinite;
      continue;
    }
    if (!isfinite(x)) return infinite;
    square += y * y, error += (x - y) * (x - y);
    finite++;
  }
  if (!finite || error == 0) return 0;
  double rms = sqrt(square / (double)finite) + 1e-30;
  for (size_t i = 0; i < want->count; i++)
    if (isfinite(number(want, i)))
      worst = fmax(worst, fabs(number(got, i) - number(want, i)) / fmax(rms, fabs(number(want, i))));
  return fmax(worst, sqrt(error / (double)finite) / rms);
}

static bool guards_whole(const struct Buffer *b)
{
  for (size_t i = 0; i < GUARD; i++)
    if (b->memory[i] != guard_byte || b->data[b->size + i] != guard_byte) return false;
  return true;
}

/* ---- running one case ---- */

static Run run(const Case *c, const Ops *o, int variant, Mode mode, unsigned nulls, int nan, int threads)
{
  Run r = {.o = o, .variant = variant, .mode = mode, .nulls = nulls, .nan = nan,
           .rng = rng_new(7, (uint64_t)variant)};
  fast_set_threads(threads);
  c->run(&r);
  return r;
}

static Ops fast_table(void)
{
  fast_enable(1);
  Ops fast = ops;
  fast_enable(0);
  return fast;
}

static void compare(const Case *c, const Run *want, const Run *got, double allowed, const char *what)
{
  static const char *modes[] = {"plain", "extreme", "NaN"};
  assert_int_equal(want->buffers, got->buffers);
  for (int i = 0; i < want->buffers; i++) {
    const struct Buffer *x = &got->buffer[i], *y = &want->buffer[i];
    if (!guards_whole(x)) fail_msg("%s variant %d: buffer %d was written outside", c->op, want->variant, i);
    if (x->type == 'w') continue;
    double d = allowed > 0 ? difference(x, y) : memcmp(x->data, y->data, x->size) ? infinite : 0;
    if (!(d <= allowed))
      fail_msg("%s variant %d, %s, NULL %x, NaN %d, %s: buffer %d differs by %g, allowed %g", c->op, want->variant,
               modes[want->mode], want->nulls, want->nan, what, i, d, allowed);
  }
}

/* How many operands can be NULL, and how many hold random numbers, goes to the last two. */
static void check_run(const Case *c, const Ops *fast, int variant, Mode mode, unsigned nulls, int nan,
                      int *optional, int *operands)
{
  Run want = run(c, &reference_ops, variant, mode, nulls, nan, 1), one = run(c, fast, variant, mode, nulls, nan, 1);
  *optional = want.optional, *operands = want.operands;
  compare(c, &want, &one, c->loose * tolerance, "fast against reference");
  for (int threads = 2; mode != WITH_NAN && threads <= 7; threads += 5) {
    Run many = run(c, fast, variant, mode, nulls, nan, threads);
    compare(c, &one, &many, 0, threads == 2 ? "2 threads against 1" : "7 threads against 1");
    release(&many);
  }
  release(&want);
  release(&one);
}

static const Case *find_case(const char *op)
{
  for (int i = 0; i < CASES; i++)
    if (strcmp(cases[i].op, op) == 0) return &cases[i];
  fail_msg("op %s has no case in tests/fast_cases.h", op);
  return NULL;
}

static void check_op(void **state)
{
  const Case *c = find_case(*state);
  Ops fast = fast_table();
  for (int v = 0; v < c->variants; v++) {
    static const unsigned masks[] = {0x5555, 0xaaaa, 0xffff};
    int optional, operands;
    check_run(c, &fast, v, PLAIN, 0, 0, &optional, &operands);
    for (int m = 0; optional && m < 3; m++) check_run(c, &fast, v, PLAIN, masks[m], 0, &optional, &operands);
    check_run(c, &fast, v, EXTREME, 0, 0, &optional, &operands);
    for (int i = 0; i < operands; i++) check_run(c, &fast, v, WITH_NAN, 0, i, &optional, &operands);
  }
}

/* ---- shadow mode: what its table says of each op (ref/fast/shadow_ops.c) ---- */

enum { NO_KERNEL = -2, AS_IT_IS = -1 }; /* or the output that is spoilt */

static struct Watched {
  int what, outputs;
  Output out[16];
} watched;

static void watch(const ShadowCall *c, bool before)
{
  if (before && watched.what == NO_KERNEL) {
    rwkv_release(c->copies);
    rwkv_fail("enough");
  }
  if (before) return;
  assert_true(c->outputs <= 16);
  memcpy(watched.out, c->out, sizeof(Output) * (size_t)(watched.outputs = c->outputs));
  if (watched.what < 0) return;
  const Output *o = &c->out[watched.what]; /* its last number becomes wrong */
  if (o->type == IS_INT) ((int *)o->data)[o->count - 1] += 1;
  else if (o->type == IS_ACC) ((acc *)o->data)[o->count - 1] = (acc)NAN;
  else ((real *)o->data)[o->count - 1] = (real)NAN;
}

typedef struct {
  const Case *c;
  Run r;
} CaseRun;

static void run_case(void *arg)
{
  CaseRun *q = arg;
  q->c->run(&q->r);
}

/* Runs the case in shadow mode; the message it ends with, or NULL. */
static const char *run_shadow(CaseRun *q, const Case *c, int variant, int what)
{
  *q = (CaseRun){c, {.o = &shadow_ops, .variant = variant, .rng = rng_new(7, (uint64_t)variant)}};
  watched.what = what, watched.outputs = 0;
  shadow_watch = watch;
  const char *failure = rwkv_protect(run_case, q);
  shadow_watch = NULL;
  return failure;
}

/* How many bytes of a buffer are listed as an output. */
static size_t listed(const struct Buffer *b)
{
  for (int k = 0; k < watched.outputs; k++)
    if (watched.out[k].data == b->data) return b->size / b->count * watched.out[k].count;
  return 0;
}

/* Everything that the kernel changes is listed, and an error at the end of each output is found. */
static void check_shadow(void **state)
{
  const Case *c = find_case(*state);
  CaseRun before, after;
  shadow_enable(); /* for the kernels; the op is called through shadow_ops */
  fast_enable(0);
  for (int v = 0; v < c->variants; v++) {
    run_shadow(&before, c, v, NO_KERNEL);
    const char *failure = run_shadow(&after, c, v, AS_IT_IS);
    if (failure) fail_msg("variant %d: %s", v, failure);
    struct Watched all = watched;
    if (!all.outputs) fail_msg("%s variant %d did not come to shadow mode", c->op, v);
    for (int i = 0; i < before.r.buffers; i++) {
      const struct Buffer *b = &after.r.buffer[i], *old = &before.r.buffer[i];
      size_t n = strcmp(all.out[0].name, "result") ? listed(b) : b->size; /* of an op that returns it */
      if (b->type != 'w' && memcmp(b->data + n, old->data + n, b->size - n))
        fail_msg("%s variant %d: buffer %d is not a whole output in ref/fast/shadow_ops.c", c->op, v, i);
    }
    release(&before.r);
    release(&after.r);
    for (int k = 0; k < all.outputs; k++) {
      char wanted[100];
      const Output *o = &all.out[k];
      if (!o->data || !o->count) continue;
      snprintf(wanted, sizeof wanted, "shadow: %s: the kernels disagree in %s[%zu]", c->op, o->name, o->count - 1);
      failure = run_shadow(&after, c, v, k);
      if (!failure || strncmp(failure, wanted, strlen(wanted)))
        fail_msg("variant %d: '%s', expected '%s'", v, failure ? failure : "no error", wanted);
      release(&after.r);
    }
  }
}

/* ---- the checkers themselves ---- */

static void planted_errors(void **state)
{
  (void)state;
  Run r = {.o = &reference_ops, .rng = rng_new(1, 1)}, s = r;
  size_t n = 1000;
  real *x = in(&r, n, 1, 1), *y = in(&s, n, 1, 1);
  assert_true(difference(&r.buffer[0], &s.buffer[0]) == 0);
  y[n - 1] += (real)(20 * tolerance);
  assert_true(difference(&r.buffer[0], &s.buffer[0]) > tolerance);
  y[n - 1] = (real)NAN;
  assert_true(difference(&r.buffer[0], &s.buffer[0]) == infinite);
  assert_true(difference(&s.buffer[0], &r.buffer[0]) == infinite);
  x[n - 1] = (real)NAN;
  assert_true(difference(&r.buffer[0], &s.buffer[0]) == 0);
  assert_true(guards_whole(&r.buffer[0]));
  y[n] = 0;
  assert_false(guards_whole(&s.buffer[0]));
  s.buffer[0].data[s.buffer[0].size] = guard_byte;
  r.buffer[0].data[-1] = 0;
  assert_false(guards_whole(&r.buffer[0]));
  release(&r);
  release(&s);
}

/* ---- times ---- */

static int bench(int threads)
{
  Ops fast = fast_table();
  printf("%s, %d threads\n%-26s%-24s%12s%12s%8s\n", REAL_NAME, threads, "op", "shape", "ref us", "fast us", "ratio");
  for (int i = 0; i < CASES; i++) {
    double us[2];
    for (int f = 0; f < 2; f++) {
      Run r = {.o = f ? &fast : &reference_ops, .bench = true, .rng = rng_new(7, 0)};
      fast_set_threads(threads);
      cases[i].run(&r);
      us[f] = r.seconds * 1e6;
      release(&r);
    }
    printf("%-26s%-24s%12.1f%12.1f%8.1f\n", cases[i].op, cases[i].shape, us[0], us[1], us[0] / us[1]);
  }
  return 0;
}

int main(int argc, char **argv)
{
  if (argc > 1 && strcmp(argv[1], "--bench") == 0) return bench(argc > 2 ? atoi(argv[2]) : fast_threads());
  if (argc > 1) cmocka_set_test_filter(argv[1]); /* test_fast 'fast wkv7*' */
#define TEST_OP(op) {.name = "fast " #op, .test_func = check_op, .initial_state = (void *)#op},
#define TEST_SHADOW(op) {.name = "shadow " #op, .test_func = check_shadow, .initial_state = (void *)#op},
  const struct CMUnitTest tests[] = {
      OPS(TEST_OP)
      OPS(TEST_SHADOW)
      cmocka_unit_test(planted_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
