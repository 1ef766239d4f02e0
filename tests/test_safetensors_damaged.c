/* Safetensors files that are damaged or lie: whatever they are, they are refused by name, and no more. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "engine/rng.h"
#include "files.h"
#include "file_calls.h"

#include <stdlib.h>
#include <string.h>

#define T(name, type, shape, from, to) \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[" shape "],\"data_offsets\":[" #from "," #to "]}"
#define HUGE_SIZE "2147483647,2147483647,2147483647"

static const struct {
  const char *header;
  size_t data;
  const char *says; /* part of the message */
} broken[] = {
    {"", 0, "JSON"},
    {"not json", 0, "JSON"},
    {"[]", 0, "JSON object"},
    {"3", 0, "JSON object"},
    {"\"text\"", 0, "JSON object"},
    {"{}x", 0, "JSON"},
    {"{", 0, "JSON"},
    {"{" T("a", "F32", "2", 0, 8) "} {}", 8, "JSON"},
    {"{" T("a", "F32", "2", 0, 8) ",}", 8, "JSON"},
    {"{}", 4, "4 bytes"},
    {"{" T("a", "F32", "2", 0, 8) "}", 7, "\"a\""},
    {"{" T("a", "F32", "2", 0, 8) "}", 0, "\"a\""},
    {"{" T("a", "F32", "2", 0, 8) "}", 9, "1 bytes"},
    {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "2", 4, 12) "}", 12, "\"b\" overlaps"},
    {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "2", 0, 8) "}", 8, "overlaps"},
    {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "1", 12, 16) "}", 16, "gap of 4 bytes"},
    {"{" T("a", "F32", "2", 4, 12) "}", 12, "gap of 4 bytes"},
    {"{" T("a", "F32", "2", 0, 8) "," T("a", "F32", "2", 8, 16) "}", 16, "\"a\" stands there twice"},
    {"{" T("a", "F32", "1", 0, 4) "," T("b", "F32", "1", 4, 8) "," T("a", "F32", "1", 8, 12) "}", 12, "twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":null}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\""},
    {"{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0, "\"k\""},
    {"{\"__metadata__\":{\"k\":null}}", 0, "\"k\""},
    {"{" T("a", "F8", "2", 0, 2) "}", 2, "dtype \"F8\""},
    {"{" T("a", "f32", "2", 0, 8) "}", 8, "dtype \"f32\""},
    {"{" T("a", "", "2", 0, 8) "}", 8, "dtype"},
    {"{" T("a", "F32 ", "2", 0, 8) "}", 8, "dtype"},
    {"{" T("a", "F32", "-2", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "1.5", 0, 6) "}", 6, "\"a\""},
    {"{" T("a", "F32", "1e400", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "\\\"2\\\"", 0, 8) "}", 8, "JSON"},
    {"{" T("a", "F32", "\"2\"", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "null", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "[2]", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "2147483648", 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", HUGE_SIZE, 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", HUGE_SIZE "," HUGE_SIZE "," HUGE_SIZE, 0, 8) "}", 8, "\"a\""},
    {"{" T("a", "F32", "65536,65536,65536,65536", 0, 0) "}", 0, "\"a\""}, /* 2^64: wraps to 0 */
    {"{" T("a", "F64", "2147483648,1073741824", 0, 0) "}", 0, "\"a\""},
    {"{" T("a", "F32", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, "axes"},
    {"{" T("a", "F32", "2", 8, 0) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", 0, 16) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", 8, 16) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", -8, 0) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", 0, 8.5) "}", 9, "data_offsets"},
    {"{" T("a", "F32", "2", 0, 1e300) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", 18446744073709551608, 8) "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", "0", "8") "}", 8, "data_offsets"},
    {"{" T("a", "F32", "2", 0, 4) "}", 4, "2 elements of F32"},
    {"{" T("a", "F64", "1", 0, 4) "}", 4, "1 elements of F64"},
    {"{" T("a", "F16", "2", 0, 8) "}", 8, "2 elements of F16"},
    {"{" T("a", "F32", "", 0, 8) "}", 8, "1 elements"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[]}}", 8, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":8}}", 8, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "lacks"},
    {"{\"a\":{}}", 0, "lacks"},
    {"{\"a\":[]}", 0, "lacks"},
    {"{\"a\":7}", 0, "lacks"},
    {"{\"a\":null}", 0, "lacks"},
    {"{\"a\":{\"DTYPE\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks"},
};

static void broken_headers(void **state)
{
  (void)state;
  const char *path = files_path("broken.safetensors");
  const unsigned char data[64] = {0};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    files_write_st(path, broken[i].header, data, broken[i].data);
    FileCall c = {.path = path};
    const char *message = rwkv_protect(file_call_open, &c);
    if (!message) {
      file_close(c.file);
      fail_msg("was opened: %s", broken[i].header);
    }
    if (!strstr(message, path) || !strstr(message, broken[i].says))
      fail_msg("%s\n  expected \"%s\", found \"%s\"", broken[i].header, broken[i].says, message);
  }
}

static void broken_lengths(void **state)
{
  (void)state;
  const char *path = files_path("length.safetensors");
  files_write(path, "", 0);
  open_must_fail(path, "is empty");
  files_write(path, "\x02\0\0\0\0\0\0", 7);
  open_must_fail(path, "7 bytes");
  files_write(path, "\0\0\0\0\0\0\0\0", 8);
  open_must_fail(path, "JSON");
  files_write(path, "\x03\0\0\0\0\0\0\0{}", 10); /* one byte more than there is */
  open_must_fail(path, "3 bytes");
  files_write(path, "\x02\0\0\0\0\0\0\x80{}", 10); /* 2^63 + 2 */
  open_must_fail(path, "9223372036854775810");
  files_write(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
  open_must_fail(path, "18446744073709551615");
  files_write(path, "\x0a\0\0\0\0\0\0\0{}\0\0\0\0\0\0\0\0", 18); /* NUL inside the header */
  open_must_fail(path, "JSON");
  files_write(path, "\x04\0\0\0\0\0\0\0{} \t", 12); /* white space around it is JSON's right */
  TensorFile *f = file_open(path);
  assert_int_equal(file_count(f), 0);
  file_close(f);
}

/* A name with a zero character inside must not be cut short into a twin of another. */
static void zero_in_a_name(void **state)
{
  (void)state;
  const char *path = files_path("zero.safetensors");
  const unsigned char data[16] = {0};
  files_write_st(path, "{" T("a", "F32", "2", 0, 8) "," T("a\\u0000b", "F32", "2", 8, 16) "}", data, 16);
  open_must_fail(path, "");
}

static void nested(const char *path, const char *before, char open, size_t depth)
{
  size_t start = strlen(before);
  char *header = malloc(start + depth * 6 + 1), *p = header + start;
  memcpy(header, before, start);
  for (size_t i = 0; i < depth; i++) {
    if (open == '[') *p++ = '[';
    else p = (char *)memcpy(p, "{\"a\":", 5) + 5;
  }
  *p = 0;
  files_write_st(path, header, NULL, 0);
  free(header);
  open_must_fail(path, "");
}

static void deeply_nested(void **state)
{
  (void)state;
  const char *path = files_path("nested.safetensors");
  nested(path, "", '[', 1000000);
  nested(path, "", '{', 200000);
  nested(path, "{\"a\":{\"dtype\":\"F32\",\"shape\":", '[', 500000);
}

/* ---- fuzz ---- */

/* Reads all there is; every failure has to name the file. */
static void read_through(FileCall *c)
{
  for (int i = 0; i < file_count(c->file); i++) {
    const FileTensor *e = c->entry = file_tensor(c->file, i);
    assert_ptr_equal(file_find(c->file, e->name), e);
    c->out = malloc(e->n * sizeof(double) + 1);
    bool floating = e->type <= FILE_BF16;
    const char *message = rwkv_protect(file_call_read_doubles, c);
    if (message) fail_msg("what was opened could not be read: %s", message);
    message = rwkv_protect(floating ? file_call_read : file_call_read_ints, c);
    if (message && !strstr(message, c->path)) fail_msg("the message does not name the file: %s", message);
    free(c->out);
  }
  file_meta(c->file, "version");
}

/* Opens the bytes as a file; returns whether that went well. */
static bool try_bytes(const char *path, const unsigned char *bytes, size_t n)
{
  FileCall c = {.path = path};
  files_write(path, bytes, n);
  const char *message = rwkv_protect(file_call_open, &c);
  if (message) {
    if (!strstr(message, path)) fail_msg("the message does not name the file: %s", message);
    return false;
  }
  read_through(&c);
  file_close(c.file);
  return true;
}

/* One change of a kind drawn at random; n stays within 1 .. room. */
static size_t mutate(Rng *r, unsigned char *bytes, size_t n, size_t room)
{
  static const char letters[] = "0123456789-.,:\"[]{}\\eFIBU\n\0 ";
  size_t at = rng_below(r, n), header = n < 308 ? n : 308;
  switch (rng_below(r, 7)) {
  case 0: bytes[at] ^= (unsigned char)(1u << rng_below(r, 8)); break;
  case 1: bytes[at] = (unsigned char)rng_below(r, 256); break;
  case 2: bytes[rng_below(r, header)] = (unsigned char)letters[rng_below(r, sizeof letters - 1)]; break;
  case 3: bytes[rng_below(r, 8)] = (unsigned char)rng_below(r, 256); break;
  case 4: return at + 1; /* cut */
  case 5:                /* a piece twice */
    if (n + n - at > room) return n;
    memmove(bytes + n, bytes + at, n - at);
    return n + n - at;
  default: /* a piece taken out */ memmove(bytes + at, bytes + at + 1, n - at - 1); return n > 1 ? n - 1 : n;
  }
  return n;
}

static void fuzz(void **state)
{
  (void)state;
  enum { ROUNDS = 4000, ROOM = 4096 };
  const char *path = files_path("fuzz.safetensors");
  real reals[6] = {1, 2, 3, 4, 5, 6};
  FileWriter *w = writer_create(path);
  writer_put(w, "blocks.0.a", 2, (int[]){2, 3}, reals);
  writer_put_ints(w, "tokens", 1, (int[]){4}, (int[]){1, 2, 3, 4});
  writer_put_doubles(w, "scalar", 0, (int[]){0}, awkward);
  writer_put_meta(w, "version", "v7");
  writer_finish(w);
  size_t n;
  unsigned char *whole = files_read(path, &n), bytes[ROOM];
  assert_true(n < ROOM / 2);
  int opened = 0;
  for (size_t i = 0; i < n; i++) opened += try_bytes(path, whole, i); /* every truncation */
  assert_int_equal(opened, 0);
  for (size_t i = 0; i < n; i++) { /* every byte turned over */
    memcpy(bytes, whole, n);
    bytes[i] ^= 0xff;
    opened += try_bytes(path, bytes, n);
  }
  Rng r = rng_named(1, "fuzz");
  for (int round = 0; round < ROUNDS; round++) {
    size_t now = n;
    memcpy(bytes, whole, n);
    for (uint64_t k = rng_below(&r, 3) + 1; k > 0; k--) now = mutate(&r, bytes, now, ROOM);
    opened += try_bytes(path, bytes, now);
  }
  assert_true(opened > ROUNDS / 100); /* some changes hit values only: both ways are taken */
  assert_true(opened < ROUNDS);
  assert_true(try_bytes(path, whole, n));
  free(whole);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(broken_headers), TEST(broken_lengths), TEST(zero_in_a_name), TEST(deeply_nested), TEST(fuzz),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
