/* Counted memory: what is taken, the limit, and that what fails for want of memory keeps nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "check.h"
#include "files.h"
#include "models.h"

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

static void ask_for_too_much(void *arg)
{
  (void)arg;
  rwkv_alloc(~0UL / 2, 16, "a planet");
}

static void alloc_gives_zeros_or_fails(void **state)
{
  (void)state;
  char *p = rwkv_alloc(100, 3, "text");
  for (int i = 0; i < 300; i++)
    assert_int_equal(p[i], 0);
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

/* ---- whatever fails keeps nothing ---- */

static Model *model;
static State *model_state;
static StFile *file;

static void new_tensor(void *arg)
{
  (void)arg;
  tensor_free(tensor_new(2, (int[]){10, 100}));
}

static void new_model(void *arg)
{
  (void)arg;
  model_free(model_new(model->version, &model->d, 1));
}

static void new_state(void *arg)
{
  (void)arg;
  state_free(state_new(model, 3));
}

static void copied_state(void *arg)
{
  (void)arg;
  state_free(state_copy(model_state));
}

static void new_optimizer(void *arg)
{
  (void)arg;
  OptConfig c = {.lr = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
  opt_free(model_optimizer(model, &c));
}

static void opened_file(void *arg)
{
  (void)arg;
  st_close(st_open(files_path("model")));
}

static void loaded_model(void *arg)
{
  (void)arg;
  model_free(model_load(file, NULL));
}

static void write(void *arg) { model_write(model, arg); }

static void saved_model(void *arg)
{
  (void)arg;
  StWriter *w = st_create(files_path("other"));
  const char *error = rwkv_protect(write, w);
  if (!error) st_finish(w);
  else {
    st_abandon(w);
    rwkv_fail("%s", error);
  }
}

static void keeps_nothing(const char *what, void (*fn)(void *))
{
  size_t before = memory_used(), room = 0;
  int failures = 0;
  for (;; failures++) {
    memory_limit(before + room, "a test");
    const char *error = rwkv_protect(fn, NULL);
    bool for_memory = error && strstr(error, "memory");
    memory_limit(0, NULL);
    if (memory_used() != before)
      fail_msg("%s with %zu bytes left: %zu were kept", what, room, memory_used() - before);
    if (!error) break;
    if (!for_memory && !strstr(error, "JSON")) fail_msg("%s: %s", what, error);
    room += 1 + room / 40;
  }
  assert_in_range(failures, 10, 10000);
}

static void what_fails_keeps_nothing(void **state)
{
  (void)state;
  for (const Version *const *v = version_list(); *v; v++) {
    model = small_model(*v, 3);
    model_state = state_new(model, 2);
    StWriter *w = st_create(files_path("model"));
    model_write(model, w);
    st_finish(w);
    file = st_open(files_path("model"));
    keeps_nothing("a tensor", new_tensor);
    keeps_nothing("a model", new_model);
    keeps_nothing("a state", new_state);
    keeps_nothing("a copied state", copied_state);
    keeps_nothing("an optimizer", new_optimizer);
    keeps_nothing("an open file", opened_file);
    keeps_nothing("a loaded model", loaded_model);
    keeps_nothing("a saved model", saved_model);
    st_close(file);
    state_free(model_state);
    model_free(model);
  }
}

/* A state with memory of its own can be freed when there is none left to keep its values in. */
static void freeing_needs_no_memory(void **state)
{
  (void)state;
  size_t before = memory_used();
  model = small_model(version_find("v1"), 0);
  Tape *tp = tape_new();
  State *s = state_new(model, 1);
  model_logits(tp, model, (int[]){1, 2, 3}, 1, 3, s);
  memory_limit(1, "a test");
  state_free(s);
  tape_free(tp);
  model_free(model);
  assert_int_equal(memory_used(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(alloc_counts),
      cmocka_unit_test(alloc_gives_zeros_or_fails),
      cmocka_unit_test_teardown(the_limit_is_named, no_limit),
      cmocka_unit_test(sizes_as_text),
      cmocka_unit_test_teardown(arena_gives_back_when_memory_is_short, no_limit),
      cmocka_unit_test_teardown(what_fails_keeps_nothing, no_limit),
      cmocka_unit_test_teardown(freeing_needs_no_memory, no_limit),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
