/* The device in real training, every version on associative recall; as the processor runs it, or on a real one
   (device.h).
   - Steps end with the loss of the reference, and the same steps with the same bits: on the processor with the threads
     in another order.
   - In shadow mode the reference runs beside every op and finds nothing; a wrong kernel is found. */
#include "cuda/on_host_backend.h"
#include "device.h"
#include "fast/shadow.h"
#include "training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Device device;

/* The processor takes fewer steps, and in float64 or with sanitizers only a few. */
static int steps(void)
{
#if defined(__SANITIZE_ADDRESS__)
  return 2;
#elif defined(AVIARY_DOUBLE)
  return device.is_real ? MOST_STEPS : 4;
#else
  return device.is_real ? MOST_STEPS : 20;
#endif
}

static void long_run(void **state)
{
  Training r = {.version = *state, .backend = &backend_reference, .threads = 1, .steps = steps(), .C = 32, .N = 16};
  Training want = trained(r);
  r.backend = device.backend;
  Training one = trained(r);
  assert_like_reference(&one, &want);
  on_host_order(ORDER_SHUFFLED);
  Training again = trained(r);
  on_host_order(ORDER_FORWARD);
  assert_same_training(&again, &one, "once more");
  free(want.params), free(one.params), free(again.params);
}

static void shadow_run(void **state)
{
  static const int sizes[][3] = {{32, 16, 3}, {64, 64, 1}}; /* C, N, steps */
  for (int i = 0; i < 2; i++) {
    Training r = {.version = *state,
                  .backend = shadow_of(device.backend),
                  .threads = 1,
                  .steps = device.is_real ? 5 : sizes[i][2],
                  .C = sizes[i][0],
                  .N = sizes[i][1]};
    Training shadow = trained(r);
    r.backend = &backend_reference;
    Training want = trained(r);
    assert_same_training(&shadow, &want, "shadow mode against the reference");
    free(shadow.params), free(want.params);
  }
}

/* The last number of y becomes wrong, as a wrong kernel would leave it. */
static void slip(OpId id, const void *op, bool before)
{
  const Linear *linear = op;
  size_t last = linear->rows * linear->out - 1;
  real y;
  if (before || id != OP_linear) return;
  device.backend->memory->read(&y, linear->y + last, sizeof y);
  y += (real)0.01;
  device.backend->memory->write(linear->y + last, &y, sizeof y);
}

static void wrong_kernel(void **state)
{
  (void)state;
  Training r = {.version = "v7", .backend = shadow_of(device.backend), .threads = 1, .steps = 1, .C = 32, .N = 16};
  shadow_watch = slip;
  const char *failure = training_run(&r);
  shadow_watch = NULL;
  if (!failure || !strstr(failure, "shadow: linear: the kernels disagree in y["))
    fail_msg("'%s', expected what shadow mode says of linear", failure ? failure : "no error");
}

int main(int argc, char **argv)
{
  device = device_of(argc, argv, &rwkv_backend_module);
  struct CMUnitTest tests[64] = {cmocka_unit_test(wrong_kernel)};
  static char names[64][32];
  int n = 1;
  FOR_VERSIONS(v) {
    snprintf(names[n], sizeof *names, "shadow %s", v->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = shadow_run, .initial_state = (void *)v->name}, n++;
    snprintf(names[n], sizeof *names, "%d steps %s", steps(), v->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = long_run, .initial_state = (void *)v->name}, n++;
  }
  return _cmocka_run_group_tests("training on the device", tests, (size_t)n, NULL, NULL);
}
