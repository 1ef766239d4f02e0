/* The fast kernels in real training: every version on associative recall.
   - 200 steps end with the loss of the reference, and with the same bits on 1, 2 and 7 threads.
   - In shadow mode some steps find nothing, and give the numbers of the reference; a wrong kernel is found. */
#include "fast/fast.h"
#include "fast/shadow.h"
#include "training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In float64 the question is only whether threads change anything; the sanitizers make all ten times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(AVIARY_DOUBLE)
enum { LONG = 20 };
#else
enum { LONG = MOST_STEPS };
#endif

static void long_run(void **state)
{
  Training r = {.version = *state, .backend = &backend_reference, .threads = 1, .steps = LONG, .C = 32, .N = 16};
  Training want = trained(r);
  r.backend = &backend_fast;
  Training one = trained(r);
  assert_true((int)LONG < (int)MOST_STEPS || want.held_out < 0.75 * want.loss[0]);
  assert_like_reference(&one, &want);
  for (int threads = 2; threads <= 7; threads += 5) {
    r.threads = threads;
    Training many = trained(r);
    assert_same_training(&one, &many, threads == 2 ? "2 threads against 1" : "7 threads against 1");
    free(many.params);
  }
  free(want.params);
  free(one.params);
}

static void shadow_run(void **state)
{
  static const int sizes[][3] = {{32, 16, 5}, {64, 64, 3}}; /* C, N, steps */
  for (int i = 0; i < 2; i++) {
    Training r = {.version = *state,
                  .backend = &backend_shadow,
                  .threads = 2,
                  .steps = sizes[i][2],
                  .C = sizes[i][0],
                  .N = sizes[i][1]};
    Training shadow = trained(r);
    r.backend = &backend_reference;
    Training want = trained(r);
    assert_same_training(&shadow, &want, "shadow mode against the reference");
    free(shadow.params);
    free(want.params);
  }
}

/* ---- planted errors ---- */

/* The last number of an output becomes wrong, as a wrong kernel would leave it. */
typedef struct {
  OpId id;
  const char *operand;
} Plant;
static const Plant *planted;

static void slip(OpId id, const void *op, bool before)
{
  if (before || id != planted->id) return;
  Operand operand[MOST_OPERANDS];
  for (int i = 0, n = op_rows[id].operands(op, operand); i < n; i++) {
    const Operand *o = &operand[i];
    if (strcmp(o->name, planted->operand)) continue;
    if (o->type == OF_REAL) ((real *)o->data)[o->count - 1] += (real)0.01;
    else ((acc *)o->data)[o->count - 1] *= 1.001;
  }
}

static void wrong_kernels(void **state)
{
  (void)state;
  static const struct {
    Plant plant;
    const char *message;
  } plants[] = {{{OP_linear, "y"}, "shadow: linear: the kernels disagree in y["},
                {{OP_wkv7_backward, "gw"}, "shadow: wkv7_backward: the kernels disagree in gw[4031] of 4032"},
                {{OP_sum_squares, "sum"}, "shadow: sum_squares: the kernels disagree in sum[0] of 1"}};
  for (int i = 0; i < 3; i++) {
    Training r = {.version = "v7", .backend = &backend_shadow, .threads = 2, .steps = 1, .C = 32, .N = 16};
    planted = &plants[i].plant;
    shadow_watch = slip;
    const char *failure = training_run(&r);
    shadow_watch = NULL;
    if (!failure || !strstr(failure, plants[i].message))
      fail_msg("'%s', expected '%s'", failure ? failure : "no error", plants[i].message);
  }
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  struct CMUnitTest tests[64] = {cmocka_unit_test(wrong_kernels)};
  static char names[64][32];
  int n = 1;
  for (const Version *const *v = version_list(); *v; v++) {
    snprintf(names[n], sizeof *names, "shadow %s", (*v)->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = shadow_run, .initial_state = (void *)(*v)->name}, n++;
    snprintf(names[n], sizeof *names, "%d steps %s", LONG, (*v)->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = long_run, .initial_state = (void *)(*v)->name}, n++;
  }
  return _cmocka_run_group_tests("fast training", tests, (size_t)n, NULL, NULL);
}
