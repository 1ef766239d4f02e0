/* Safetensors files that are written: what went in comes out, and no file is ever there by half. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "files.h"
#include "file_calls.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- round trip ---- */

static void write_everything(const char *path, const real *reals, const int *ints)
{
  FileWriter *w = writer_create(path);
  writer_put_doubles(w, "doubles", 2, (int[]){3, 4}, awkward);
  writer_put(w, "reals", 4, (int[]){1, 3, 2, 2}, reals);
  writer_put_ints(w, "ints", 1, (int[]){5}, ints);
  writer_put(w, "scalar", 0, (int[]){0}, reals + 3);
  writer_put_doubles(w, "empty", 2, (int[]){3, 0}, awkward);
  writer_put_ints(w, "none", 1, (int[]){0}, ints);
  writer_put(w, "odd \"name\" \\ with\ttab, \xc3\xa9 and /slash", 1, (int[]){1}, reals + 4);
  writer_put_meta(w, "version", "old");
  writer_put_meta(w, "version", "v7");
  writer_put_meta(w, "text", "two\nlines, \"quoted\", \xc3\xa9");
  writer_put_meta(w, "blank", "");
  writer_finish(w);
}

static void round_trip(void **state)
{
  (void)state;
  const char *path = files_path("all.safetensors");
  const int ints[5] = {0, -1, INT_MAX, INT_MIN, 65536};
  const FileType own = sizeof(real) == 8 ? FILE_F64 : FILE_F32;
  real reals[AWKWARD], found[AWKWARD];
  for (int i = 0; i < AWKWARD; i++) reals[i] = (real)awkward[i];
  write_everything(path, reals, ints);
  assert_int_equal(files_count(), 1);

  TensorFile *f = file_open(path);
  assert_string_equal(file_path(f), path);
  assert_int_equal(file_count(f), 7);
  for (int i = 1; i < file_count(f); i++) assert_true(strcmp(file_tensor(f, i - 1)->name, file_tensor(f, i)->name) < 0);
  check_file_tensor(f, "doubles", FILE_F64, 2, (int[]){3, 4}, 12);
  check_file_tensor(f, "reals", own, 4, (int[]){1, 3, 2, 2}, 12);
  check_file_tensor(f, "ints", FILE_I64, 1, (int[]){5}, 5);
  check_file_tensor(f, "scalar", own, 0, NULL, 1);
  check_file_tensor(f, "empty", FILE_F64, 2, (int[]){3, 0}, 0);
  check_file_tensor(f, "none", FILE_I64, 1, (int[]){0}, 0);
  check_file_tensor(f, "odd \"name\" \\ with\ttab, \xc3\xa9 and /slash", own, 1, (int[]){1}, 1);
  assert_null(file_find(f, "double"));
  assert_null(file_find(f, "__metadata__"));

  double doubles[AWKWARD];
  file_read_doubles(f, file_find(f, "doubles"), doubles);
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan(doubles[i]) : same_bits(doubles[i], awkward[i]));
  file_read(f, file_find(f, "reals"), found);
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan((double)found[i]) : same_bits((double)found[i], (double)reals[i]));
  file_read(f, file_find(f, "doubles"), found); /* F64 into real */
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan((double)found[i]) : same_bits((double)found[i], (double)reals[i]));
  int back[5];
  file_read_ints(f, file_find(f, "ints"), back);
  assert_memory_equal(back, ints, sizeof ints);
  file_read(f, file_find(f, "scalar"), found);
  assert_true(same_bits((double)found[0], (double)reals[3]));
  found[0] = 7;
  file_read(f, file_find(f, "empty"), found);
  assert_true(found[0] == 7); /* nothing to read, nothing written */

  assert_string_equal(file_meta(f, "version"), "v7");
  assert_string_equal(file_meta(f, "text"), "two\nlines, \"quoted\", \xc3\xa9");
  assert_string_equal(file_meta(f, "blank"), "");
  assert_null(file_meta(f, "Version"));
  file_close(f);

  size_t n;
  unsigned char *bytes = files_read(path, &n);
  assert_int_equal(bytes[0] % 8, 0); /* data at a multiple of 8, as other readers like it */
  free(bytes);
}

static void scalar_without_shape(void **state)
{
  (void)state;
  const char *path = files_path("scalar.safetensors");
  FileWriter *w = writer_create(path);
  writer_put_doubles(w, "x", 0, NULL, awkward + 4); /* no axes: nothing that a shape could point to */
  writer_finish(w);
  TensorFile *f = file_open(path);
  check_file_tensor(f, "x", FILE_F64, 0, NULL, 1);
  file_close(f);
}

/* Tensors without elements take no bytes; a file may hold nothing else. */
static void only_empty_tensors(void **state)
{
  (void)state;
  const char *path = files_path("empty.safetensors");
  FileWriter *w = writer_create(path);
  writer_finish(w);
  TensorFile *f = file_open(path);
  assert_int_equal(file_count(f), 0);
  assert_null(file_find(f, "x"));
  file_close(f);

  w = writer_create(path);
  writer_put_doubles(w, "a", 2, (int[]){0, 5}, awkward);
  writer_put_doubles(w, "b", 2, (int[]){5, 0}, awkward);
  writer_finish(w);
  f = file_open(path);
  check_file_tensor(f, "a", FILE_F64, 2, (int[]){0, 5}, 0);
  check_file_tensor(f, "b", FILE_F64, 2, (int[]){5, 0}, 0);
  file_close(f);
}

static void many_tensors(void **state)
{
  (void)state;
  enum { COUNT = 700, SIZE = 9 };
  const char *path = files_path("many.safetensors");
  double *all = calloc((size_t)COUNT * SIZE, sizeof *all), found[SIZE];
  char name[40];
  FileWriter *w = writer_create(path);
  for (int i = 0; i < COUNT; i++) {
    for (int j = 0; j < SIZE; j++) all[i * SIZE + j] = i + j / 100.0;
    snprintf(name, sizeof name, "t%d", i * 7919 % COUNT);
    writer_put_doubles(w, name, 2, (int[]){SIZE, 1}, all + i * SIZE);
  }
  writer_finish(w);
  TensorFile *f = file_open(path);
  assert_int_equal(file_count(f), COUNT);
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "t%d", i * 7919 % COUNT);
    file_read_doubles(f, file_find(f, name), found);
    assert_memory_equal(found, all + i * SIZE, sizeof found);
  }
  file_close(f);
  free(all);
}

static void put_twice(void *arg)
{
  FileCall *c = arg;
  writer_put_doubles(c->writer, "x", 1, (int[]){1}, awkward);
  writer_put_doubles(c->writer, "x", 1, (int[]){1}, awkward);
}

static void same_name_twice(void **state)
{
  (void)state;
  FileCall c = {.path = files_path("twice.safetensors")};
  c.writer = writer_create(c.path);
  expect_failure_with(put_twice, &c, c.path, "\"x\"", NULL);
  writer_abandon(c.writer);
  assert_int_equal(files_count(), 0);
}

/* ---- nothing half-written ---- */

static void put_one(FileWriter *w, const double *x) { writer_put_doubles(w, "x", 1, (int[]){2}, x); }

static void holds(const char *path, const double want[2])
{
  double found[2];
  TensorFile *f = file_open(path);
  file_read_doubles(f, file_find(f, "x"), found);
  file_close(f);
  assert_memory_equal(found, want, sizeof found);
}

static void abandoned(void **state)
{
  (void)state;
  const char *path = files_path("abandoned.safetensors");
  FileWriter *w = writer_create(path);
  put_one(w, awkward);
  writer_put_meta(w, "a", "b");
  writer_abandon(w);
  assert_int_equal(files_count(), 0);
  writer_abandon(NULL);

  w = writer_create(path);
  put_one(w, awkward + 2);
  writer_finish(w);
  w = writer_create(path);
  put_one(w, awkward + 4);
  assert_int_equal(files_count(), 1);
  holds(path, awkward + 2); /* until writer_finish the old file stands */
  writer_abandon(w);
  holds(path, awkward + 2);
  w = writer_create(path);
  put_one(w, awkward + 4);
  writer_finish(w);
  holds(path, awkward + 4);
  assert_int_equal(files_count(), 1);
}

static void finish_must_fail(const char *path)
{
  FileCall c = {.path = path, .writer = writer_create(path)};
  put_one(c.writer, awkward);
  expect_failure_with(file_call_finish, &c, path, NULL);
}

static void places_that_cannot_be(void **state)
{
  (void)state;
  finish_must_fail(files_path("no/such/directory.safetensors"));
  assert_int_equal(files_count(), 0);
  const char *directory = files_path("directory");
  assert_int_equal(mkdir(directory, 0777), 0);
  finish_must_fail(directory); /* written, but it cannot take that name */
  assert_int_equal(files_count(), 1);
  open_must_fail(directory, "");
  open_must_fail(files_path("missing.safetensors"), "No such file");
}

/* A disk that fills up: the old file stays, the new one leaves nothing. */
static void no_room(void **state)
{
  (void)state;
  enum { N = 1 << 16 };
  const char *path = files_path("full.safetensors");
  FileWriter *w = writer_create(path);
  put_one(w, awkward + 2);
  writer_finish(w);

  double *big = calloc(N, sizeof *big);
  FileCall c = {.path = path, .writer = writer_create(path)};
  writer_put_doubles(c.writer, "x", 1, (int[]){N}, big);
  struct rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = N;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const char *message = rwkv_protect(file_call_finish, &c);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_non_null(message);
  assert_non_null(strstr(message, path));
  free(big);
  assert_int_equal(files_count(), 1);
  holds(path, awkward + 2);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(round_trip),
      TEST(scalar_without_shape),
      TEST(only_empty_tensors),
      TEST(many_tensors),
      TEST(same_name_twice),
      TEST(abandoned),
      TEST(places_that_cannot_be),
      TEST(no_room),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
