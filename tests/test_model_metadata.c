/* What metadata say of a model: sizes that no parameter shows, names of hooks, and nonsense. Hooks of our own in files:
   test_hook.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"
#include "model/metadata.h"
#include "model_checks.h"
#include "model_files.h"

#include <limits.h>
#include <string.h>

static void numbers(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    long most, value; /* -1: it is none */
  } cases[] = {{"0", 9, 0},   {"007", 9, 7}, {"10", 10, 10},  {"11", 10, -1},  {"2147483647", INT_MAX, INT_MAX},
               {"", 9, -1},   {"-1", 9, -1}, {"+1", 9, -1},   {" 1", 9, -1},   {"2147483648", INT_MAX, -1},
               {"1x", 9, -1}, {"1.", 9, -1}, {"0x1", 99, -1}, {"1e1", 99, -1}, {"99999999999999999999", LONG_MAX, -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    long value = -5;
    bool fine = metadata_number(cases[i].text, strlen(cases[i].text), cases[i].most, &value);
    if (fine != (cases[i].value >= 0)) fail_msg("\"%s\" %s", cases[i].text, fine ? "is a number" : "is none");
    if (fine) assert_int_equal(value, cases[i].value);
  }
}

static void names_of_hooks(void **state)
{
  (void)state;
  const char *hooks = "ffn_shift=one decay=floor gate=none";
  assert_string_equal(hook_name_in(hooks, HOOK_FFN_SHIFT), "one");
  assert_string_equal(hook_name_in(hooks, HOOK_DECAY), "floor");
  assert_string_equal(hook_name_in(hooks, HOOK_GATE), "none");
  assert_null(hook_name_in(hooks, HOOK_SHIFT));
  assert_null(hook_name_in("decays=floor", HOOK_DECAY));
  assert_null(hook_name_in("", HOOK_DECAY));
}

/* Value residuals stand in later blocks: of a single one only metadata tell their rank. */
static void a_rank_that_no_parameter_shows(void **state)
{
  (void)state;
  const Version *v7 = version_find("v7");
  Dims d = {.V = 9, .C = 8, .L = 1, .N = 4, .Dv = 3};
  Model *m = random_model(v7, &d, 1);
  write_model(m, files_path("told.safetensors"));
  Model *told = load_model(files_path("told.safetensors"), NULL);
  Model *untold = load_model(write_edited(m, &(ModelEdit){.meta = false}), NULL);
  assert_int_equal(told->d.Dv, 3);
  assert_int_equal(untold->d.Dv, 32);
  must_be_same_models(m, told);
  model_free(m), model_free(told), model_free(untold);
}

static const char *with_metadata(const Model *m, const char *key, const char *text)
{
  const char *path = files_path("model.safetensors");
  FileWriter *w = writer_create(path);
  model_write(m, w);
  writer_put_meta(w, key, text);
  writer_finish(w);
  return path;
}

static void sizes_that_are_none(void **state)
{
  (void)state;
  static const char *const bad[] = {"layers", "layers=", "layers=x",          "layers=-1",
                                    "=2",     "depth=2", "layers=99999999999"};
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
      load_fails(with_metadata(m, "aviary.sizes", bad[i]), "among its sizes", bad[i], "layers=2");
    load_fails(with_metadata(m, "aviary.sizes", "vocab=11 dim"), "among its sizes", "\"dim\"", "");
    load_fails(with_metadata(m, "aviary.sizes", "tied=1"), "metadata", "tensors", "different models");
    model_free(m);
  }
}

static void hooks_that_are_none(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 1);
  load_fails(with_metadata(m, "aviary.hooks", "decay=nothing"), "decay hook \"nothing\"", "not built-in", "");
  const char *path = files_path("version.safetensors");
  FileWriter *w = writer_create(path);
  model_write(m, w);
  writer_put_meta(w, "aviary.hooks", "decay=nothing");
  writer_put_meta(w, "version", "v99");
  writer_finish(w);
  load_fails(path, "v99", "v7", "");
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(numbers),
      TEST(names_of_hooks),
      TEST(a_rank_that_no_parameter_shows),
      TEST(sizes_that_are_none),
      TEST(hooks_that_are_none),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
