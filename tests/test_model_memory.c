/* A model without memory: whatever fails for want of it keeps nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "files.h"
#include "model_checks.h"

#include <string.h>

static const int three[] = {1, 2, 3};

static int no_limit(void **state)
{
  (void)state;
  memory_limit(0, NULL);
  return 0;
}

static Model *model;
static State *model_state;
static TensorFile *file;

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
  file_close(file_open(files_path("model")));
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
  FileWriter *w = writer_create(files_path("other"));
  const char *error = rwkv_protect(write, w);
  if (!error) writer_finish(w);
  else {
    writer_abandon(w);
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
    if (memory_used() != before) fail_msg("%s with %zu bytes left: %zu were kept", what, room, memory_used() - before);
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
    write_model(model, files_path("model"));
    file = file_open(files_path("model"));
    keeps_nothing("a tensor", new_tensor);
    keeps_nothing("a model", new_model);
    keeps_nothing("a state", new_state);
    keeps_nothing("a copied state", copied_state);
    keeps_nothing("an optimizer", new_optimizer);
    keeps_nothing("an open file", opened_file);
    keeps_nothing("a loaded model", loaded_model);
    keeps_nothing("a saved model", saved_model);
    file_close(file);
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
  model_logits(tp, model, TOKENS(three, 1, 3), s);
  memory_limit(1, "a test");
  state_free(s);
  tape_free(tp);
  model_free(model);
  assert_int_equal(memory_used(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(what_fails_keeps_nothing, no_limit),
      cmocka_unit_test_teardown(freeing_needs_no_memory, no_limit),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
