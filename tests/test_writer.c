/* What is written as PyTorch's or NumPy's file, by the ending of its path, comes back; and so does what is copied from
   one file into another, in the same type or rounded to a smaller one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "file_calls.h"
#include "files.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const endings[] = {"x.pth", "x.pt", "x.bin", "x.npz", "x.safetensors", "x.gguf"};
static const char *const formats[] = {"PyTorch", "PyTorch", "PyTorch", "NumPy", "safetensors", "GGUF"};
enum { ENDINGS = sizeof endings / sizeof *endings };

static const char odd[] = "a \"b\"/\\c \xc3\xa9\t\x01";

static void put_all(FileWriter *w, const int *ints)
{
  writer_put_doubles(w, "doubles", 2, (int[]){3, 4}, awkward);
  writer_put_ints(w, "ints", 1, (int[]){5}, ints);
  writer_put_doubles(w, "scalar", 0, NULL, awkward + 4);
  writer_put_doubles(w, "empty", 2, (int[]){3, 0}, awkward);
  writer_put_packed(w, "half", 1, (int[]){2}, (Packed){(uint16_t[]){0x3c00, 0xc000}, STORED_F16});
  writer_put_meta(w, "version", "old");
  writer_put_meta(w, "version", "v7");
  writer_put_meta(w, odd, odd);
  writer_finish(w);
}

static void round_trip(void **state)
{
  (void)state;
  const int ints[5] = {0, -1, INT_MAX, INT_MIN, 65536};
  for (int i = 0; i < ENDINGS; i++) {
    double found[12];
    int found_ints[5];
    const char *path = files_path(endings[i]);
    put_all(writer_create(path), ints);
    TensorFile *f = file_open(path);
    assert_string_equal(file_format(f), formats[i]);
    assert_int_equal(file_count(f), 5);
    check_file_tensor(f, "doubles", FILE_F64, 2, (int[]){3, 4}, 12);
    check_file_tensor(f, "scalar", FILE_F64, 0, NULL, 1);
    check_file_tensor(f, "empty", FILE_F64, 2, (int[]){3, 0}, 0);
    check_file_tensor(f, "half", FILE_F16, 1, (int[]){2}, 2);
    file_read_doubles(f, file_find(f, "doubles"), found);
    for (int j = 0; j < 12; j++) assert_true(same_bits(found[j], awkward[j]));
    file_read_ints(f, file_find(f, "ints"), found_ints);
    assert_memory_equal(found_ints, ints, sizeof ints);
    file_read_doubles(f, file_find(f, "half"), found);
    assert_true(found[0] == 1 && found[1] == -2);
    assert_string_equal(file_meta(f, "version"), "v7");
    assert_string_equal(file_meta(f, odd), odd);
    for (int j = 0; i < 4 && j < 5; j++) /* where they stand they can be used */
      assert_true(file_tensor(f, j)->n == 0 || (uintptr_t)file_tensor(f, j)->bytes % 64 == 0);
    file_close(f);
  }
}

static void names_of_any_kind(void **state)
{
  (void)state;
  for (int i = 0; i < ENDINGS; i++) {
    char name[401] = "";
    memset(name, 'n', i == 5 ? 63 : sizeof name - 1); /* GGUF has shorter ones only */
    const char *path = files_path(endings[i]);
    FileWriter *w = writer_create(path);
    writer_put_doubles(w, name, 0, NULL, awkward);
    writer_put_doubles(w, "\xc3\xa9 /..", 0, NULL, awkward);
    writer_finish(w);
    TensorFile *f = file_open(path);
    assert_non_null(file_find(f, name));
    assert_non_null(file_find(f, "\xc3\xa9 /.."));
    file_close(f);
    writer_finish(writer_create(path));
    if (i != 3) file_close(file_open(path)); /* an archive without entries is nobody's */
  }
}

/* ---- from file to file ---- */

static const FileType types[] = {FILE_F64, FILE_F32, FILE_F16, FILE_BF16};

typedef struct {
  FileWriter *w;
  const TensorFile *f;
  FileType type;
} Copy;

static void put_all_of(void *arg)
{
  const Copy *c = arg;
  for (int i = 0; i < file_count(c->f); i++) {
    const FileTensor *t = file_tensor(c->f, i);
    writer_put_file(c->w, t->name, c->f, t, file_is_floating(t->type) ? c->type : t->type);
  }
  writer_finish(c->w);
}

/* 20000 numbers: more than are held at a time. Each is the nearest one that there is. */
static void converted(void **state)
{
  (void)state;
  enum { N = 20000 };
  double *x = malloc(2 * N * sizeof *x), *found = x + N;
  for (int i = 0; i < N; i++) x[i] = sin(i) * pow(10, i % 5) + (i == 7 ? (double)NAN : 0);
  x[8] = INFINITY;
  x[9] = 1 + 0x1p-8 + 0x1p-40; /* in bfloat16 1 + 2^-7; by way of float32 it would be 1 */
  FileWriter *w = writer_create(files_path("from.safetensors"));
  writer_put_doubles(w, "x", 2, (int[]){2, N / 2}, x);
  writer_put_ints(w, "i", 1, (int[]){3}, (int[]){1, -2, 3});
  writer_finish(w);
  TensorFile *from = file_open(files_path("from.safetensors"));
  for (int k = 0; k < 4; k++) {
    uint32_t bits;
    Storage storage;
    const char *path = files_path("to.pth");
    put_all_of(&(Copy){writer_create(path), from, types[k]});
    TensorFile *f = file_open(path);
    check_file_tensor(f, "x", types[k], 2, (int[]){2, N / 2}, N);
    check_file_tensor(f, "i", FILE_I64, 1, (int[]){3}, 3);
    file_read_doubles(f, file_find(f, "x"), found);
    for (int i = 0; i < N; i++) {
      double want = x[i];
      if (k > 0 && isfinite(want)) {
        file_storage(types[k], &storage);
        packed_write_doubles(&bits, storage, &want, 1);
        want = packed_number((Packed){&bits, storage}, 0);
      }
      if (!(isnan(want) ? isnan(found[i]) : want == found[i])) fail_msg("%d: %.17g became %.17g", i, x[i], found[i]);
    }
    if (types[k] == FILE_BF16) assert_true(found[9] == 1 + 0x1p-7);
    file_close(f);
  }
  file_close(from);
  free(x);
}

static void too_large(void **state)
{
  (void)state;
  const char *path = files_path("to.safetensors");
  FileWriter *w = writer_create(files_path("from.pth"));
  writer_put_doubles(w, "x", 1, (int[]){3}, (double[]){65504, 65520, 1e300});
  writer_finish(w);
  TensorFile *from = file_open(files_path("from.pth"));
  Copy c = {writer_create(path), from, FILE_F16};
  expect_failure_with(put_all_of, &c, path, "tensor \"x\": 65520 at place 1 is too large for F16", NULL);
  c = (Copy){writer_create(path), from, FILE_F32};
  expect_failure_with(put_all_of, &c, path, "1e+300 at place 2 is too large for F32", NULL);
  file_close(from);
  assert_int_equal(files_count(), 1); /* nothing of it is left */
}

static void put_bf16(void *arg) { writer_put_packed(arg, "x", 1, (int[]){1}, (Packed){&(uint16_t){0}, STORED_BF16}); }

static void put_as_float(void *arg)
{
  const Copy *c = arg;
  writer_put_file(c->w, "i", c->f, file_tensor(c->f, 0), FILE_F32);
}

static void types_that_cannot_be(void **state)
{
  (void)state;
  const char *path = files_path("x.npz");
  FileWriter *w = writer_create(path);
  expect_failure_with(put_bf16, w, path, "\"x\" is BF16, which NumPy has no type for", NULL);
  writer_put_ints(w, "i", 1, (int[]){1}, (int[]){3});
  writer_finish(w);
  TensorFile *f = file_open(path);
  w = writer_create(path);
  expect_failure_with(put_as_float, &(Copy){w, f, FILE_F32}, path, "\"i\" is I64, which does not become F32", NULL);
  writer_abandon(w);
  file_close(f);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(round_trip), TEST(names_of_any_kind), TEST(converted), TEST(too_large),
                                     TEST(types_that_cannot_be)};
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
