/* Safetensors files that are read: every type, and files that nobody of ours wrote. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"
#include "file_calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- types ---- */

/* The value of a half by another way: its bits as those of a float with a larger exponent, scaled back. */
static float half_by_bits(unsigned h)
{
  uint32_t bits = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h >> 15) << 31;
  float x;
  if ((h & 0x7c00) == 0x7c00) bits |= 0x7f800000; /* infinity and NaN */
  memcpy(&x, &bits, 4);
  if ((h & 0x7c00) != 0x7c00) x *= 0x1p112f;
  memcpy(&bits, &x, 4);
  bits |= sign;
  memcpy(&x, &bits, 4);
  return x;
}

static void all_sixteen_bit_floats(void **state)
{
  (void)state;
  enum { ALL = 65536 };
  const char *path = files_path("half.safetensors");
  uint16_t *bits = malloc(2 * ALL * sizeof *bits);
  double *half = malloc(2 * ALL * sizeof *half), *brain = half + ALL;
  for (int i = 0; i < ALL; i++) bits[i] = bits[ALL + i] = (uint16_t)i;
  files_write_st(path,
                 "{\"h\":{\"dtype\":\"F16\",\"shape\":[256,256],\"data_offsets\":[0,131072]},"
                 "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,262144]}}",
                 bits, 2 * ALL * sizeof *bits);
  TensorFile *f = file_open(path);
  check_file_tensor(f, "h", FILE_F16, 2, (int[]){256, 256}, ALL);
  check_file_tensor(f, "b", FILE_BF16, 1, (int[]){ALL}, ALL);
  assert_string_equal(file_type_name(file_find(f, "b")->type), "BF16");
  file_read_doubles(f, file_find(f, "h"), half);
  file_read_doubles(f, file_find(f, "b"), brain);
  file_close(f);
  for (unsigned i = 0; i < ALL; i++) {
    uint32_t wide = (uint32_t)i << 16;
    float b, h = half_by_bits(i);
    memcpy(&b, &wide, 4);
    bool same = isnan(h) ? isnan(half[i]) : same_bits(half[i], (double)h);
    if (!same) fail_msg("F16 %04x read as %g", i, half[i]);
    same = isnan(b) ? isnan(brain[i]) : same_bits(brain[i], (double)b);
    if (!same) fail_msg("BF16 %04x read as %g", i, brain[i]);
  }
  assert_true(half[0x3c00] == 1 && half[0xc000] == -2 && half[1] == 0x1p-24 && half[0x7bff] == 65504);
  assert_true(half[0x03ff] == 1023 * 0x1p-24 && half[0x0400] == 0x1p-14 && half[0x7c00] == (double)INFINITY);
  assert_true(same_bits(half[0x8000], -0.0) && isnan(half[0x7e00]) && isnan(half[0xfc01]));
  assert_true(brain[0x3f80] == 1 && brain[0xc040] == -3 && brain[1] == 0x1p-133 && isnan(brain[0x7fc0]));
  free(bits);
  free(half);
}

/* clang-format off */
static const struct {
  const char *name, *type;
  int size;
  unsigned char bytes[24];
  double want[3];
} by_hand[] = {
    {"f64", "F64", 8, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0xff},
     {1.5, 5e-324, -INFINITY}},
    {"f32", "F32", 4, {0, 0, 0xc0, 0x3f, 1, 0, 0, 0, 0, 0, 0x80, 0xff}, {1.5, 0x1p-149, -INFINITY}},
    {"f16", "F16", 2, {0, 0x3e, 1, 0, 0, 0xfc}, {1.5, 0x1p-24, -INFINITY}},
    {"bf16", "BF16", 2, {0xc0, 0x3f, 1, 0, 0x80, 0xff}, {1.5, 0x1p-133, -INFINITY}},
    {"i64", "I64", 8, {1, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80,
                       0xff, 0xff, 0xff, 0xff}, {513, -1, -2147483648.0}},
    {"i32", "I32", 4, {1, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80}, {513, -1, -2147483648.0}},
    {"u8", "U8", 1, {0, 127, 255}, {0, 127, 255}},
    {"bool", "BOOL", 1, {1, 0, 1}, {1, 0, 1}},
};
/* clang-format on */

static void every_type(void **state)
{
  (void)state;
  const char *path = files_path("types.safetensors");
  char header[160];
  for (size_t i = 0; i < sizeof by_hand / sizeof *by_hand; i++) {
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}",
             by_hand[i].name, by_hand[i].type, 3 * by_hand[i].size);
    files_write_st(path, header, by_hand[i].bytes, 3 * (size_t)by_hand[i].size);
    double doubles[3];
    real reals[3];
    int ints[3];
    FileCall c = {.path = path, .file = file_open(path)};
    c.entry = file_find(c.file, by_hand[i].name);
    assert_string_equal(file_type_name(c.entry->type), by_hand[i].type);
    file_read_doubles(c.file, c.entry, doubles);
    for (int j = 0; j < 3; j++) assert_true(same_bits(doubles[j], by_hand[i].want[j]));

    bool floating = strchr(by_hand[i].type, 'F') != NULL;
    c.out = floating ? (void *)ints : (void *)reals; /* and the other way round it must refuse */
    expect_failure_with(floating ? file_call_read_ints : file_call_read, &c, path, by_hand[i].name, by_hand[i].type,
                        NULL);
    if (floating) file_read(c.file, c.entry, reals);
    else file_read_ints(c.file, c.entry, ints);
    for (int j = 0; j < 3; j++)
      assert_true(same_bits(floating ? (double)reals[j] : ints[j],
                            floating ? (double)(real)by_hand[i].want[j] : by_hand[i].want[j]));
    file_close(c.file);
  }
}

static void integers_beyond_int(void **state)
{
  (void)state;
  const char *path = files_path("large.safetensors");
  int64_t large[2] = {2147483648, 1};
  int out[2];
  files_write_st(path, "{\"big\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}}", large, 16);
  FileCall c = {.path = path, .file = file_open(path), .out = out};
  c.entry = file_find(c.file, "big");
  expect_failure_with(file_call_read_ints, &c, path, "big", "32 bits", NULL);
  file_close(c.file);
}

/* ---- files of others ---- */

#define T(name, type, shape, from, to) \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[" shape "],\"data_offsets\":[" #from "," #to "]}"

static void unusual_but_valid(void **state)
{
  (void)state;
  const char *path = files_path("valid.safetensors");
  const unsigned char data[24] = {0};
  /* tensors in any order, no metadata, unknown fields, empty tensors between, eight axes, no axes */
  /* clang-format off */
  files_write_st(path, " {" T("z", "F32", "2", 0, 8) "," T("y", "U8", "1,1,1,1,1,1,1,4", 20, 24) ","
                       T("e", "F32", "0", 8, 8) "," T("s", "I32", "", 8, 12)
                       ",\"a\":{\"extra\":[1],\"data_offsets\":[12,20],\"shape\":[1],\"dtype\":\"F64\"}}  ",
                 data, sizeof data);
  /* clang-format on */
  TensorFile *f = file_open(path);
  assert_int_equal(file_count(f), 5);
  check_file_tensor(f, "z", FILE_F32, 1, (int[]){2}, 2);
  check_file_tensor(f, "y", FILE_U8, 8, (int[]){1, 1, 1, 1, 1, 1, 1, 4}, 4);
  check_file_tensor(f, "e", FILE_F32, 1, (int[]){0}, 0);
  check_file_tensor(f, "s", FILE_I32, 0, NULL, 1);
  check_file_tensor(f, "a", FILE_F64, 1, (int[]){1}, 1);
  assert_null(file_meta(f, "anything"));
  file_close(f);
}

/* The file was cut after it had been opened. */
static void shrinks_while_open(void **state)
{
  (void)state;
  enum { N = 1 << 16 };
  const char *path = files_path("shrinks.safetensors");
  double *numbers = calloc(N, sizeof *numbers);
  FileWriter *w = writer_create(path);
  writer_put_doubles(w, "x", 1, (int[]){N}, numbers);
  writer_finish(w);
  FileCall c = {.path = path, .file = file_open(path), .out = numbers};
  c.entry = file_find(c.file, "x");
  assert_int_equal(truncate(path, N), 0); /* pages that are gone would end the process */
  expect_failure_with(file_call_read_doubles, &c, path, "was changed since it was opened", NULL);
  file_close(c.file);
  free(numbers);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(all_sixteen_bit_floats), TEST(every_type),         TEST(integers_beyond_int),
      TEST(unusual_but_valid),      TEST(shrinks_while_open),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
