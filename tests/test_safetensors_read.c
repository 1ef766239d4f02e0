/* Safetensors: what is written comes back, and no file, however broken, does more than fail. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "engine/rng.h"
#include "files.h"
#include "io/safetensors.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- failures ---- */

typedef struct {
  const char *path;
  StFile *file;
  const StEntry *entry;
  void *out;
  StWriter *writer;
} Call;

static void call_open(void *arg) { ((Call *)arg)->file = st_open(((Call *)arg)->path); }
static void call_finish(void *arg) { st_finish(((Call *)arg)->writer); }

static void call_read(void *arg)
{
  Call *c = arg;
  st_read(c->file, c->entry, c->out);
}

static void call_read_ints(void *arg)
{
  Call *c = arg;
  st_read_ints(c->file, c->entry, c->out);
}

static void call_read_doubles(void *arg)
{
  Call *c = arg;
  st_read_doubles(c->file, c->entry, c->out);
}

/* fn must fail with a message that holds every text of the list (ended by NULL). */
static void must_fail(void (*fn)(void *), Call *c, const char *const *texts)
{
  const char *message = rwkv_protect(fn, c);
  if (!message) {
    if (fn == call_open) st_close(c->file);
    fail_msg("%s: nothing failed, expected \"%s\"", c->path, texts[0]);
  }
  for (; *texts; texts++)
    if (!strstr(message, *texts)) fail_msg("the message \"%s\" lacks \"%s\"", message, *texts);
}

static void open_must_fail(const char *path, const char *text)
{
  must_fail(call_open, &(Call){.path = path}, (const char *const[]){path, text, NULL});
}

/* ---- round trip ---- */

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static const double awkward[] = {0,      -0.0,     1,         -1.5, 0.1, 1e300,
                                 -1e-300, 5e-324, INFINITY, -INFINITY, NAN, 1.0 / 3};
enum { AWKWARD = sizeof awkward / sizeof *awkward };

static void check_entry(const StFile *f, const char *name, StType type, int axes, const int *shape, size_t n)
{
  const StEntry *e = st_find(f, name);
  if (!e) fail_msg("\"%s\" is not there", name);
  assert_string_equal(e->name, name);
  assert_int_equal(e->type, type);
  assert_int_equal(e->axes, axes);
  for (int i = 0; i < axes; i++) assert_int_equal(e->shape[i], shape[i]);
  assert_int_equal(e->n, n);
}

static void write_everything(const char *path, const real *reals, const int *ints)
{
  StWriter *w = st_create(path);
  st_put_doubles(w, "doubles", 2, (int[]){3, 4}, awkward);
  st_put(w, "reals", 4, (int[]){1, 3, 2, 2}, reals);
  st_put_ints(w, "ints", 1, (int[]){5}, ints);
  st_put(w, "scalar", 0, (int[]){0}, reals + 3);
  st_put_doubles(w, "empty", 2, (int[]){3, 0}, awkward);
  st_put_ints(w, "none", 1, (int[]){0}, ints);
  st_put(w, "odd \"name\" \\ with\ttab, \xc3\xa9 and /slash", 1, (int[]){1}, reals + 4);
  st_put_meta(w, "version", "old");
  st_put_meta(w, "version", "v7");
  st_put_meta(w, "text", "two\nlines, \"quoted\", \xc3\xa9");
  st_put_meta(w, "blank", "");
  st_finish(w);
}

static void round_trip(void **state)
{
  (void)state;
  const char *path = files_path("all.safetensors");
  const int ints[5] = {0, -1, INT_MAX, INT_MIN, 65536};
  const StType own = sizeof(real) == 8 ? ST_F64 : ST_F32;
  real reals[AWKWARD], found[AWKWARD];
  for (int i = 0; i < AWKWARD; i++) reals[i] = (real)awkward[i];
  write_everything(path, reals, ints);
  assert_int_equal(files_count(), 1);

  StFile *f = st_open(path);
  assert_string_equal(st_path(f), path);
  assert_int_equal(st_count(f), 7);
  for (int i = 1; i < st_count(f); i++)
    assert_true(strcmp(st_entry(f, i - 1)->name, st_entry(f, i)->name) < 0);
  check_entry(f, "doubles", ST_F64, 2, (int[]){3, 4}, 12);
  check_entry(f, "reals", own, 4, (int[]){1, 3, 2, 2}, 12);
  check_entry(f, "ints", ST_I64, 1, (int[]){5}, 5);
  check_entry(f, "scalar", own, 0, NULL, 1);
  check_entry(f, "empty", ST_F64, 2, (int[]){3, 0}, 0);
  check_entry(f, "none", ST_I64, 1, (int[]){0}, 0);
  check_entry(f, "odd \"name\" \\ with\ttab, \xc3\xa9 and /slash", own, 1, (int[]){1}, 1);
  assert_null(st_find(f, "double"));
  assert_null(st_find(f, "__metadata__"));

  double doubles[AWKWARD];
  st_read_doubles(f, st_find(f, "doubles"), doubles);
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan(doubles[i]) : same_bits(doubles[i], awkward[i]));
  st_read(f, st_find(f, "reals"), found);
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan((double)found[i]) : same_bits((double)found[i], (double)reals[i]));
  st_read(f, st_find(f, "doubles"), found); /* F64 into real */
  for (int i = 0; i < AWKWARD; i++)
    assert_true(isnan(awkward[i]) ? isnan((double)found[i]) : same_bits((double)found[i], (double)reals[i]));
  int back[5];
  st_read_ints(f, st_find(f, "ints"), back);
  assert_memory_equal(back, ints, sizeof ints);
  st_read(f, st_find(f, "scalar"), found);
  assert_true(same_bits((double)found[0], (double)reals[3]));
  found[0] = 7;
  st_read(f, st_find(f, "empty"), found);
  assert_true(found[0] == 7); /* nothing to read, nothing written */

  assert_string_equal(st_meta(f, "version"), "v7");
  assert_string_equal(st_meta(f, "text"), "two\nlines, \"quoted\", \xc3\xa9");
  assert_string_equal(st_meta(f, "blank"), "");
  assert_null(st_meta(f, "Version"));
  st_close(f);

  size_t n;
  unsigned char *bytes = files_read(path, &n);
  assert_int_equal(bytes[0] % 8, 0); /* data at a multiple of 8, as other readers like it */
  free(bytes);
}

static void scalar_without_shape(void **state)
{
  (void)state;
  const char *path = files_path("scalar.safetensors");
  StWriter *w = st_create(path);
  st_put_doubles(w, "x", 0, NULL, awkward + 4); /* no axes: nothing that a shape could point to */
  st_finish(w);
  StFile *f = st_open(path);
  check_entry(f, "x", ST_F64, 0, NULL, 1);
  st_close(f);
}

/* Tensors without elements take no bytes; a file may hold nothing else. */
static void only_empty_tensors(void **state)
{
  (void)state;
  const char *path = files_path("empty.safetensors");
  StWriter *w = st_create(path);
  st_finish(w);
  StFile *f = st_open(path);
  assert_int_equal(st_count(f), 0);
  assert_null(st_find(f, "x"));
  st_close(f);

  w = st_create(path);
  st_put_doubles(w, "a", 2, (int[]){0, 5}, awkward);
  st_put_doubles(w, "b", 2, (int[]){5, 0}, awkward);
  st_finish(w);
  f = st_open(path);
  check_entry(f, "a", ST_F64, 2, (int[]){0, 5}, 0);
  check_entry(f, "b", ST_F64, 2, (int[]){5, 0}, 0);
  st_close(f);
}

static void many_tensors(void **state)
{
  (void)state;
  enum { COUNT = 700, SIZE = 9 };
  const char *path = files_path("many.safetensors");
  double *all = calloc((size_t)COUNT * SIZE, sizeof *all), found[SIZE];
  char name[40];
  StWriter *w = st_create(path);
  for (int i = 0; i < COUNT; i++) {
    for (int j = 0; j < SIZE; j++) all[i * SIZE + j] = i + j / 100.0;
    snprintf(name, sizeof name, "t%d", i * 7919 % COUNT);
    st_put_doubles(w, name, 2, (int[]){SIZE, 1}, all + i * SIZE);
  }
  st_finish(w);
  StFile *f = st_open(path);
  assert_int_equal(st_count(f), COUNT);
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "t%d", i * 7919 % COUNT);
    st_read_doubles(f, st_find(f, name), found);
    assert_memory_equal(found, all + i * SIZE, sizeof found);
  }
  st_close(f);
  free(all);
}

static void put_twice(void *arg)
{
  Call *c = arg;
  st_put_doubles(c->writer, "x", 1, (int[]){1}, awkward);
  st_put_doubles(c->writer, "x", 1, (int[]){1}, awkward);
}

static void same_name_twice(void **state)
{
  (void)state;
  Call c = {.path = files_path("twice.safetensors")};
  c.writer = st_create(c.path);
  must_fail(put_twice, &c, (const char *const[]){c.path, "\"x\"", NULL});
  st_abandon(c.writer);
  assert_int_equal(files_count(), 0);
}

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
  files_write_st(path, "{\"h\":{\"dtype\":\"F16\",\"shape\":[256,256],\"data_offsets\":[0,131072]},"
                       "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,262144]}}",
                 bits, 2 * ALL * sizeof *bits);
  StFile *f = st_open(path);
  check_entry(f, "h", ST_F16, 2, (int[]){256, 256}, ALL);
  check_entry(f, "b", ST_BF16, 1, (int[]){ALL}, ALL);
  assert_string_equal(st_type_name(st_find(f, "b")->type), "BF16");
  st_read_doubles(f, st_find(f, "h"), half);
  st_read_doubles(f, st_find(f, "b"), brain);
  st_close(f);
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
    Call c = {.path = path, .file = st_open(path)};
    c.entry = st_find(c.file, by_hand[i].name);
    assert_string_equal(st_type_name(c.entry->type), by_hand[i].type);
    st_read_doubles(c.file, c.entry, doubles);
    for (int j = 0; j < 3; j++) assert_true(same_bits(doubles[j], by_hand[i].want[j]));

    const char *const refusal[] = {path, by_hand[i].name, by_hand[i].type, NULL};
    bool floating = strchr(by_hand[i].type, 'F') != NULL;
    c.out = floating ? (void *)ints : (void *)reals; /* and the other way round it must refuse */
    must_fail(floating ? call_read_ints : call_read, &c, refusal);
    if (floating) st_read(c.file, c.entry, reals);
    else st_read_ints(c.file, c.entry, ints);
    for (int j = 0; j < 3; j++)
      assert_true(same_bits(floating ? (double)reals[j] : ints[j],
                            floating ? (double)(real)by_hand[i].want[j] : by_hand[i].want[j]));
    st_close(c.file);
  }
}

static void integers_beyond_int(void **state)
{
  (void)state;
  const char *path = files_path("large.safetensors");
  int64_t large[2] = {2147483648, 1};
  int out[2];
  files_write_st(path, "{\"big\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}}", large, 16);
  Call c = {.path = path, .file = st_open(path), .out = out};
  c.entry = st_find(c.file, "big");
  must_fail(call_read_ints, &c, (const char *const[]){path, "big", "32 bits", NULL});
  st_close(c.file);
}

/* ---- nothing half-written ---- */

static void put_one(StWriter *w, const double *x) { st_put_doubles(w, "x", 1, (int[]){2}, x); }

static void holds(const char *path, const double want[2])
{
  double found[2];
  StFile *f = st_open(path);
  st_read_doubles(f, st_find(f, "x"), found);
  st_close(f);
  assert_memory_equal(found, want, sizeof found);
}

static void abandoned(void **state)
{
  (void)state;
  const char *path = files_path("abandoned.safetensors");
  StWriter *w = st_create(path);
  put_one(w, awkward);
  st_put_meta(w, "a", "b");
  st_abandon(w);
  assert_int_equal(files_count(), 0);
  st_abandon(NULL);

  w = st_create(path);
  put_one(w, awkward + 2);
  st_finish(w);
  w = st_create(path);
  put_one(w, awkward + 4);
  assert_int_equal(files_count(), 1);
  holds(path, awkward + 2); /* until st_finish the old file stands */
  st_abandon(w);
  holds(path, awkward + 2);
  w = st_create(path);
  put_one(w, awkward + 4);
  st_finish(w);
  holds(path, awkward + 4);
  assert_int_equal(files_count(), 1);
}

static void finish_must_fail(const char *path)
{
  Call c = {.path = path, .writer = st_create(path)};
  put_one(c.writer, awkward);
  must_fail(call_finish, &c, (const char *const[]){path, NULL});
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
  StWriter *w = st_create(path);
  put_one(w, awkward + 2);
  st_finish(w);

  double *big = calloc(N, sizeof *big);
  Call c = {.path = path, .writer = st_create(path)};
  st_put_doubles(c.writer, "x", 1, (int[]){N}, big);
  struct rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = N;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const char *message = rwkv_protect(call_finish, &c);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_non_null(message);
  assert_non_null(strstr(message, path));
  free(big);
  assert_int_equal(files_count(), 1);
  holds(path, awkward + 2);
}

/* The file was cut after it had been opened. */
static void shrinks_while_open(void **state)
{
  (void)state;
  enum { N = 1 << 16 };
  const char *path = files_path("shrinks.safetensors");
  double *numbers = calloc(N, sizeof *numbers);
  StWriter *w = st_create(path);
  st_put_doubles(w, "x", 1, (int[]){N}, numbers);
  st_finish(w);
  Call c = {.path = path, .file = st_open(path), .out = numbers};
  c.entry = st_find(c.file, "x");
  assert_int_equal(truncate(path, (off_t)c.entry->from + N), 0);
  must_fail(call_read_doubles, &c, (const char *const[]){path, "\"x\"", NULL});
  st_close(c.file);
  free(numbers);
}

/* ---- broken files ---- */

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
    Call c = {.path = path};
    const char *message = rwkv_protect(call_open, &c);
    if (!message) {
      st_close(c.file);
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
  open_must_fail(path, "0 bytes");
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
  StFile *f = st_open(path);
  assert_int_equal(st_count(f), 0);
  st_close(f);
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

/* ---- files that must open ---- */

static void unusual_but_valid(void **state)
{
  (void)state;
  const char *path = files_path("valid.safetensors");
  const unsigned char data[24] = {0};
  /* tensors in any order, no metadata, unknown fields, empty tensors between, eight axes, no axes */
  files_write_st(path, " {" T("z", "F32", "2", 0, 8) "," T("y", "U8", "1,1,1,1,1,1,1,4", 20, 24) ","
                       T("e", "F32", "0", 8, 8) "," T("s", "I32", "", 8, 12)
                       ",\"a\":{\"extra\":[1],\"data_offsets\":[12,20],\"shape\":[1],\"dtype\":\"F64\"}}  ",
                 data, sizeof data);
  StFile *f = st_open(path);
  assert_int_equal(st_count(f), 5);
  check_entry(f, "z", ST_F32, 1, (int[]){2}, 2);
  check_entry(f, "y", ST_U8, 8, (int[]){1, 1, 1, 1, 1, 1, 1, 4}, 4);
  check_entry(f, "e", ST_F32, 1, (int[]){0}, 0);
  check_entry(f, "s", ST_I32, 0, NULL, 1);
  check_entry(f, "a", ST_F64, 1, (int[]){1}, 1);
  assert_null(st_meta(f, "anything"));
  st_close(f);
}

/* ---- fuzz ---- */

/* Reads all there is; every failure has to name the file. */
static void read_through(Call *c)
{
  for (int i = 0; i < st_count(c->file); i++) {
    const StEntry *e = c->entry = st_entry(c->file, i);
    assert_ptr_equal(st_find(c->file, e->name), e);
    c->out = malloc(e->n * sizeof(double) + 1);
    bool floating = e->type <= ST_BF16;
    const char *message = rwkv_protect(call_read_doubles, c);
    if (message) fail_msg("what was opened could not be read: %s", message);
    message = rwkv_protect(floating ? call_read : call_read_ints, c);
    if (message && !strstr(message, c->path)) fail_msg("the message does not name the file: %s", message);
    free(c->out);
  }
  st_meta(c->file, "version");
}

/* Opens the bytes as a file; returns whether that went well. */
static bool try_bytes(const char *path, const unsigned char *bytes, size_t n)
{
  Call c = {.path = path};
  files_write(path, bytes, n);
  const char *message = rwkv_protect(call_open, &c);
  if (message) {
    if (!strstr(message, path)) fail_msg("the message does not name the file: %s", message);
    return false;
  }
  read_through(&c);
  st_close(c.file);
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
    default: /* a piece taken out */
      memmove(bytes + at, bytes + at + 1, n - at - 1);
      return n > 1 ? n - 1 : n;
  }
  return n;
}

static void fuzz(void **state)
{
  (void)state;
  enum { ROUNDS = 4000, ROOM = 4096 };
  const char *path = files_path("fuzz.safetensors");
  real reals[6] = {1, 2, 3, 4, 5, 6};
  StWriter *w = st_create(path);
  st_put(w, "blocks.0.a", 2, (int[]){2, 3}, reals);
  st_put_ints(w, "tokens", 1, (int[]){4}, (int[]){1, 2, 3, 4});
  st_put_doubles(w, "scalar", 0, (int[]){0}, awkward);
  st_put_meta(w, "version", "v7");
  st_finish(w);
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
      TEST(round_trip),
      TEST(scalar_without_shape),
      TEST(only_empty_tensors),
      TEST(many_tensors),
      TEST(same_name_twice),
      TEST(all_sixteen_bit_floats),
      TEST(every_type),
      TEST(integers_beyond_int),
      TEST(abandoned),
      TEST(places_that_cannot_be),
      TEST(no_room),
      TEST(shrinks_while_open),
      TEST(broken_headers),
      TEST(broken_lengths),
      TEST(zero_in_a_name),
      TEST(deeply_nested),
      TEST(unusual_but_valid),
      TEST(fuzz),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
