/* Safetensors headers with very many names: n log n, and whoever waits for one can stop it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "files.h"
#include "file_calls.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MANY = 100000 };

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static const char *write_many(int tensors, int texts)
{
  const char *path = files_path("many.safetensors");
  char name[20];
  const real one = 1;
  FileWriter *w = writer_create(path);
  for (int i = 0; i < texts; i++) {
    snprintf(name, sizeof name, "k%d", i);
    writer_put_meta(w, name, "old");
    writer_put_meta(w, name, name);
  }
  for (int i = 0; i < tensors; i++) {
    snprintf(name, sizeof name, "t%d", i);
    writer_put(w, name, 0, NULL, &one);
  }
  writer_finish(w);
  return path;
}

/* Each would take a minute and more if a name were looked for among all others. */
static void many_names(void **state)
{
  (void)state;
  double start = cpu_seconds();
  TensorFile *f = file_open(write_many(MANY, MANY));
  const char *key, *text;
  int texts = 0;
  while ((text = file_meta_at(f, texts, &key))) {
    assert_string_equal(text, key);
    assert_string_equal(file_meta(f, key), key);
    texts++;
  }
  assert_int_equal(texts, MANY);
  assert_int_equal(file_count(f), MANY);
  for (int i = 0; i < MANY; i++) assert_ptr_equal(file_find(f, file_tensor(f, i)->name), file_tensor(f, i));
  assert_null(file_meta(f, "k"));
  file_close(f);
  assert_true(cpu_seconds() - start < 20);
}

static void put_twice(void *arg) { writer_put(arg, "t77", 0, NULL, &(real){1}); }

/* Among so many names that the table of them has grown several times. */
static void twice_among_many(void **state)
{
  (void)state;
  char name[20];
  FileWriter *w = writer_create(files_path("twice.safetensors"));
  for (int i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "t%d", i);
    writer_put(w, name, 0, NULL, &(real){1});
  }
  const char *message = rwkv_protect(put_twice, w);
  assert_non_null(message);
  assert_non_null(strstr(message, "tensor \"t77\" twice"));
  writer_abandon(w);
}

static void text_twice(void **state)
{
  (void)state;
  const char *path = files_path("twice.safetensors");
  files_write_st(path, "{\"__metadata__\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}}", NULL, 0);
  open_must_fail(path, "metadata \"b\" stands there twice");
}

/* Not enough for the header: that is what it says, and not that the header is wrong. */
static void little_memory(void **state)
{
  (void)state;
  FileCall o = {.path = write_many(1000, 0)};
  memory_limit(memory_used() + 100000, "the test");
  const char *message = rwkv_protect(file_call_open, &o);
  memory_limit(0, NULL);
  assert_non_null(message);
  if (!strstr(message, "out of memory")) fail_msg("%s", message);
  file_close(file_open(o.path));
}

/* ---- stopping ---- */

static long asked, stop_at;

static bool stop_once(void) { return ++asked == stop_at; }

/* Stopped at any moment it fails, frees what it had (the sanitizers see that), and works the next time. */
static void stopped_while_opened(void **state)
{
  (void)state;
  FileCall o = {.path = write_many(300, 300)};
  rwkv_on_stop(stop_once);
  asked = 0, stop_at = -1;
  file_close(file_open(o.path));
  long times = asked;
  assert_true(times > 3000); /* a few times for every name */
  for (stop_at = 1; stop_at <= times; stop_at += stop_at % 50 + 1) {
    asked = 0;
    const char *message = rwkv_protect(file_call_open, &o);
    if (!message) fail_msg("not stopped the %ld. time of %ld", stop_at, times);
    if (strncmp(message, o.path, strlen(o.path)) || !strstr(message, ": interrupted")) fail_msg("%s", message);
  }
  rwkv_on_stop(NULL);
  file_close(file_open(o.path));
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(many_names), TEST(twice_among_many), TEST(text_twice), TEST(little_memory),
                                     TEST(stopped_while_opened)};
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
