/* PyTorch's files: what torch.save writes is read, and what is wrong with one is said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "file_calls.h"
#include "files.h"
#include "pickles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAKE(pickle) pickle_file(pickle, sizeof(pickle) - 1, "m/", "", "")

static void has_numbers(const TensorFile *f, const char *name, const double *want, size_t n)
{
  double found[16];
  const FileTensor *t = file_find(f, name);
  if (!t) fail_msg("\"%s\" is not there", name);
  assert_int_equal(t->n, n);
  file_read_doubles(f, t, found);
  for (size_t i = 0; i < n; i++)
    if (found[i] != want[i]) fail_msg("%s[%zu] is %g, expected %g", name, i, found[i], want[i]);
}

static void a_state_dict(void **state)
{
  (void)state;
  static const char *const directories[] = {"", "m/", "a/b c/", "archive/"};
  static const char pickle[] = PICKLE(DICT(KEY("a") SIX KEY("b") SIX));
  for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
    TensorFile *f = file_open(pickle_file(pickle, sizeof pickle - 1, directories[i], "byteorder", "little"));
    assert_string_equal(file_format(f), "PyTorch");
    assert_int_equal(file_count(f), 2);
    check_file_tensor(f, "a", FILE_F32, 2, (int[]){2, 3}, 6);
    has_numbers(f, "a", (double[]){1, 2, 3, 4, 5, 6}, 6);
    assert_ptr_equal(file_find(f, "a")->bytes, file_find(f, "b")->bytes); /* one storage of both */
    file_close(f);
  }
}

static void views(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    double want[6];
    size_t n;
  } cases[] = {{"t", {1, 4, 2, 5, 3, 6}, 6}, {"o", {3, 4}, 2}, {"g", {2, 4, 6}, 3}, {"s", {6}, 1},
               {"r", {2, 2, 2}, 3},          {"e", {0}, 0}};
  TensorFile *f = file_open(
      MAKE(PICKLE(DICT(KEY("t") TENSOR(STORAGE("FloatStorage", "0", "\6"), "\0", "K\3K\2", "K\1K\3") KEY("o")
                           TENSOR(STORAGE("FloatStorage", "0", "\6"), "\2", "K\2", "K\1") KEY("g")
                               TENSOR(STORAGE("FloatStorage", "0", "\6"), "\1", "K\3", "K\2") KEY("s")
                                   TENSOR(STORAGE("FloatStorage", "0", "\6"), "\5", "", "") KEY("r")
                                       TENSOR(STORAGE("FloatStorage", "0", "\6"), "\1", "K\3", "K\0") KEY("e")
                                           TENSOR(STORAGE("FloatStorage", "9", "\0"), "\7", "K\2K\0", "K\1K\1")))));
  assert_int_equal(file_count(f), 6);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) has_numbers(f, cases[i].name, cases[i].want, cases[i].n);
  file_close(f);
}

/* A checkpoint: dicts and lists are entered, what is no tensor is passed by. */
static void nested(void **state)
{
  (void)state;
  TensorFile *f = file_open(
      MAKE(PICKLE(DICT(KEY("s") ODICT "(" KEY("a") SIX "u}X\11\0\0\0_metadata" ODICT "sb" KEY("n") "K\3" KEY(
          "l") "](" SIX "K\1" SIX "e" KEY("z") "N" KEY("f") "G\0\0\0\0\0\0\0\0" KEY("o") DICT("K\7" SIX "N" SIX)
                           KEY("p") GLOBAL("torch._utils", "_rebuild_parameter") "(" SIX "\x88" ODICT "tR" KEY("d")
                               GLOBAL("torch", "float32")))));
  static const char *const names[] = {"s.a", "l.0", "l.2", "o.7", "o.?", "p"};
  assert_int_equal(file_count(f), 6);
  for (int i = 0; i < 6; i++) has_numbers(f, names[i], (double[]){1, 2, 3, 4, 5, 6}, 6);
  file_close(f);
  f = file_open(MAKE(PICKLE(SIX)));
  assert_int_equal(file_count(f), 1);
  assert_non_null(file_find(f, "x")); /* as the file */
  file_close(f);
  f = file_open(MAKE(PICKLE("}")));
  assert_int_equal(file_count(f), 0);
  file_close(f);
}

static void byte_order_and_texts(void **state)
{
  (void)state;
  static const char pickle[] = PICKLE(DICT(KEY("a") SIX));
  double found[6];
  TensorFile *f = file_open(pickle_file(pickle, sizeof pickle - 1, "m/", "byteorder", "big"));
  assert_true(file_find(f, "a")->swapped);
  file_read_doubles(f, file_find(f, "a"), found);
  assert_true(found[0] == 0x803f * 0x1p-149); /* 1 is 0x3f800000 */
  file_close(f);
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "byteorder", "middle"), "neither little nor big");
  f = file_open(pickle_file(pickle, sizeof pickle - 1, "m/", "extra/metadata.json", "{\"version\":\"v7\"}"));
  assert_string_equal(file_meta(f, "version"), "v7");
  file_close(f);
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "extra/metadata.json", "{\"version\":7}"),
                 "\"version\" is not text");
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "extra/metadata.json", "[1]"), "not a JSON object");
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "extra/metadata.json", "{"), "not JSON");
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "constants.pkl", ""), "TorchScript");
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "n/data.pkl", ""), "2 entries data.pkl");
  open_must_fail(pickle_file(pickle, sizeof pickle - 1, "m/", "data/0", ""), "stands there twice");
}

#define F32(offset, sizes, strides) TENSOR(STORAGE("FloatStorage", "0", "\6"), offset, sizes, strides)
#define ONE(value) PICKLE(DICT(KEY("a") value))
#define TEXT(pickle) pickle, sizeof(pickle) - 1

static const struct {
  const char *pickle;
  size_t n;
  const char *says;
} wrong[] = {
    {TEXT(ONE(F32("\1", "K\2K\3", "K\3K\1"))), "\"a\" reaches beyond its storage of 6 elements"},
    {TEXT(ONE(F32("\6", "K\1", "K\1"))), "\"a\" reaches beyond"},
    {TEXT(ONE(F32("\0", "K\2", "K\6"))), "\"a\" reaches beyond"},
    {TEXT(ONE(F32("\0", "K\2", "J\xff\xff\xff\xff"))), "\"a\" reaches beyond"},
    {TEXT(ONE(F32("\0", "K\2", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"))), "\"a\" reaches beyond"},
    {TEXT(ONE(F32("\0", "K\7", "K\1"))), "\"a\" has 7 elements of F32, but 24 bytes"},
    {TEXT(ONE(F32("\0", "K\7", "K\0"))), "\"a\" has 7 elements of F32"},
    {TEXT(ONE(F32("\0", "J\xff\xff\xff\xff", "K\1"))), "\"a\" has a size of -1"},
    {TEXT(ONE(F32("\0", "J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f", "K\1K\1K\1"))), "\"a\" is larger"},
    {TEXT(ONE(F32("\0", "\x8a\x05\0\0\0\0\1", "K\1"))), "\"a\" has a size of 4294967296"},
    {TEXT(ONE(F32("\0", "K\1K\1K\1K\1K\1K\1K\1K\1K\1", "K\1"))), "\"a\" has more than 8 axes"},
    {TEXT(ONE(F32("\0", "K\2K\2", "K\2"))), "\"a\" has no stride"},
    {TEXT(ONE(F32("\0", "N", "K\2"))), "\"a\" has no sizes"},
    {TEXT(ONE(TENSOR(STORAGE("FloatStorage", "0", "\7"), "\0", "K\2", "K\1"))), "7 elements, but the entry m/data/0"},
    {TEXT(ONE(TENSOR(STORAGE("DoubleStorage", "0", "\6"), "\0", "K\2", "K\1"))), "6 elements, but the entry m/data/0"},
    {TEXT(ONE(TENSOR(STORAGE("FloatStorage", "1", "\6"), "\0", "K\2", "K\1"))), "\"a\" needs the entry m/data/1"},
    {TEXT(ONE(TENSOR("N", "\0", "K\2", "K\1"))), "\"a\" has no storage"},
    {TEXT(ONE(TENSOR("NQ", "\0", "K\2", "K\1"))), "\"a\" has no storage"},
    {TEXT(ONE(TENSOR(STORAGE("ComplexFloatStorage", "0", "\3"), "\0", "K\2", "K\1"))),
     "\"a\" is of torch.ComplexFloat"},
    {TEXT(ONE(TENSOR(STORAGE("QInt8Storage", "0", "\3"), "\0", "K\2", "K\1"))), "\"a\" is of torch.QInt8Storage"},
    {TEXT(ONE(TENSOR(STORAGE("Size", "0", "\3"), "\0", "K\2", "K\1"))), "\"a\" has no dtype"},
    {TEXT(ONE(TENSOR(STORAGE("EightStorage", "0", "\3"), "\0", "K\2", "K\1"))), "`torch.EightStorage`"},
    {TEXT(ONE(GLOBAL("torch._utils", "_rebuild_qtensor") ")R")), "\"a\" is made by torch._utils._rebuild_qtensor"},
    {TEXT(ONE(GLOBAL("torch._utils", "_rebuild_sparse_tensor") ")R")), "\"a\" is made by"},
    {TEXT(ONE(GLOBAL("torch._utils", "_rebuild_tensor_v2") ")R")), "\"a\" has no storage"},
    {TEXT(ONE(GLOBAL("torch._utils", "_rebuild_parameter") ")R")), "\"a\" has no numbers"},
    {TEXT(PICKLE(DICT(KEY("a") SIX KEY("a") SIX))), "\"a\" stands there twice"},
    {TEXT(PICKLE("}X\3\0\0\0a\0b" SIX "s")), "has a zero in it"},
    {TEXT(PICKLE(GLOBAL("src.model", "RWKV") ")\x81")), "`src.model.RWKV`"},
    {TEXT(PICKLE(GLOBAL("os", "system") "(X\2\0\0\0lstR")), "`os.system`"},
    {TEXT(PICKLE(GLOBAL("builtins", "eval") "(X\2\0\0\0lstR")), "`builtins.eval`"},
    {TEXT("\x80\4\x8c\2os\x8c\6system\x93."), "`os.system`"},
    {TEXT(PICKLE("K\3")), "holds no tensors"},
    {TEXT(PICKLE(GLOBAL("torch", "Size") ")R")), "holds a `torch.Size`"},
};

static void what_is_wrong(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    open_must_fail(pickle_file(wrong[i].pickle, wrong[i].n, "m/", "", ""), wrong[i].says);
}

/* ---- damage ---- */

static void look(FileCall *c)
{
  for (int i = 0; i < file_count(c->file); i++) {
    c->entry = file_tensor(c->file, i);
    c->out = malloc(c->entry->n * sizeof(double) + 1);
    assert_null(rwkv_protect(file_call_read_doubles, c));
    free(c->out);
  }
  file_close(c->file);
}

static void cut_or_changed(void **state)
{
  (void)state;
  static const char pickle[] = ONE(SIX);
  const char *path = pickle_file(pickle, sizeof pickle - 1, "m/", "extra/metadata.json", "{\"a\":\"b\"}");
  size_t n;
  unsigned char *whole = files_read(path, &n), *bytes = malloc(n);
  for (size_t cut = 0; cut < n; cut++) {
    files_write(path, whole, cut);
    open_must_fail(path, "");
  }
  uint32_t random = 1;
  for (int i = 0; i < 20000; i++) {
    memcpy(bytes, whole, n);
    for (int changes = 1 + i % 3; changes > 0; changes--) {
      random = random * 1664525 + 1013904223;
      bytes[(random >> 8) % n] = (unsigned char)(random >> 4);
    }
    files_write(path, bytes, n);
    FileCall c = {.path = path};
    const char *message = rwkv_protect(file_call_open, &c);
    if (!message) look(&c);
    else if (!strstr(message, path)) fail_msg("no name in: %s", message);
  }
  free(bytes);
  free(whole);
}

/* ---- PyTorch's own files ---- */

static void official(void **state)
{
  (void)state;
  static const char *const names[] = {"v1",   "v2",   "v3",    "v3_ffnpre", "v4", "v4a_tinyatt_headqk", "v5_0", "v5_1",
                                      "v5_2", "v6_0", "v6_0a", "v6_0b",     "v7"};
  char path[200];
  if (!files_exist("../shared/golden/v7.pth")) {
    printf("SKIPPED: ../shared/golden is not there\n");
    skip();
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "../shared/golden/%s.weights.safetensors", names[i]);
    TensorFile *want = file_open(path);
    snprintf(path, sizeof path, "../shared/golden/%s.pth", names[i]);
    TensorFile *f = file_open(path);
    assert_int_equal(file_count(f), file_count(want));
    for (int j = 0; j < file_count(f); j++) {
      const FileTensor *a = file_tensor(f, j), *b = file_tensor(want, j);
      check_file_tensor(f, b->name, b->type, b->axes, b->shape, b->n);
      unsigned char *x = malloc(2 * a->n * file_type_size(a->type) + 1), *y = x + a->n * file_type_size(a->type);
      file_read_bytes(f, a, 0, a->n, x), file_read_bytes(want, b, 0, b->n, y);
      assert_memory_equal(x, y, a->n * file_type_size(a->type));
      free(x);
    }
    file_close(f), file_close(want);
  }
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_state_dict),  TEST(views),          TEST(nested),   TEST(byte_order_and_texts),
      TEST(what_is_wrong), TEST(cut_or_changed), TEST(official),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
