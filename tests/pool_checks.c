#include "pool_checks.h"

#include "fast/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 5000 };

static atomic_int done[MOST]; /* calls of each i */
static int thread_of[MOST];   /* who made it */
static atomic_int threads;    /* that have worked since count_threads */
static atomic_uint counting;  /* rises with count_threads */
static _Thread_local int me;  /* of 1 .. threads */
static _Thread_local unsigned counted;

static void count_threads(void)
{
  atomic_store(&threads, 0);
  atomic_fetch_add(&counting, 1);
}

static void note(const void *arg, size_t i)
{
  (void)arg;
  if (counted != atomic_load(&counting)) counted = atomic_load(&counting), me = atomic_fetch_add(&threads, 1) + 1;
  thread_of[i] = me;
  atomic_fetch_add(&done[i], 1);
}

static void clear(void)
{
  for (size_t i = 0; i < MOST; i++) atomic_store(&done[i], 0);
}

/* Those of 0..count times each, nobody else. */
static void assert_done(size_t count, int times)
{
  for (size_t i = 0; i < MOST; i++) assert_int_equal(atomic_load(&done[i]), i < count ? times : 0);
}

static void every_index_is_worked_on_once(void **state)
{
  (void)state;
  static const size_t counts[] = {0, 1, 2, 3, 7, 8, 255, 256, 257, MOST};
  static const int teams[] = {1, 2, 3, 7, 64, POOL_MOST, 2, 1};
  for (size_t t = 0; t < sizeof teams / sizeof *teams; t++)
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      clear();
      count_threads();
      pool_run(teams[t], counts[c], note, NULL);
      assert_done(counts[c], 1);
      assert_true(atomic_load(&threads) <= teams[t]);
    }
}

/* What a loop has written is there for the next one, whoever works on it. */
typedef struct {
  const int *from;
  int *to;
} Neighbours;

static void add_neighbours(const void *arg, size_t i)
{
  const Neighbours *q = arg;
  q->to[i] = (q->from[i] + q->from[(i + 1) % MOST]) % 1000003;
}

static void a_loop_sees_what_the_one_before_wrote(void **state)
{
  (void)state;
  static int many[2][MOST], one[2][MOST];
  for (int i = 0; i < MOST; i++) many[0][i] = one[0][i] = i;
  for (int round = 0; round < 2000; round++) {
    int from = round % 2, to = !from;
    pool_run(2 + round % 6, MOST, add_neighbours, &(Neighbours){many[from], many[to]});
    pool_run(1, MOST, add_neighbours, &(Neighbours){one[from], one[to]});
    assert_memory_equal(many[to], one[to], sizeof one[to]);
  }
}

/* ---- a loop inside a loop ---- */

static atomic_int strangers; /* calls on another thread than that of the outer loop */

static void inner(const void *arg, size_t i)
{
  note(NULL, i);
  if (me != *(const int *)arg) atomic_fetch_add(&strangers, 1);
}

static void outer(const void *arg, size_t i)
{
  note(NULL, MOST - 1 - i);
  int outside = me;
  pool_run(*(const int *)arg, 100, inner, &outside);
}

static void a_loop_inside_a_loop_stays_on_its_thread(void **state)
{
  (void)state;
  for (int team = 2; team <= 7; team += 5) {
    clear();
    count_threads();
    pool_run(team, 64, outer, &team);
    for (size_t i = 0; i < 100; i++) assert_int_equal(atomic_load(&done[i]), 64);
    assert_int_equal(atomic_load(&strangers), 0);
    assert_true(atomic_load(&threads) <= team);
  }
}

/* ---- other processes ---- */

/* The child of a fork has none of the threads, and works alone. */
static void a_forked_process_works_alone(void **state)
{
  (void)state;
  clear();
  pool_run(2, MOST, note, NULL);
  assert_done(MOST, 1);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(20); /* a loop that waits for a thread that is not there */
    clear();
    count_threads();
    pool_run(2, MOST, note, NULL);
    bool all = true;
    for (size_t i = 0; i < MOST; i++) all &= atomic_load(&done[i]) == 1;
    _exit(all && atomic_load(&threads) == 1 ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  clear();
  pool_run(2, MOST, note, NULL); /* and here they are still there */
  assert_done(MOST, 1);
}

static const char *expected_threading;

static void the_threads_are_those_that_were_asked_for(void **state)
{
  (void)state;
  assert_string_equal(pool_threading(), expected_threading);
}

int check_pool(const char *threading)
{
  expected_threading = threading;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_threads_are_those_that_were_asked_for),
      cmocka_unit_test(every_index_is_worked_on_once),
      cmocka_unit_test(a_loop_sees_what_the_one_before_wrote),
      cmocka_unit_test(a_loop_inside_a_loop_stays_on_its_thread),
      cmocka_unit_test(a_forked_process_works_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
