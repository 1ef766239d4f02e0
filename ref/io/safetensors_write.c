#include "writer.h"

#include "../engine/err.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What to write: a tensor, or plain memory. */
typedef struct {
  const Tensor *tensor; /* NULL: it is memory */
  const void *memory;
  size_t size; /* bytes an element in memory */
  size_t n;
  bool ints; /* int in memory, I64 in the file */
} Part;

/* The items of an object by name: an open hash table of 2^n places, at most half of them taken. */
typedef struct {
  cJSON **place;
  size_t room, count;
} Index;

static const char *const real_type = sizeof(real) == 8 ? "F64" : "F32";

struct FileWriter {
  char *path;
  cJSON *header, *meta;
  Index tensors, texts; /* of header, of meta */
  Part *parts;
  int count, room;
  size_t bytes; /* of data so far */
};

FileWriter *writer_create(const char *path)
{
  json_counted();
  FileWriter *w = rwkv_alloc(1, sizeof *w, "writer");
  w->path = strdup(path);
  w->header = cJSON_CreateObject();
  w->meta = w->header ? cJSON_AddObjectToObject(w->header, "__metadata__") : NULL;
  if (!w->path || !w->meta) {
    writer_abandon(w);
    rwkv_fail("%s: out of memory", path);
  }
  return w;
}

void writer_abandon(FileWriter *w)
{
  if (!w) return;
  cJSON_Delete(w->header);
  rwkv_release(w->tensors.place);
  rwkv_release(w->texts.place);
  rwkv_release(w->parts);
  free(w->path);
  rwkv_release(w);
}

_Noreturn static void no_memory(const FileWriter *w) { rwkv_fail("%s: out of memory for its header", w->path); }

static void add(const FileWriter *w, cJSON *to, const char *name, cJSON *item)
{
  if (cJSON_AddItemToObject(to, name, item)) return;
  cJSON_Delete(item);
  no_memory(w);
}

/* Where the item of this name stands, or would. */
static cJSON **place_of(const Index *x, const char *name)
{
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  size_t at = (size_t)(hash ^ hash >> 32) & (x->room - 1);
  while (x->place[at] && strcmp(x->place[at]->string, name)) at = (at + 1) & (x->room - 1);
  return &x->place[at];
}

static void make_room(const FileWriter *w, Index *x)
{
  if (2 * x->count < x->room) return;
  Index larger = {.room = x->room ? 2 * x->room : 64, .count = x->count};
  larger.place = rwkv_try_alloc(larger.room, sizeof *larger.place);
  if (!larger.place) no_memory(w);
  for (size_t i = 0; i < x->room; i++)
    if (x->place[i]) *place_of(&larger, x->place[i]->string) = x->place[i];
  rwkv_release(x->place);
  *x = larger;
}

static void put(FileWriter *w, const char *name, const char *dtype, int axes, const int *shape, Part part,
                size_t stored)
{
  if (w->count == w->room) {
    int room = w->room ? 2 * w->room : 64;
    Part *parts = rwkv_try_alloc((size_t)room, sizeof *parts);
    if (!parts) no_memory(w);
    if (w->count) memcpy(parts, w->parts, (size_t)w->count * sizeof *parts);
    rwkv_release(w->parts);
    w->parts = parts, w->room = room;
  }
  make_room(w, &w->tensors);
  cJSON **place = place_of(&w->tensors, name);
  if (*place) rwkv_fail("%s: tensor \"%s\" twice", w->path, name);
  part.n = 1;
  for (int i = 0; i < axes; i++) part.n *= (size_t)shape[i];
  double offsets[2] = {(double)w->bytes, (double)(w->bytes + part.n * stored)};
  cJSON *e = cJSON_CreateObject();
  add(w, w->header, name, e);
  *place = e, w->tensors.count++;
  add(w, e, "dtype", cJSON_CreateString(dtype));
  add(w, e, "shape", axes ? cJSON_CreateIntArray(shape, axes) : cJSON_CreateArray());
  add(w, e, "data_offsets", cJSON_CreateDoubleArray(offsets, 2));
  w->parts[w->count++] = part;
  w->bytes += part.n * stored;
}

void writer_put(FileWriter *w, const char *name, int axes, const int *shape, const real *data)
{
  put(w, name, real_type, axes, shape, (Part){.memory = data, .size = sizeof(real)}, sizeof(real));
}

static const char *packed_type(Storage storage)
{
  static const FileType in_file[STORAGE_COUNT] = {
      [STORED_F32] = FILE_F32, [STORED_BF16] = FILE_BF16, [STORED_F16] = FILE_F16};
  return file_type_name(in_file[storage]);
}

void writer_put_packed(FileWriter *w, const char *name, int axes, const int *shape, Packed data)
{
  size_t size = storage_size(data.storage);
  put(w, name, packed_type(data.storage), axes, shape, (Part){.memory = data.bits, .size = size}, size);
}

void writer_put_tensor(FileWriter *w, const char *name, const Tensor *t)
{
  bool packed = t->packed.bits != NULL;
  size_t size = packed ? storage_size(t->packed.storage) : sizeof(real);
  put(w, name, packed ? packed_type(t->packed.storage) : real_type, t->axes, t->shape, (Part){.tensor = t}, size);
}

void writer_put_doubles(FileWriter *w, const char *name, int axes, const int *shape, const double *data)
{
  put(w, name, "F64", axes, shape, (Part){.memory = data, .size = sizeof(double)}, sizeof(double));
}

void writer_put_ints(FileWriter *w, const char *name, int axes, const int *shape, const int *data)
{
  put(w, name, "I64", axes, shape, (Part){.memory = data, .size = sizeof(int), .ints = true}, sizeof(int64_t));
}

void writer_put_meta(FileWriter *w, const char *key, const char *text)
{
  make_room(w, &w->texts);
  cJSON **place = place_of(&w->texts, key);
  if (*place) {
    if (!cJSON_SetValuestring(*place, text)) no_memory(w);
    return;
  }
  cJSON *item = cJSON_CreateString(text);
  add(w, w->meta, key, item);
  *place = item, w->texts.count++;
}

/* As packed_write, of numbers that the storage has exactly. */
static void packed_exact(void *out, Storage storage, const real *x, size_t n)
{
  if (storage != STORED_BF16) packed_write(out, storage, x, n);
  for (size_t i = 0; storage == STORED_BF16 && i < n; i++) {
    float f = (float)x[i];
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    memcpy((char *)out + 2 * i, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
  }
}

/* In pieces: the memory of the tensor may be a device's, and there may be little of ours left. */
static bool write_tensor(FILE *f, const Tensor *t)
{
  enum { PIECE = 1 << 14 };
  real numbers[PIECE];
  uint32_t bits[PIECE];
  bool ok = true;
  for (size_t at = 0, count; ok && at < t->n; at += count) {
    count = t->n - at < PIECE ? t->n - at : PIECE;
    tensor_read(t, at, count, numbers);
    if (t->packed.bits) packed_exact(bits, t->packed.storage, numbers, count);
    ok = t->packed.bits ? fwrite(bits, storage_size(t->packed.storage), count, f) == count
                        : fwrite(numbers, sizeof *numbers, count, f) == count;
  }
  return ok;
}

static bool write_part(FILE *f, const Part *p)
{
  if (p->tensor) return write_tensor(f, p->tensor);
  if (!p->ints) return fwrite(p->memory, p->size, p->n, f) == p->n;
  for (size_t i = 0; i < p->n; i++) {
    int64_t x = ((const int *)p->memory)[i];
    if (fwrite(&x, sizeof x, 1, f) != 1) return false;
  }
  return true;
}

static bool write_all(FileWriter *w, FILE *f)
{
  char *text = cJSON_PrintUnformatted(w->header);
  if (!text) return errno = ENOMEM, false;
  size_t length = strlen(text), padded = (length + 7) / 8 * 8; /* data starts at a multiple of 8 */
  unsigned char head[8];
  for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)padded >> 8 * i);
  bool ok = fwrite(head, 1, 8, f) == 8 && fprintf(f, "%-*s", (int)padded, text) == (int)padded;
  cJSON_free(text);
  for (int i = 0; ok && i < w->count; i++) ok = write_part(f, &w->parts[i]);
  return ok;
}

void writer_finish(FileWriter *w)
{
  Output o;
  char path[400];
  snprintf(path, sizeof path, "%s", w->path);
  int error = output_begin(&o, w->path);
  if (error == 0 && !write_all(w, o.file)) {
    error = errno;
    output_abandon(&o);
  } else if (error == 0) error = output_commit(&o);
  writer_abandon(w);
  if (error) rwkv_fail("%s: could not be written: %s", path, output_problem(error));
}
