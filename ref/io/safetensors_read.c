/* The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes. */
#include "format.h"

#include "../engine/err.h"
#include "held_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_header = 100u << 20; /* the format's own limit */

/* A JSON number that is a whole number from 0 to max. */
static bool whole(const cJSON *j, double max, double *out)
{
  if (!cJSON_IsNumber(j) || !(j->valuedouble >= 0 && j->valuedouble <= max)) return false;
  *out = j->valuedouble;
  return floor(*out) == *out;
}

static FileType type_of(const char *name, const char *text)
{
  int type = 0;
  while (type < FILE_TYPES && strcmp(file_type_name((FileType)type), text)) type++;
  if (type == FILE_TYPES)
    rwkv_fail("tensor \"%s\" has dtype \"%.20s\"; known are F64 F32 F16 BF16, I64 to I8, U64 to U8, BOOL", name, text);
  return (FileType)type;
}

static int read_shape(const char *name, const cJSON *list, int *shape)
{
  int axes = 0;
  const cJSON *s;
  cJSON_ArrayForEach(s, list)
  {
    double size;
    if (axes == FILE_MAX_AXES) rwkv_fail("tensor \"%s\" has more than %d axes", name, FILE_MAX_AXES);
    if (!whole(s, 2147483647, &size)) rwkv_fail("tensor \"%s\" has a size that is not a whole number", name);
    shape[axes++] = (int)size;
  }
  return axes;
}

static void read_tensor(TensorFile *f, const cJSON *j, const unsigned char *data, size_t data_size)
{
  const char *name = j->string;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(j, "dtype");
  const cJSON *sizes = cJSON_GetObjectItemCaseSensitive(j, "shape");
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(j, "data_offsets");
  int shape[FILE_MAX_AXES];
  double from, to;
  rwkv_poll();
  if (!cJSON_IsString(dtype) || !cJSON_IsArray(sizes) || !cJSON_IsArray(offsets))
    rwkv_fail("tensor \"%s\" lacks dtype, shape or data_offsets", name);
  FileType type = type_of(name, dtype->valuestring);
  int axes = read_shape(name, sizes, shape);
  if (cJSON_GetArraySize(offsets) != 2 || !whole(offsets->child, (double)data_size, &from) ||
      !whole(offsets->child->next, (double)data_size, &to) || from > to)
    rwkv_fail("tensor \"%s\" has data_offsets outside the file's %zu bytes of data (truncated?)", name, data_size);
  const FileTensor *t = format_tensor(f, name, type, axes, shape, data + (size_t)from, (size_t)to - (size_t)from);
  if ((double)t->n * (double)file_type_size(type) != to - from)
    rwkv_fail("tensor \"%s\" has %zu elements of %s, but %.0f bytes", name, t->n, file_type_name(type), to - from);
}

static int by_place(const void *a, const void *b)
{
  const FileTensor *x = a, *y = b;
  if (rwkv_stopping()) return 0;
  return x->bytes != y->bytes ? (x->bytes > y->bytes ? 1 : -1) : (x->n > y->n) - (x->n < y->n);
}

/* Every byte of the data belongs to exactly one of the tensors from the first on, which are put into their order. */
static void check_layout(TensorFile *f, int first, const unsigned char *data, size_t data_size)
{
  const unsigned char *next = data;
  FileTensor *tensors = format_tensors(f);
  int count = format_count(f);
  if (count > first) qsort(tensors + first, (size_t)(count - first), sizeof *tensors, by_place);
  rwkv_poll();
  for (int i = first; i < count; i++) {
    FileTensor *t = &tensors[i];
    if (t->bytes < next) rwkv_fail("tensor \"%s\" overlaps the one before it", t->name);
    if (t->bytes > next) rwkv_fail("there is a gap of %td bytes before tensor \"%s\"", t->bytes - next, t->name);
    next = t->bytes + t->n * file_type_size(t->type);
  }
  if (next != data + data_size) rwkv_fail("%td bytes at the end belong to no tensor", data + data_size - next);
}

static void read_texts(TensorFile *f, const cJSON *meta)
{
  const cJSON *m;
  if (!cJSON_IsObject(meta)) rwkv_fail("__metadata__ is not a JSON object");
  cJSON_ArrayForEach(m, meta)
  {
    if (!cJSON_IsString(m)) rwkv_fail("metadata \"%s\" is not text", m->string);
    format_text(f, m->string, m->valuestring);
  }
}

static const cJSON *header_of(TensorFile *f, const Mapping *m, uint64_t length)
{
  const cJSON *header = held_json(f, m->bytes + 8, (size_t)length);
  if (!header) rwkv_fail("%s", json_problem);
  if (!cJSON_IsObject(header)) rwkv_fail("the header is not a JSON object");
  return header;
}

static void list(TensorFile *f, const Mapping *m)
{
  uint64_t length = 0;
  bool texts = false;
  format_name(f, "safetensors");
  if (m->size < 8) rwkv_fail("too short for a safetensors file (%zu bytes)", m->size);
  for (int i = 7; i >= 0; i--) length = length << 8 | m->bytes[i];
  if (length > m->size - 8)
    rwkv_fail("the header should be %llu bytes, the file has %zu: not safetensors, or truncated",
              (unsigned long long)length, m->size);
  if (length > max_header)
    rwkv_fail("the header of %llu bytes is larger than the format allows", (unsigned long long)length);
  const cJSON *j, *header = header_of(f, m, length);
  const unsigned char *data = m->bytes + 8 + length;
  size_t data_size = m->size - 8 - (size_t)length;
  int first = format_count(f);
  cJSON_ArrayForEach(j, header)
  {
    bool is_texts = strcmp(j->string, "__metadata__") == 0;
    if (is_texts && texts) rwkv_fail("__metadata__ stands there twice");
    texts |= is_texts;
    if (is_texts) read_texts(f, j);
    else read_tensor(f, j, data, data_size);
  }
  check_layout(f, first, data, data_size);
}

/* The lengths of some headers are how other files begin. */
static bool begins(const unsigned char *bytes, size_t size)
{
  uint64_t length = 0;
  for (int i = 7; i >= 0 && size > 8; i--) length = length << 8 | bytes[i];
  return size > 8 && length <= size - 8 && bytes[8] == '{';
}

const Format format_safetensors = {begins, list};
