/* A signal that comes while the fast backend computes finds the stack of the thread where it belongs. Kernels of oneDNN
   use its pointer for other things. */
#include "check.h"
#include "fast/f_multiply.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 64, K = 256, SIGNALS = 2000 };

static uintptr_t lowest;
static atomic_int here, elsewhere;
static atomic_bool started; /* the kernels of the first products have been made, which takes long */
static pthread_t computing;

static void note_place(int number)
{
  (void)number;
  int local = 0;
  uintptr_t distance = (uintptr_t)(void *)&local - lowest;
  atomic_fetch_add(distance < (uintptr_t)1 << 23 ? &here : &elsewhere, 1);
}

static void *send(void *nothing)
{
  while (!atomic_load(&started)) {
  }
  for (int sent = 0; sent < SIGNALS; sent++) {
    for (volatile int pause = 0; pause < sent * 7; pause++) {
    } /* another place in the kernel */
    int seen = atomic_load(&here) + atomic_load(&elsewhere);
    if (pthread_kill(computing, SIGUSR1)) break;
    while (atomic_load(&here) + atomic_load(&elsewhere) == seen) {
    }
  }
  return nothing;
}

/* On a stack of its own, whose ends are known. */
static void *compute(void *nothing)
{
  real *a = calloc(3 * N * K, sizeof *a), *b = a + N * K, *c = b + N * K;
  while (atomic_load(&here) + atomic_load(&elsewhere) < SIGNALS) {
    for (int way = 0; way < 3; way++) { /* the last one reads half of each row of A: no kernel of its own has that */
      bool turned = way == 1;
      size_t k = way == 2 ? K / 2 : K;
      fast_multiply(&(Gemm){.c = c,
                            .a = a,
                            .b = b,
                            .m = N,
                            .n = N,
                            .k = k,
                            .c_step = N,
                            .a_step = K,
                            .b_step = turned ? k : N,
                            .b_turned = turned,
                            .add = turned});
    }
    atomic_store(&started, true);
  }
  free(a);
  return nothing;
}

static void signals_find_the_stack(void **state)
{
  (void)state;
  size_t size = (size_t)1 << 23;
  void *stack = NULL;
  pthread_attr_t attributes;
  pthread_t sending;
  assert_int_equal(posix_memalign(&stack, 4096, size), 0);
  lowest = (uintptr_t)stack;
  struct sigaction note = {.sa_handler = note_place};
  sigaction(SIGUSR1, &note, NULL);
  pthread_attr_init(&attributes);
  assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
  assert_int_equal(pthread_create(&computing, &attributes, compute, NULL), 0);
  assert_int_equal(pthread_create(&sending, NULL, send, NULL), 0);
  pthread_join(computing, NULL);
  pthread_join(sending, NULL);
  assert_int_equal(atomic_load(&elsewhere), 0);
  pthread_attr_destroy(&attributes);
  free(stack);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(signals_find_the_stack)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
