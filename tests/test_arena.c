/* The arena: pieces, marks, and what a steady loop asks for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include <math.h>
#include <string.h>
#ifdef AVIARY_POISON
#include <sanitizer/asan_interface.h>
#endif

static void arena_pieces_are_aligned_and_apart(void **state)
{
  (void)state;
  static const size_t sizes[] = {1, 64, 63, 65, 0, 4096, 7, (size_t)9 << 20, 3};
  enum { N = sizeof sizes / sizeof *sizes };
  Arena a = {0};
  unsigned char *p[N];
  for (int i = 0; i < N; i++) {
    p[i] = arena_alloc(&a, sizes[i]);
    assert_int_equal((uintptr_t)p[i] % 64, 0);
    memset(p[i], i + 1, sizes[i]);
  }
  for (int i = 0; i < N; i++)
    for (size_t j = 0; j < sizes[i]; j++)
      if (p[i][j] != i + 1) fail_msg("piece %d was overwritten at %zu", i, j);
  arena_free(&a);
  assert_int_equal(arena_bytes(&a), 0);
}

static void rewinding_gives_the_same_memory_again(void **state)
{
  (void)state;
  Arena a = {0};
  ArenaMark empty = arena_mark(&a);
  int *kept = arena_alloc(&a, sizeof *kept);
  *kept = 42;
  ArenaMark mark = arena_mark(&a);
  void *first = arena_alloc(&a, 1000);
  arena_alloc(&a, (size_t)20 << 20); /* into further blocks */
  arena_alloc(&a, (size_t)20 << 20);
  size_t held = arena_bytes(&a);
  arena_rewind(&a, mark);
  assert_int_equal(*kept, 42);
  assert_ptr_equal(arena_alloc(&a, 1000), first);
  assert_int_equal(arena_bytes(&a), held);
  arena_rewind(&a, empty);
  assert_ptr_equal(arena_alloc(&a, 4), kept);
  arena_reset(&a);
  arena_reset(&a);
  assert_ptr_equal(arena_alloc(&a, 4), kept);
  arena_free(&a);
}

#ifdef AVIARY_POISON
/* Forgotten memory is poisoned in test builds: nobody may look at it, and who gets it next finds NaN. */
static void rewound_memory_is_poisoned(void **state)
{
  (void)state;
  Arena a = {0};
  ArenaMark empty = arena_mark(&a);
  real *x = arena_alloc(&a, 10 * sizeof *x);
  for (int i = 0; i < 10; i++) x[i] = 1;
  assert_true(__asan_address_is_poisoned(x + 10));
  arena_rewind(&a, empty);
  assert_true(__asan_address_is_poisoned(x));
  assert_ptr_equal(arena_alloc(&a, 10 * sizeof *x), x);
  for (int i = 0; i < 10; i++) assert_true(isnan(x[i]));
  arena_free(&a);
}
#endif

static void a_step(Arena *a, const size_t *sizes, int n)
{
  for (int i = 0; i < n; i++) memset(arena_alloc(a, sizes[i]), 1, sizes[i] < 64 ? sizes[i] : 64);
}

static void a_second_identical_step_asks_for_nothing(void **state)
{
  (void)state;
  static const size_t MB = (size_t)1 << 20;
  const size_t plain[] = {5 * MB, 5 * MB, 100, 7 * MB, 3 * MB}, large[] = {100, 30 * MB, 5 * MB, 9 * MB, 100, 8 * MB},
               mixed[] = {7 * MB, 7 * MB, 17 * MB, MB};
  const size_t *steps[] = {plain, large, mixed};
  const int counts[] = {5, 6, 4};
  for (int s = 0; s < 3; s++) {
    Arena a = {0};
    a_step(&a, steps[s], counts[s]);
    size_t held = arena_bytes(&a);
    for (int again = 0; again < 3; again++) {
      arena_reset(&a);
      a_step(&a, steps[s], counts[s]);
      assert_int_equal(arena_bytes(&a), held);
    }
    arena_free(&a);
  }
}

static void ask_arena_for_too_much(void *arg) { arena_alloc(arg, SIZE_MAX / 2); }
static void ask_arena_for_more_than_there_is(void *arg) { arena_alloc(arg, (size_t)1 << 52); }

static void an_impossible_piece_fails(void **state)
{
  (void)state;
  Arena a = {0};
  int *kept = arena_alloc(&a, sizeof *kept);
  *kept = 42;
  expect_failure(ask_arena_for_too_much, &a, "out of memory: one tensor needs 8E");
  expect_failure(ask_arena_for_more_than_there_is, &a, "out of memory: a training step needs 4P");
  assert_int_equal(*kept, 42); /* and the arena goes on */
  assert_non_null(arena_alloc(&a, 100));
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arena_pieces_are_aligned_and_apart),
      cmocka_unit_test(rewinding_gives_the_same_memory_again),
#ifdef AVIARY_POISON
      cmocka_unit_test(rewound_memory_is_poisoned),
#endif
      cmocka_unit_test(a_second_identical_step_asks_for_nothing),
      cmocka_unit_test(an_impossible_piece_fails),
  };
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
