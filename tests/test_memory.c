/* Counted memory: what is taken, and the limit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/arena.h"
#include "engine/err.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

static int no_limit(void **state)
{
  (void)state;
  memory_limit(0, NULL);
  return 0;
}

static void take_a_planet(void *arg)
{
  (void)arg;
  rwkv_release(rwkv_alloc(1000, 1000, "a planet"));
}

static void alloc_counts(void **state)
{
  (void)state;
  size_t before = memory_used();
  void *p = rwkv_alloc(1000, 3, "text"), *q = rwkv_alloc(0, 0, "nothing");
  assert_in_range(memory_used() - before, 3000, 4000);
  rwkv_release(p);
  rwkv_release(q);
  rwkv_release(NULL);
  assert_int_equal(memory_used(), before);
}

/* As the keys of attention do with every token. */
static void what_grows_a_little_finds_zeros_where_it_was(void **state)
{
  (void)state;
  size_t before = memory_used();
  for (size_t bytes = 900 << 10; bytes < 20 << 20; bytes += bytes / 50 + 1) {
    unsigned char *p = memory_host.alloc(bytes);
    assert_non_null(p);
    assert_in_range(memory_used() - before, bytes, bytes + 4096); /* of less than 1 MB malloc takes whole pages */
    for (size_t i = 0; i < bytes; i++)
      if (p[i]) fail_msg("%zu bytes: the one at %zu is not 0", bytes, i);
    memset(p, 255, bytes);
    memory_host.free(p, bytes);
    assert_int_equal(memory_used(), before);
  }
}

static void ask_for_too_much(void *arg)
{
  (void)arg;
  rwkv_alloc(~0UL / 2, 16, "a planet");
}

static void alloc_gives_zeros_or_fails(void **state)
{
  (void)state;
  char *p = rwkv_alloc(100, 3, "text");
  for (int i = 0; i < 300; i++) assert_int_equal(p[i], 0);
  free(p);
  p = rwkv_alloc(0, 4, "nothing");
  assert_non_null(p);
  free(p);
  expect_failure(ask_for_too_much, NULL, "out of memory: a planet");
}

static void the_limit_is_named(void **state)
{
  (void)state;
  size_t before = memory_used();
  memory_limit(before + 500000, "--max-memory");
  assert_int_equal(memory_left(), 500000);
  assert_null(rwkv_try_alloc(1000, 1000));
  expect_failure(take_a_planet, NULL, "out of memory: a planet needs 977K");
  expect_failure(take_a_planet, NULL, "(--max-memory)");
  assert_true(memory_take(500000));
  assert_false(memory_take(1));
  assert_int_equal(memory_left(), 0);
  memory_give(500000);
  memory_limit(1, "--max-memory"); /* less than is taken */
  assert_int_equal(memory_left(), before ? 0 : 1);
  assert_false(memory_take(2));
  memory_limit(0, NULL);
  assert_true(memory_take(1));
  memory_give(1);
  assert_int_equal(memory_used(), before);
}

static void sizes_as_text(void **state)
{
  (void)state;
  assert_string_equal(memory_text(0), "0 bytes");
  assert_string_equal(memory_text(999), "999 bytes");
  assert_string_equal(memory_text(1000), "0.977K");
  assert_string_equal(memory_text((size_t)512 << 20), "512M");
  assert_string_equal(memory_text((size_t)3 << 29), "1.5G");
  assert_string_equal(memory_text(SIZE_MAX), "16E");
}

static void arena_gives_back_when_memory_is_short(void **state)
{
  (void)state;
  Arena a = {0};
  size_t before = memory_used();
  for (int i = 0; i < 20; i++) arena_alloc(&a, 1 << 20);
  size_t held = arena_bytes(&a);
  assert_in_range(memory_used() - before, held, held + 10000);
  arena_reset(&a);
  assert_int_equal(arena_bytes(&a), held);
  memory_limit(memory_used() + 1000, "a test");
  arena_reset(&a);
  assert_int_equal(arena_bytes(&a), 0);
  assert_int_equal(memory_used(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(alloc_counts),
      cmocka_unit_test(what_grows_a_little_finds_zeros_where_it_was),
      cmocka_unit_test(alloc_gives_zeros_or_fails),
      cmocka_unit_test_teardown(the_limit_is_named, no_limit),
      cmocka_unit_test(sizes_as_text),
      cmocka_unit_test_teardown(arena_gives_back_when_memory_is_short, no_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
