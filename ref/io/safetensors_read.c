#include "safetensors.h"

#include "../engine/err.h"
#include "json.h"
#include "regular.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  size_t size;
} types[ST_DTYPES] = {[ST_F64] = {"F64", 8}, [ST_F32] = {"F32", 4}, [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
                      [ST_I64] = {"I64", 8}, [ST_I32] = {"I32", 4}, [ST_U8] = {"U8", 1},   [ST_BOOL] = {"BOOL", 1}};

struct StFile {
  char *path;
  FILE *file;
  cJSON *header;    /* owns the names */
  StEntry *entries; /* sorted by name */
  int count;
  const cJSON **texts; /* the metadata, sorted by name */
  int text_count;
};

static const size_t max_header = 100u << 20; /* the format's own limit */

_Noreturn static void bad(StFile *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

_Noreturn static void bad(StFile *f, const char *format, ...)
{
  char text[400], path[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  snprintf(path, sizeof path, "%s", f->path);
  st_close(f);
  rwkv_fail("%s: %s", path, text);
}

/* A JSON number that is a whole number from 0 to max. */
static bool whole(const cJSON *j, double max, double *out)
{
  if (!cJSON_IsNumber(j) || !(j->valuedouble >= 0 && j->valuedouble <= max)) return false;
  *out = j->valuedouble;
  return floor(*out) == *out;
}

static void read_entry(StFile *f, const cJSON *j, StEntry *e, size_t data_from, size_t data_size)
{
  e->name = j->string;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(j, "dtype");
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(j, "shape");
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(j, "data_offsets");
  if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets))
    bad(f, "tensor \"%s\" lacks dtype, shape or data_offsets", e->name);

  int type = 0;
  while (type < ST_DTYPES && strcmp(types[type].name, dtype->valuestring)) type++;
  if (type == ST_DTYPES)
    bad(f, "tensor \"%s\" has dtype \"%.20s\"; known are F64 F32 F16 BF16 I64 I32 U8 BOOL", e->name,
        dtype->valuestring);
  e->type = (StType)type;

  if (rwkv_stopping()) bad(f, "interrupted");
  double size, from, to;
  e->n = 1;
  const cJSON *s;
  cJSON_ArrayForEach(s, shape)
  {
    if (e->axes == ST_MAX_AXES) bad(f, "tensor \"%s\" has more than %d axes", e->name, ST_MAX_AXES);
    if (!whole(s, 2147483647, &size)) bad(f, "tensor \"%s\" has a size that is not a whole number", e->name);
    if (size > 0 && e->n > SIZE_MAX / 8 / (size_t)size) bad(f, "tensor \"%s\" is larger than the file", e->name);
    e->shape[e->axes++] = (int)size;
    e->n *= (size_t)size;
  }
  if (cJSON_GetArraySize(offsets) != 2 || !whole(offsets->child, (double)data_size, &from) ||
      !whole(offsets->child->next, (double)data_size, &to) || from > to)
    bad(f, "tensor \"%s\" has data_offsets outside the file's %zu bytes of data (truncated?)", e->name, data_size);
  if ((double)e->n * (double)types[type].size != to - from)
    bad(f, "tensor \"%s\" has %zu elements of %s, but %.0f bytes", e->name, e->n, types[type].name, to - from);
  e->from = data_from + (size_t)from;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(((const StEntry *)a)->name, ((const StEntry *)b)->name);
}

/* Nothing can fail in qsort: once somebody wants to stop all is equal to it, and soon sorted. */
static void sort(StFile *f, void *list, int count, size_t size, int (*order)(const void *, const void *))
{
  if (count > 1) qsort(list, (size_t)count, size, order);
  if (rwkv_stopping()) bad(f, "interrupted");
}

static int by_name_until_stop(const void *a, const void *b) { return rwkv_stopping() ? 0 : by_name(a, b); }

static int by_place(const void *a, const void *b)
{
  const StEntry *x = a, *y = b;
  if (rwkv_stopping()) return 0;
  return x->from != y->from ? (x->from > y->from ? 1 : -1) : (x->n > y->n) - (x->n < y->n);
}

/* Every byte of the data belongs to exactly one tensor. */
static void check_layout(StFile *f, size_t data_from, size_t data_size)
{
  size_t next = data_from;
  sort(f, f->entries, f->count, sizeof *f->entries, by_place);
  for (int i = 0; i < f->count; i++) {
    const StEntry *e = &f->entries[i];
    if (e->from < next) bad(f, "tensor \"%s\" overlaps the one before it", e->name);
    if (e->from > next) bad(f, "there is a gap of %zu bytes before tensor \"%s\"", e->from - next, e->name);
    next = e->from + e->n * types[e->type].size;
  }
  if (next != data_from + data_size) bad(f, "%zu bytes at the end belong to no tensor", data_from + data_size - next);
}

static int by_key(const void *a, const void *b)
{
  return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int by_key_until_stop(const void *a, const void *b) { return rwkv_stopping() ? 0 : by_key(a, b); }

static void read_texts(StFile *f, const cJSON *meta)
{
  const cJSON *m;
  if (!cJSON_IsObject(meta)) bad(f, "__metadata__ is not a JSON object");
  if (f->texts) bad(f, "__metadata__ stands there twice");
  f->texts = rwkv_try_alloc((size_t)cJSON_GetArraySize(meta) + 1, sizeof *f->texts);
  if (!f->texts) bad(f, "out of memory");
  cJSON_ArrayForEach(m, meta)
  {
    if (!cJSON_IsString(m)) bad(f, "metadata \"%s\" is not text", m->string);
    f->texts[f->text_count++] = m;
  }
  sort(f, f->texts, f->text_count, sizeof *f->texts, by_key_until_stop);
  for (int i = 1; i < f->text_count; i++)
    if (by_key(&f->texts[i - 1], &f->texts[i]) == 0) bad(f, "metadata \"%s\" stands there twice", f->texts[i]->string);
}

static void parse(StFile *f, size_t data_from, size_t data_size)
{
  if (!cJSON_IsObject(f->header)) bad(f, "the header is not a JSON object");
  int children = cJSON_GetArraySize(f->header);
  f->entries = rwkv_try_alloc((size_t)children + 1, sizeof *f->entries);
  if (!f->entries) bad(f, "out of memory");
  const cJSON *j;
  cJSON_ArrayForEach(j, f->header)
  {
    if (strcmp(j->string, "__metadata__") == 0) read_texts(f, j);
    else read_entry(f, j, &f->entries[f->count++], data_from, data_size);
  }
  check_layout(f, data_from, data_size);
  sort(f, f->entries, f->count, sizeof *f->entries, by_name_until_stop);
  for (int i = 1; i < f->count; i++)
    if (strcmp(f->entries[i].name, f->entries[i - 1].name) == 0)
      bad(f, "tensor \"%s\" stands there twice", f->entries[i].name);
}

StFile *st_open(const char *path)
{
  size_t size;
  FILE *file = regular_open(path, &size);
  StFile *f = rwkv_try_alloc(1, sizeof *f);
  char *copy = strdup(path), *text = NULL;
  if (!f || !copy) {
    rwkv_release(f), free(copy), fclose(file);
    rwkv_fail("%s: out of memory", path);
  }
  json_counted();
  f->path = copy;
  f->file = file;

  unsigned char head[8];
  if (size < 8 || fread(head, 1, 8, file) != 8) bad(f, "too short for a safetensors file (%zu bytes)", size);
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | head[i];
  if (length > size - 8)
    bad(f, "the header should be %llu bytes, the file has %zu: not safetensors, or truncated",
        (unsigned long long)length, size);
  if (length > max_header)
    bad(f, "the header of %llu bytes is larger than the format allows", (unsigned long long)length);
  text = rwkv_try_alloc(1, (size_t)length + 1);
  if (!text) bad(f, "out of memory");
  bool whole_header = fread(text, 1, (size_t)length, file) == length;
  text[length] = 0;
  bool is_text = whole_header && strlen(text) == length;
  if (is_text) f->header = json_parse(text);
  rwkv_release(text);
  if (!f->header) bad(f, "%s", is_text ? json_problem : "the header is not JSON");
  parse(f, 8 + (size_t)length, size - 8 - (size_t)length);
  return f;
}

void st_close(StFile *f)
{
  if (!f) return;
  if (f->file) fclose(f->file);
  cJSON_Delete(f->header);
  rwkv_release(f->entries);
  rwkv_release(f->texts);
  free(f->path);
  rwkv_release(f);
}

const char *st_path(const StFile *f) { return f->path; }

void st_fail(const StFile *f, const char *message)
{
  size_t n = strlen(f->path);
  bool there = strncmp(message, f->path, n) == 0 && message[n] == ':';
  rwkv_fail("%s%s%s", there ? "" : f->path, there ? "" : ": ", message);
}

int st_count(const StFile *f) { return f->count; }
const StEntry *st_entry(const StFile *f, int i) { return &f->entries[i]; }
const char *st_type_name(StType type) { return types[type].name; }

const StEntry *st_find(const StFile *f, const char *name)
{
  StEntry key = {.name = name};
  return f->count ? bsearch(&key, f->entries, (size_t)f->count, sizeof key, by_name) : NULL;
}

const char *st_meta(const StFile *f, const char *key)
{
  const cJSON sought = {.string = (char *)key}, *at = &sought;
  const cJSON **m = f->text_count ? bsearch(&at, f->texts, (size_t)f->text_count, sizeof at, by_key) : NULL;
  return m ? (*m)->valuestring : NULL;
}

const char *st_meta_at(const StFile *f, int i, const char **key)
{
  if (i >= f->text_count) return NULL;
  *key = f->texts[i]->string;
  return f->texts[i]->valuestring;
}

/* ---- values ---- */

static double element(StType type, const unsigned char *p)
{
  double d;
  float s;
  int64_t l;
  int32_t i;
  uint16_t h;
  uint32_t bits;
  switch (type) {
  case ST_F64: return memcpy(&d, p, 8), d;
  case ST_F32: return memcpy(&s, p, 4), (double)s;
  case ST_F16: return memcpy(&h, p, 2), packed_half(h);
  case ST_BF16: return memcpy(&h, p, 2), bits = (uint32_t)h << 16, memcpy(&s, &bits, 4), (double)s;
  case ST_I64: return memcpy(&l, p, 8), (double)l;
  case ST_I32: return memcpy(&i, p, 4), i;
  default: return *p;
  }
}

enum { PIECE = 1 << 14 }; /* how many numbers are read at a time */

static void seek(StFile *f, const StEntry *e)
{
  if (fseek(f->file, (long)e->from, SEEK_SET)) rwkv_fail("%s: %s", f->path, strerror(errno));
}

/* The bytes of the next elements: as many as there are from `at` on, but no more than PIECE. Returns their number. */
static size_t read_piece(StFile *f, const StEntry *e, size_t at, void *bytes)
{
  size_t count = e->n - at < PIECE ? e->n - at : PIECE;
  rwkv_poll();
  if (fread(bytes, types[e->type].size, count, f->file) != count)
    rwkv_fail("%s: ends inside tensor \"%s\"", f->path, e->name);
  return count;
}

/* Calls put(out, i, value) for every element. */
static void read_all(StFile *f, const StEntry *e, void *out, void (*put)(void *out, size_t i, double x))
{
  unsigned char bytes[8 * PIECE];
  size_t size = types[e->type].size;
  seek(f, e);
  for (size_t i = 0; i < e->n;) {
    size_t count = read_piece(f, e, i, bytes);
    for (size_t j = 0; j < count; j++) put(out, i++, element(e->type, bytes + j * size));
  }
}

static bool is_floating(StType t) { return t <= ST_BF16; }

static void put_real(void *out, size_t i, double x) { ((real *)out)[i] = (real)x; }
static void put_double(void *out, size_t i, double x) { ((double *)out)[i] = x; }

static void check_floating(const StFile *f, const StEntry *e)
{
  if (!is_floating(e->type))
    rwkv_fail("%s: tensor \"%s\" is %s, expected F64, F32, F16 or BF16", f->path, e->name, types[e->type].name);
}

void st_read(StFile *f, const StEntry *e, real *out)
{
  check_floating(f, e);
  read_all(f, e, out, put_real);
}

void st_read_doubles(StFile *f, const StEntry *e, double *out) { read_all(f, e, out, put_double); }

bool st_storage(StType type, Storage *out)
{
  *out = type == ST_BF16 ? STORED_BF16 : type == ST_F16 ? STORED_F16 : STORED_F32;
  return type == ST_F32 || type == ST_BF16 || type == ST_F16;
}

void st_read_tensor(StFile *f, const StEntry *e, Tensor *t)
{
  unsigned char bytes[8 * PIECE];
  real numbers[PIECE];
  size_t size = types[e->type].size;
  check_floating(f, e);
  seek(f, e);
  for (size_t at = 0, count; at < e->n; at += count) {
    count = read_piece(f, e, at, bytes);
    if (t->packed.bits) tensor_write_packed(t, at, count, bytes);
    for (size_t i = 0; !t->packed.bits && i < count; i++) numbers[i] = (real)element(e->type, bytes + i * size);
    if (!t->packed.bits) tensor_write(t, at, count, numbers);
  }
}

typedef struct {
  int *out;
  size_t outside;
} Ints;

static void put_int(void *ctx, size_t i, double x)
{
  Ints *v = ctx;
  bool fits = x >= -2147483648.0 && x <= 2147483647.0;
  v->outside += !fits;
  v->out[i] = fits ? (int)x : 0;
}

void st_read_ints(StFile *f, const StEntry *e, int *out)
{
  if (is_floating(e->type))
    rwkv_fail("%s: tensor \"%s\" is %s, expected integers", f->path, e->name, types[e->type].name);
  Ints v = {out, 0};
  read_all(f, e, &v, put_int);
  if (v.outside) rwkv_fail("%s: tensor \"%s\" has %zu numbers beyond 32 bits", f->path, e->name, v.outside);
}
