/* GGUF: files made by hand, byte after byte; each kind of fault; cut at every place, and changed at random. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "engine/rng.h"
#include "file_calls.h"
#include "files.h"
#include "io/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 4096 };

typedef struct {
  unsigned char bytes[ROOM];
  size_t n;
} Bytes;

static void put(Bytes *b, const void *bytes, size_t n)
{
  memcpy(b->bytes + b->n, bytes, n);
  b->n += n;
}

static void u32(Bytes *b, uint32_t x) { put(b, &x, sizeof x); }
static void u64(Bytes *b, uint64_t x) { put(b, &x, sizeof x); }

static void text(Bytes *b, const char *s)
{
  u64(b, strlen(s));
  put(b, s, strlen(s));
}

static Bytes begun(uint32_t version, uint64_t tensors, uint64_t values)
{
  Bytes b = {.n = 0};
  put(&b, "GGUF", 4);
  u32(&b, version);
  u64(&b, tensors);
  u64(&b, values);
  return b;
}

static void key(Bytes *b, const char *name, uint32_t type)
{
  text(b, name);
  u32(b, type);
}

static void entry(Bytes *b, const char *name, uint32_t axes, const uint64_t *sizes, uint32_t type, uint64_t offset)
{
  text(b, name);
  u32(b, axes);
  for (uint32_t i = 0; i < axes; i++) u64(b, sizes[i]);
  u32(b, type);
  u64(b, offset);
}

static void pad(Bytes *b, size_t alignment)
{
  while (b->n % alignment) b->bytes[b->n++] = 0;
}

/* A list of two texts, one of three numbers, one of a list. */
static void put_lists(Bytes *b)
{
  key(b, "tokenizer.ggml.tokens", GGUF_LIST);
  u32(b, GGUF_TEXT), u64(b, 2), text(b, "a\n"), text(b, "b");
  key(b, "scores", GGUF_LIST);
  u32(b, GGUF_F32), u64(b, 3), put(b, (float[]){1, 2, 3}, 12);
  key(b, "nested", GGUF_LIST);
  u32(b, GGUF_LIST), u64(b, 1), u32(b, GGUF_U8), u64(b, 2), put(b, "xy", 2);
}

/* [2,3] of F32, and two of F16, in a file with metadata of every type. */
static Bytes whole(uint32_t version)
{
  Bytes b = begun(version, 2, 12);
  key(&b, "general.architecture", GGUF_TEXT), text(&b, "rwkv7");
  key(&b, "general.alignment", GGUF_U32), u32(&b, 64);
  key(&b, "u8", GGUF_U8), put(&b, "\xff", 1);
  key(&b, "i8", GGUF_I8), put(&b, "\xff", 1);
  key(&b, "i16", GGUF_I16), put(&b, &(int16_t){-300}, 2);
  key(&b, "u64", GGUF_U64), u64(&b, UINT64_MAX);
  key(&b, "eps", GGUF_F32), put(&b, &(float){1e-5f}, 4);
  key(&b, "f64", GGUF_F64), put(&b, &(double){0.1}, 8);
  key(&b, "yes", GGUF_BOOL), put(&b, "\1", 1);
  put_lists(&b);
  entry(&b, "matrix", 2, (uint64_t[]){3, 2}, 0, 0);
  entry(&b, "half", 1, (uint64_t[]){2}, 1, 64);
  pad(&b, 64);
  put(&b, (float[]){1, 2, 3, 4, 5, 6}, 24);
  pad(&b, 64);
  put(&b, (uint16_t[]){0x3c00, 0xc000}, 4);
  return b;
}

static void is_read(void **state)
{
  (void)state;
  static const char *const meta[][2] = {{"general.architecture", "rwkv7"},
                                        {"u8", "255"},
                                        {"i8", "-1"},
                                        {"i16", "-300"},
                                        {"yes", "true"},
                                        {"eps", "9.99999975e-06"},
                                        {"u64", "18446744073709551615"},
                                        {"f64", "0.10000000000000001"}};
  const char *path = files_path("x.gguf");
  for (uint32_t version = 2; version <= 3; version++) {
    double x[6];
    Bytes b = whole(version);
    files_write(path, b.bytes, b.n);
    TensorFile *f = file_open(path);
    assert_string_equal(file_format(f), "GGUF");
    assert_int_equal(file_count(f), 2);
    check_file_tensor(f, "matrix", FILE_F32, 2, (int[]){2, 3}, 6);
    file_read_doubles(f, file_find(f, "matrix"), x);
    for (int i = 0; i < 6; i++) assert_true(x[i] == i + 1);
    file_read_doubles(f, file_find(f, "half"), x);
    assert_true(x[0] == 1 && x[1] == -2);
    for (size_t i = 0; i < sizeof meta / sizeof *meta; i++) assert_string_equal(file_meta(f, meta[i][0]), meta[i][1]);
    assert_null(file_meta(f, "tokenizer.ggml.tokens"));
    file_close(f);
  }
}

/* ---- faults ---- */

static void refused(const Bytes *b, const char *says)
{
  const char *path = files_path("bad.gguf");
  files_write(path, b->bytes, b->n);
  open_must_fail(path, says);
}

static void tensor_refused(uint32_t axes, const uint64_t *sizes, uint32_t type, uint64_t offset, const char *says)
{
  Bytes b = begun(3, 1, 0);
  entry(&b, "a", axes, sizes, type, offset);
  pad(&b, 32);
  put(&b, (float[]){1, 2, 3, 4}, 16);
  refused(&b, says);
}

static void tensors_that_lie(void **state)
{
  (void)state;
  tensor_refused(1, (uint64_t[]){5}, 0, 0, "\"a\" has 5 elements of F32, but 16 bytes");
  tensor_refused(1, (uint64_t[]){1}, 0, 32, "\"a\" begins behind the end");
  tensor_refused(1, (uint64_t[]){4}, 0, 8, "\"a\" begins at 8, expected a multiple of 32");
  tensor_refused(1, (uint64_t[]){4}, 0, UINT64_MAX - 31, "\"a\" begins behind the end");
  tensor_refused(1, (uint64_t[]){1u << 31}, 0, 0, "\"a\" has a size of 2147483648");
  tensor_refused(4, (uint64_t[]){65536, 65536, 65536, 65536}, 0, 0, "\"a\"");
  tensor_refused(3, (uint64_t[]){2147483647, 2147483647, 2147483647}, 28, 0, "\"a\"");
  tensor_refused(9, (uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, "\"a\" has 9 axes");
  tensor_refused(1, (uint64_t[]){32}, 2, 0, "\"a\" is quantised (Q4_0)");
  tensor_refused(1, (uint64_t[]){256}, 14, 0, "\"a\" is quantised (Q6_K)");
  tensor_refused(1, (uint64_t[]){4}, 4, 0, "\"a\" is of type 4");
  tensor_refused(1, (uint64_t[]){4}, 4000000000u, 0, "\"a\" is of type 4000000000");
}

static Bytes with_value(const char *name, uint32_t type, const void *bytes, size_t n)
{
  Bytes b = begun(3, 0, 1);
  key(&b, name, type);
  put(&b, bytes, n);
  return b;
}

static void headers_that_lie(void **state)
{
  (void)state;
  Bytes b = begun(1, 0, 0);
  refused(&b, "version 1, expected 2 or 3");
  b = begun(3u << 24, 0, 0);
  refused(&b, "big-endian");
  b = begun(3, UINT64_MAX, 0);
  refused(&b, "ends within its header");
  b = begun(3, 0, UINT64_MAX);
  refused(&b, "ends within its header");
  b = with_value("k", 13, "", 0);
  refused(&b, "metadata \"k\" is of type 13");
  b = with_value("k", GGUF_TEXT, &(uint64_t){UINT64_MAX}, 8);
  refused(&b, "ends within its header");
  b = with_value("general.alignment", GGUF_U32, &(uint32_t){0}, 4);
  refused(&b, "general.alignment is 0");
  b = with_value("general.alignment", GGUF_U32, &(uint32_t){24}, 4);
  refused(&b, "general.alignment is 24");
  b = with_value("general.alignment", GGUF_U8, "\x20", 1);
  refused(&b, "general.alignment is of type 0");
  b = with_value("k", GGUF_TEXT, "\3\0\0\0\0\0\0\0a\0b", 11);
  refused(&b, "metadata \"k\" has a zero byte");
  b = begun(3, 0, 2);
  for (int i = 0; i < 2; i++) key(&b, "twice", GGUF_U8), put(&b, "\1", 1);
  refused(&b, "\"twice\" stands there twice");
  b = begun(3, 0, 1);
  key(&b, "k", GGUF_LIST);
  u32(&b, GGUF_F64), u64(&b, UINT64_MAX / 8 + 2);
  refused(&b, "ends within its header");
  b = begun(3, 0, 1);
  key(&b, "k", GGUF_LIST);
  for (int i = 0; i < 20; i++) u32(&b, GGUF_LIST), u64(&b, 1);
  refused(&b, "lists within lists");
  b = begun(3, 2, 0);
  for (int i = 0; i < 2; i++) entry(&b, "a", 1, (uint64_t[]){0}, 0, 0);
  refused(&b, "\"a\" stands there twice");
}

/* Whether it opens; whatever it is, all of it can be read then, and an error names the file. */
static bool try_bytes(const char *path, const unsigned char *bytes, size_t n)
{
  files_write(path, bytes, n);
  FileCall c = {.path = path};
  const char *message = rwkv_protect(file_call_open, &c);
  if (message) {
    if (!strstr(message, path)) fail_msg("the message does not name the file: %s", message);
    return false;
  }
  for (int i = 0; i < file_count(c.file); i++) {
    double *x = malloc((file_tensor(c.file, i)->n + 1) * sizeof *x);
    file_read_doubles(c.file, file_tensor(c.file, i), x);
    free(x);
  }
  file_close(c.file);
  return true;
}

static void damaged(void **state)
{
  (void)state;
  enum { ROUNDS = 4000 };
  const char *path = files_path("damaged.gguf");
  const Bytes b = whole(3);
  int opened = 0;
  for (size_t i = 0; i < b.n; i++) assert_false(try_bytes(path, b.bytes, i)); /* cut at every place */
  Rng r = rng_named(1, "gguf");
  for (int round = 0; round < ROUNDS; round++) {
    Bytes now = b;
    for (uint64_t k = rng_below(&r, 3) + 1; k > 0; k--)
      now.bytes[rng_below(&r, now.n)] = (unsigned char)(rng_below(&r, 2) ? 0xff : rng_below(&r, 256));
    opened += try_bytes(path, now.bytes, now.n);
  }
  assert_true(opened > ROUNDS / 100 && opened < ROUNDS);
}

/* ---- writing ---- */

static void numbers_where_llama_wants_them(void **state)
{
  (void)state;
  static const char eps[] = "rwkv7.attention.layer_norm_epsilon", blocks[] = "rwkv7.block_count";
  const char *path = files_path("w.gguf");
  size_t n;
  FileWriter *w = writer_create(path);
  writer_put_doubles(w, "x", 2, (int[]){1, 2}, awkward);
  writer_put_meta(w, eps, "1e-05");
  writer_put_meta(w, blocks, "3");
  writer_put_meta(w, "rwkv7.vocab_size", "many");
  writer_finish(w);
  unsigned char *bytes = files_read(path, &n);
  const unsigned char *at = memmem(bytes, n, eps, strlen(eps));
  assert_memory_equal(at + strlen(eps), &(uint32_t){GGUF_F32}, 4);
  assert_memory_equal(at + strlen(eps) + 4, &(float){1e-5f}, 4);
  at = memmem(bytes, n, blocks, strlen(blocks));
  assert_memory_equal(at + strlen(blocks), ((uint32_t[]){GGUF_U32, 3}), 8);
  free(bytes);
  TensorFile *f = file_open(path);
  check_file_tensor(f, "x", FILE_F64, 2, (int[]){1, 2}, 2);
  assert_string_equal(file_meta(f, "rwkv7.vocab_size"), "many");
  file_close(f);
}

typedef struct {
  FileWriter *w;
  const char *name;
  int axes;
} Put;

static void put_one(void *arg)
{
  const Put *p = arg;
  writer_put_doubles(p->w, p->name, p->axes, (int[]){1, 1, 1, 1, 1}, awkward);
}

static void what_it_cannot_hold(void **state)
{
  (void)state;
  const char *path = files_path("y.gguf");
  char name[65];
  memset(name, 'n', 64), name[64] = 0;
  FileWriter *w = writer_create(path);
  expect_failure_with(put_one, &(Put){w, "x", 5}, path, "\"x\"", "4 axes", NULL);
  expect_failure_with(put_one, &(Put){w, name, 1}, path, "63 bytes", NULL);
  writer_abandon(w);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(is_read),
      TEST(tensors_that_lie),
      TEST(headers_that_lie),
      TEST(damaged),
      TEST(numbers_where_llama_wants_them),
      TEST(what_it_cannot_hold),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
