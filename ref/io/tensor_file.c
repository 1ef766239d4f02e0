#include "format.h"

#include "../engine/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
  const char *key, *text;
  const Mapping *from; /* the file that it stands in */
} Text;

struct TensorFile {
  const char *path;
  const char *format;
  int uses, depth;     /* depth: how many files in files are being opened */
  Arena arena;         /* of all that is listed */
  Mapping *maps;       /* the last one first */
  FileTensor *tensors; /* sorted by name, once all are there */
  Text *texts;         /* by key */
  int count, room, text_count, text_room;
  Names names;
  void *held; /* see format_hold */
  void (*let_go)(void *thing);
};

/* ---- what formats call ---- */

void format_name(TensorFile *f, const char *name) { f->format = name; }

void format_keep(TensorFile *f, Mapping *m)
{
  m->before = f->maps;
  f->maps = m;
}

void format_hold(TensorFile *f, void *thing, void (*let_go)(void *thing))
{
  if (f->held) f->let_go(f->held);
  f->held = thing, f->let_go = let_go;
}

void *format_memory(TensorFile *f, size_t bytes) { return arena_alloc(&f->arena, bytes); }

char *format_copy(TensorFile *f, const char *text, size_t length)
{
  char *copy = format_memory(f, length + 1);
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

char *format_printed(TensorFile *f, const char *format, ...)
{
  char text[200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return format_copy(f, text, strlen(text));
}

char *format_called(TensorFile *f, const char *path)
{
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
  return format_copy(f, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

/* A list with room for one more. */
static void *with_room(TensorFile *f, void *list, int count, int *room, size_t size)
{
  if (count < *room) return list;
  int more = *room ? 2 * *room : 64;
  void *larger = format_memory(f, (size_t)more * size);
  if (count) memcpy(larger, list, (size_t)count * size);
  *room = more;
  return larger;
}

FileTensor *format_tensor(TensorFile *f, const char *name, FileType type, int axes, const int *shape,
                          const unsigned char *bytes, size_t size)
{
  if (axes > FILE_MAX_AXES) rwkv_fail("tensor \"%s\" has more than %d axes", name, FILE_MAX_AXES);
  f->tensors = with_room(f, f->tensors, f->count, &f->room, sizeof *f->tensors);
  FileTensor *t = &f->tensors[f->count];
  *t = (FileTensor){.type = type, .axes = axes, .n = 1, .bytes = bytes};
  for (int i = axes; i-- > 0;) {
    t->shape[i] = shape[i];
    t->stride[i] = (ptrdiff_t)t->n;
    if (shape[i] > 0 && t->n > SIZE_MAX / 16 / (size_t)shape[i])
      rwkv_fail("tensor \"%s\" is larger than the file", name);
    t->n *= (size_t)shape[i];
  }
  if (t->n > size / file_type_size(type))
    rwkv_fail("tensor \"%s\" has %zu elements of %s, but %zu bytes", name, t->n, file_type_name(type), size);
  t->name = t->given = format_copy(f, name, strlen(name));
  f->count++;
  return t;
}

FileTensor *format_tensors(TensorFile *f) { return f->tensors; }
int format_count(const TensorFile *f) { return f->count; }
void format_shorten(TensorFile *f, int count) { f->count = count; }
Names *format_names(TensorFile *f) { return &f->names; }

FileTensor *format_same(TensorFile *f, const FileTensor *t)
{
  f->tensors = with_room(f, f->tensors, f->count, &f->room, sizeof *f->tensors);
  f->tensors[f->count] = *t;
  return &f->tensors[f->count++];
}

void format_text(TensorFile *f, const char *key, const char *text)
{
  f->texts = with_room(f, f->texts, f->text_count, &f->text_room, sizeof *f->texts);
  f->texts[f->text_count++] = (Text){format_copy(f, key, strlen(key)), format_copy(f, text, strlen(text)), f->maps};
}

/* ---- opening ---- */

static const Format *const formats[] = {&format_safetensors, &format_zip, &format_npy, &format_gguf, &format_index};

typedef struct {
  TensorFile *f;
  const char *path;
} Open;

/* A name that a message may begin with stands in front already where another file is meant. */
static void list_part(void *arg)
{
  Open *o = arg;
  Mapping *m = mapping_open(o->path);
  format_keep(o->f, m);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i]->begins(m->bytes, m->size)) {
      formats[i]->list(o->f, m);
      return;
    }
  format_foreign(m->bytes, m->size);
  (format_lines.begins(m->bytes, m->size) ? &format_lines : &format_safetensors)->list(o->f, m);
}

_Noreturn static void fail_with_name(const char *path, const char *message)
{
  size_t n = strlen(path);
  bool there = strncmp(message, path, n) == 0 && message[n] == ':';
  rwkv_fail("%s%s%s", there ? "" : path, there ? "" : ": ", message);
}

void format_part(TensorFile *f, const char *path)
{
  Open o = {f, path};
  if (f->depth >= 2) rwkv_fail("%s: an index of indexes", path);
  f->depth++;
  const char *error = rwkv_protect(list_part, &o);
  format_hold(f, NULL, NULL);
  f->depth--;
  if (error) fail_with_name(path, error);
  if (mapping_changed(f->maps)) rwkv_fail("%s: was changed while it was read", path);
}

static int by_name(const void *a, const void *b)
{
  return strcmp(((const FileTensor *)a)->name, ((const FileTensor *)b)->name);
}

static int by_key(const void *a, const void *b) { return strcmp(((const Text *)a)->key, ((const Text *)b)->key); }

/* Nothing can fail in qsort: once somebody wants to stop all is equal to it, and soon sorted. */
static int by_name_until_stop(const void *a, const void *b) { return rwkv_stopping() ? 0 : by_name(a, b); }
static int by_key_until_stop(const void *a, const void *b) { return rwkv_stopping() ? 0 : by_key(a, b); }

void format_sort(TensorFile *f)
{
  if (f->count) qsort(f->tensors, (size_t)f->count, sizeof *f->tensors, by_name_until_stop);
  rwkv_poll();
  for (int i = 1; i < f->count; i++)
    if (by_name(&f->tensors[i - 1], &f->tensors[i]) == 0)
      rwkv_fail("tensor \"%s\" stands there twice", f->tensors[i].name);
}

/* Each of several files may say the same; none may say something twice, or something else. */
static void sort_texts(TensorFile *f)
{
  int kept = 0;
  if (f->text_count) qsort(f->texts, (size_t)f->text_count, sizeof *f->texts, by_key_until_stop);
  rwkv_poll();
  for (int i = 0; i < f->text_count; i++) {
    const Text *last = kept ? &f->texts[kept - 1] : NULL, *t = &f->texts[i];
    bool again = last && by_key(last, t) == 0;
    if (again && last->from == t->from) rwkv_fail("metadata \"%s\" stands there twice", t->key);
    if (again && strcmp(last->text, t->text))
      rwkv_fail("metadata \"%s\" is \"%.60s\" in one file and \"%.60s\" in another", t->key, last->text, t->text);
    if (!again) f->texts[kept++] = *t;
  }
  f->text_count = kept;
}

static Text *find_text(const TensorFile *f, const char *key)
{
  Text sought = {.key = key};
  return f->text_count ? bsearch(&sought, f->texts, (size_t)f->text_count, sizeof sought, by_key) : NULL;
}

void format_set_text(TensorFile *f, const char *key, const char *text)
{
  Text *t = find_text(f, key);
  if (t) t->text = format_copy(f, text, strlen(text));
  else {
    format_text(f, key, text);
    qsort(f->texts, (size_t)f->text_count, sizeof *f->texts, by_key);
  }
}

static void open_all(void *arg)
{
  Open *o = arg;
  struct stat s;
  o->f->path = format_copy(o->f, o->path, strlen(o->path));
  bool directory = stat(o->path, &s) == 0 && S_ISDIR(s.st_mode);
  if (directory) format_directory(o->f, o->path);
  else format_part(o->f, o->path);
  for (int i = 0; i < o->f->count; i++) o->f->tensors[i].place = i;
  format_sort(o->f);
  sort_texts(o->f);
}

TensorFile *file_open(const char *path)
{
  Open o = {rwkv_alloc(1, sizeof *o.f, path), path};
  o.f->uses = 1;
  const char *error = rwkv_protect(open_all, &o);
  if (!error) return o.f;
  file_close(o.f);
  fail_with_name(path, error);
}

TensorFile *file_keep(TensorFile *f)
{
  f->uses++;
  return f;
}

void file_close(TensorFile *f)
{
  if (!f || --f->uses) return;
  format_hold(f, NULL, NULL);
  for (Mapping *m = f->maps, *before; m; m = before) before = m->before, mapping_close(m);
  arena_free(&f->arena);
  rwkv_release(f);
}

void file_check(const TensorFile *f)
{
  for (const Mapping *m = f->maps; m; m = m->before)
    if (mapping_changed(m)) rwkv_fail("%s: was changed since it was opened; open it again", m->path);
}

void file_forget(const TensorFile *f)
{
  for (const Mapping *m = f->maps; m; m = m->before) mapping_forget(m);
}

/* ---- what there is ---- */

const char *file_path(const TensorFile *f) { return f->path; }
const char *file_format(const TensorFile *f) { return f->format; }
void file_fail(const TensorFile *f, const char *message) { fail_with_name(f->path, message); }

int file_count(const TensorFile *f) { return f->count; }
const FileTensor *file_tensor(const TensorFile *f, int i) { return &f->tensors[i]; }

const FileTensor *file_find(const TensorFile *f, const char *name)
{
  FileTensor key = {.name = name};
  return f->count ? bsearch(&key, f->tensors, (size_t)f->count, sizeof key, by_name) : NULL;
}

const char *file_meta(const TensorFile *f, const char *key)
{
  const Text *t = find_text(f, key);
  return t ? t->text : NULL;
}

const char *file_meta_at(const TensorFile *f, int i, const char **key)
{
  if (i >= f->text_count) return NULL;
  *key = f->texts[i].key;
  return f->texts[i].text;
}
