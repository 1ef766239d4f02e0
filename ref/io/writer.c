#include "writer_format.h"

#include "../engine/err.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const FileType real_type = sizeof(real) == 8 ? FILE_F64 : FILE_F32;
static const FileType packed_types[STORAGE_COUNT] = {
    [STORED_F32] = FILE_F32, [STORED_BF16] = FILE_BF16, [STORED_F16] = FILE_F16};

/* ---- making one ---- */

static const struct {
  const char *ending;
  const WriterFormat *format;
} formats[] = {{".pth", &writer_torch},
               {".pt", &writer_torch},
               {".bin", &writer_torch},
               {".npz", &writer_npz},
               {".gguf", &writer_gguf}};

static const WriterFormat *format_of(const char *path)
{
  size_t n = strlen(path), i = 0, count = sizeof formats / sizeof *formats;
  for (; i < count; i++) {
    size_t m = strlen(formats[i].ending);
    if (n > m && strcmp(path + n - m, formats[i].ending) == 0) break;
  }
  return i < count ? formats[i].format : &writer_safetensors;
}

static const char *copied(FileWriter *w, const char *text)
{
  size_t n = strlen(text) + 1;
  return memcpy(arena_alloc(&w->arena, n), text, n);
}

typedef struct {
  FileWriter *w;
  const char *path;
} Create;

static void create(void *arg)
{
  Create *c = arg;
  c->w->path = copied(c->w, c->path);
  c->w->format = format_of(c->path);
}

FileWriter *writer_create(const char *path)
{
  Create c = {rwkv_alloc(1, sizeof *c.w, "writer"), path};
  const char *error = rwkv_protect(create, &c);
  if (!error) return c.w;
  writer_abandon(c.w);
  rwkv_fail("%s: %s", path, error);
}

void writer_abandon(FileWriter *w)
{
  if (!w) return;
  arena_free(&w->arena);
  rwkv_release(w);
}

/* ---- lists, and where things stand in them ---- */

/* A list with room for one more. */
static void *with_room(FileWriter *w, void *list, int count, int *room, size_t size)
{
  if (count < *room) return list;
  int more = *room ? 2 * *room : 64;
  void *larger = arena_alloc(&w->arena, (size_t)more * size);
  if (count) memcpy(larger, list, (size_t)count * size);
  *room = more;
  return larger;
}

/* Where what has this name stands in the table, or would. */
static WriterPlace *place_of(const WriterIndex *x, const char *name)
{
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  size_t at = (size_t)(hash ^ hash >> 32) & (x->room - 1);
  while (x->place[at].name && strcmp(x->place[at].name, name)) at = (at + 1) & (x->room - 1);
  return &x->place[at];
}

static void make_room(FileWriter *w, WriterIndex *x)
{
  if (2 * x->count < x->room) return;
  WriterIndex larger = {.room = x->room ? 2 * x->room : 64, .count = x->count};
  larger.place = arena_alloc(&w->arena, larger.room * sizeof *larger.place);
  memset(larger.place, 0, larger.room * sizeof *larger.place);
  for (size_t i = 0; i < x->room; i++)
    if (x->place[i].name) *place_of(&larger, x->place[i].name) = x->place[i];
  *x = larger;
}

/* ---- what is put ---- */

static void put(FileWriter *w, const char *name, FileType type, int axes, const int *shape, WriterPart part)
{
  make_room(w, &w->names);
  WriterPlace *place = place_of(&w->names, name);
  if (place->name) rwkv_fail("%s: tensor \"%s\" twice", w->path, name);
  if (axes > FILE_MAX_AXES) rwkv_fail("%s: tensor \"%s\" has more than %d axes", w->path, name, FILE_MAX_AXES);
  part.name = copied(w, name);
  part.type = type, part.axes = axes, part.n = 1;
  for (int i = 0; i < axes; i++) part.n *= (size_t)(part.shape[i] = shape[i]);
  part.size = part.n * file_type_size(type);
  const char *problem = w->format->problem ? w->format->problem(&part) : NULL;
  if (problem) rwkv_fail("%s: tensor \"%s\" is %s, %s", w->path, name, file_type_name(type), problem);
  w->parts = with_room(w, w->parts, w->count, &w->room, sizeof *w->parts);
  *place = (WriterPlace){part.name, w->count};
  w->names.count++;
  w->parts[w->count++] = part;
}

void writer_put(FileWriter *w, const char *name, int axes, const int *shape, const real *data)
{
  put(w, name, real_type, axes, shape, (WriterPart){.memory = data});
}

void writer_put_packed(FileWriter *w, const char *name, int axes, const int *shape, Packed data)
{
  put(w, name, packed_types[data.storage], axes, shape, (WriterPart){.memory = data.bits});
}

void writer_put_tensor(FileWriter *w, const char *name, const Tensor *t)
{
  FileType type = t->packed.bits ? packed_types[t->packed.storage] : real_type;
  put(w, name, type, t->axes, t->shape, (WriterPart){.tensor = t});
}

void writer_put_doubles(FileWriter *w, const char *name, int axes, const int *shape, const double *data)
{
  put(w, name, FILE_F64, axes, shape, (WriterPart){.memory = data});
}

void writer_put_ints(FileWriter *w, const char *name, int axes, const int *shape, const int *data)
{
  put(w, name, FILE_I64, axes, shape, (WriterPart){.memory = data, .ints = true});
}

void writer_put_file(FileWriter *w, const char *name, const TensorFile *f, const FileTensor *t, FileType type)
{
  if (type != t->type && !(file_is_floating(type) && file_is_floating(t->type)))
    rwkv_fail("%s: tensor \"%s\" is %s, which does not become %s", w->path, name, file_type_name(t->type),
              file_type_name(type));
  put(w, name, type, t->axes, t->shape, (WriterPart){.file = f, .entry = t});
}

void writer_put_meta(FileWriter *w, const char *key, const char *text)
{
  make_room(w, &w->keys);
  WriterPlace *place = place_of(&w->keys, key);
  if (!place->name) {
    w->texts = with_room(w, w->texts, w->text_count, &w->text_room, sizeof *w->texts);
    *place = (WriterPlace){copied(w, key), w->text_count++};
    w->texts[place->at].key = place->name;
    w->keys.count++;
  }
  w->texts[place->at].text = copied(w, text);
}

/* ---- writing ---- */

void writer_watch(FileWriter *w, void (*watch)(void *watching, size_t bytes), void *watching)
{
  w->watch = watch, w->watching = watching;
}

typedef struct {
  FileWriter *w;
  FILE *file;
  bool ok;
} Write;

static void write_all(void *arg)
{
  Write *x = arg;
  x->ok = x->w->format->write(x->w, x->file);
}

void writer_finish(FileWriter *w)
{
  Output o;
  char path[400], problem[600];
  snprintf(path, sizeof path, "%s", w->path);
  int error = output_begin(&o, w->path);
  Write x = {w, o.file, false};
  const char *failure = error ? NULL : rwkv_protect(write_all, &x);
  if (failure) snprintf(problem, sizeof problem, "%s", failure);
  if (error == 0 && x.ok) error = output_commit(&o);
  else if (error == 0) error = failure ? ECANCELED : errno, output_abandon(&o);
  writer_abandon(w);
  if (failure) rwkv_fail("%s: %s", path, problem);
  if (error) rwkv_fail("%s: could not be written: %s", path, output_problem(error));
}
