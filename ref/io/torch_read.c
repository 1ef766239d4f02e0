#include "torch.h"

#include "../engine/err.h"
#include "pickle.h"
#include "torch_globals.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What is called, or the global itself; NULL: neither. */
static const TorchGlobal *role_of(const PickleValue *v)
{
  if (v->kind == PICKLE_CALL) v = v->what;
  return v->kind == PICKLE_GLOBAL ? torch_global(v->text) : NULL;
}

/* ---- one tensor ---- */

enum { LONGEST = 1000, DEEPEST = 60 };

typedef struct {
  TensorFile *f;
  Archive *a;
  bool swapped;
  size_t left; /* how many values may still be looked at: some may stand there again and again */
  int depth;
  char name[LONGEST + 1];  /* of the tensor */
  char entry[LONGEST + 1]; /* of its storage */
  size_t directory;        /* how much of that is the same for all */
} Walk;

typedef struct {
  const unsigned char *bytes;
  size_t elements;
  FileType type;
} Stored;

/* An argument of this kind, or a failure. */
static const PickleValue *argument(const Walk *w, const PickleValue *list, size_t i, PickleKind kind, const char *what)
{
  if (i >= list->count || list->items[i]->kind != kind) rwkv_fail("tensor \"%s\" has no %s", w->name, what);
  return list->items[i];
}

static FileType type_of(const Walk *w, const PickleValue *v, TorchRole role)
{
  const TorchGlobal *g = role_of(v);
  if (!g || g->role != role) rwkv_fail("tensor \"%s\" has no dtype", w->name);
  if (g->type == FILE_TYPES)
    rwkv_fail("tensor \"%s\" is of %s, which is not read; known are float64, float32, float16, bfloat16, integers and "
              "bool",
              w->name, g->name);
  return (FileType)g->type;
}

/* ("storage", type, key, device, elements): the entry data/KEY. */
static Stored stored_of(Walk *w, const PickleValue *id, const PickleValue *dtype)
{
  size_t size = 0;
  if (id->kind != PICKLE_TUPLE || id->count < 5 || !pickle_is_text(id->items[0], "storage"))
    rwkv_fail("tensor \"%s\" has no storage", w->name);
  Stored s = {.bytes = (const unsigned char *)"", .type = type_of(w, id->items[1], STORAGE)};
  const PickleValue *key = argument(w, id, 2, PICKLE_TEXT, "key of a storage");
  if (key->length > 40) rwkv_fail("tensor \"%s\" has a storage whose key has %zu letters", w->name, key->length);
  int64_t claimed = argument(w, id, 4, PICKLE_INT, "size of its storage")->whole;
  snprintf(w->entry + w->directory, sizeof w->entry - w->directory, "data/%.*s", (int)key->length, key->text);
  int entry = archive_find(w->a, w->entry);
  size_t element = file_type_size(s.type);
  if (entry < 0 && claimed) rwkv_fail("tensor \"%s\" needs the entry %s, which is not there", w->name, w->entry);
  if (entry >= 0) s.bytes = archive_bytes(w->a, entry, &size);
  if (claimed < 0 || (uint64_t)claimed > size / element)
    rwkv_fail("tensor \"%s\" has a storage of %lld elements, but the entry %s has %zu bytes", w->name,
              (long long)claimed, w->entry, size);
  if (dtype) s.type = type_of(w, dtype, DTYPE);
  s.elements = (size_t)claimed * element / file_type_size(s.type);
  return s;
}

/* Where the elements are: each of them within the storage. */
static void place(const Walk *w, FileTensor *t, int64_t offset, const PickleValue *strides, const Stored *s)
{
  bool within = t->n == 0 || (offset >= 0 && (uint64_t)offset < s->elements);
  size_t reach = within ? (size_t)offset : 0;
  for (int i = 0; i < t->axes && t->n > 0 && within; i++) {
    int64_t stride = argument(w, strides, (size_t)i, PICKLE_INT, "stride")->whole;
    if (t->shape[i] < 2) continue;
    size_t steps = (size_t)t->shape[i] - 1;
    within = stride >= 0 && (uint64_t)stride <= (s->elements - 1 - reach) / steps;
    t->stride[i] = (ptrdiff_t)stride;
    reach += within ? (size_t)stride * steps : 0;
  }
  if (!within) rwkv_fail("tensor \"%s\" reaches beyond its storage of %zu elements", w->name, s->elements);
  t->bytes += t->n ? (size_t)offset * file_type_size(t->type) : 0;
  t->swapped = w->swapped && file_type_size(t->type) > 1;
}

/* (storage, offset, sizes, strides, requires_grad, hooks, metadata), where `dtype` says before the metadata. */
static void list_tensor(Walk *w, const PickleValue *with, size_t dtype)
{
  int shape[FILE_MAX_AXES];
  size_t meta = dtype ? dtype + 1 : 6;
  Stored s = stored_of(w, argument(w, with, 0, PICKLE_STORED, "storage")->what,
                       dtype ? argument(w, with, dtype, PICKLE_GLOBAL, "dtype") : NULL);
  const PickleValue *offset = argument(w, with, 1, PICKLE_INT, "offset");
  const PickleValue *sizes = argument(w, with, 2, PICKLE_TUPLE, "sizes");
  const PickleValue *strides = argument(w, with, 3, PICKLE_TUPLE, "strides");
  if (with->count > meta && with->items[meta]->count)
    rwkv_fail("tensor \"%s\" is a negated or conjugated view, which is not read", w->name);
  if (sizes->count > FILE_MAX_AXES) rwkv_fail("tensor \"%s\" has more than %d axes", w->name, FILE_MAX_AXES);
  for (size_t i = 0; i < sizes->count; i++) {
    int64_t size = argument(w, sizes, i, PICKLE_INT, "sizes")->whole;
    if (size < 0 || size > INT_MAX) rwkv_fail("tensor \"%s\" has a size of %lld", w->name, (long long)size);
    shape[i] = (int)size;
  }
  FileTensor *t = format_tensor(w->f, w->name, s.type, (int)sizes->count, shape, s.bytes,
                                s.elements * file_type_size(s.type));
  place(w, t, offset->whole, strides, &s);
}

/* ---- all of them ---- */

static void list_value(Walk *w, const PickleValue *v, size_t length);

/* What stands under a name in something that is called `length` characters of w->name. */
static void list_item(Walk *w, const PickleValue *v, size_t length, const char *name, size_t n)
{
  if (v->kind < PICKLE_TUPLE) return;
  bool dot = length > 0;
  if (length + dot + n > LONGEST) rwkv_fail("a tensor has a name of more than %d characters", LONGEST);
  if (dot) w->name[length] = '.';
  memcpy(w->name + length + dot, name, n);
  w->name[length + dot + n] = 0;
  if (memchr(name, 0, n)) rwkv_fail("the name \"%s\" has a zero in it", w->name);
  list_value(w, v, length + dot + n);
}

static void list_sequence(Walk *w, const PickleValue *v, size_t length)
{
  char number[24];
  for (size_t i = 0; i < v->count; i++)
    list_item(w, v->items[i], length, number, (size_t)snprintf(number, sizeof number, "%zu", i));
}

static void list_dict(Walk *w, const PickleValue *v, size_t length)
{
  char number[24];
  for (size_t i = 0; i + 1 < v->count; i += 2) {
    const PickleValue *key = v->items[i];
    int n = snprintf(number, sizeof number, "%lld", (long long)key->whole);
    if (key->kind == PICKLE_TEXT) list_item(w, v->items[i + 1], length, key->text, key->length);
    else if (key->kind == PICKLE_INT) list_item(w, v->items[i + 1], length, number, (size_t)n);
    else list_item(w, v->items[i + 1], length, "?", 1);
  }
}

/* args of _rebuild_from_type_v2: another call, (global, class, arguments, attributes). */
static void list_typed(Walk *w, const PickleValue *v, size_t length)
{
  const PickleValue inner = {.kind = PICKLE_CALL,
                             .what = argument(w, v, 0, PICKLE_GLOBAL, "way to be made"),
                             .with = argument(w, v, 2, PICKLE_TUPLE, "arguments")};
  list_value(w, &inner, length);
}

static void list_call(Walk *w, const PickleValue *v, size_t length)
{
  const TorchGlobal *g = role_of(v);
  switch (g->role) {
  case CONTAINER:
    if (v->with->count && v->with->items[0]->count)
      rwkv_fail("\"%s\" is a %s made of a list, which is not read", w->name, g->name);
    list_dict(w, v, length);
    break;
  case TENSOR: list_tensor(w, v->with, (size_t)g->type); break;
  case WRAPPER: list_value(w, argument(w, v->with, 0, PICKLE_CALL, "numbers"), length); break;
  case FROM_TYPE: list_typed(w, v->with, length); break;
  case UNREAD: rwkv_fail("tensor \"%s\" is made by %s, which is not read: it is no plain array", w->name, g->name);
  default: break;
  }
}

static void list_value(Walk *w, const PickleValue *v, size_t length)
{
  rwkv_poll();
  if (w->left-- == 0) rwkv_fail("the pickle's values contain each other again and again");
  if (w->depth++ == DEEPEST) rwkv_fail("\"%.80s\": more than %d dicts or lists within each other", w->name, DEEPEST);
  if (v->kind == PICKLE_CALL) list_call(w, v, length);
  if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST) list_sequence(w, v, length);
  if (v->kind == PICKLE_DICT) list_dict(w, v, length);
  w->depth--;
}

/* The entry byteorder, where there is one: "little" or "big". */
static bool is_swapped(Walk *w)
{
  size_t size;
  snprintf(w->entry + w->directory, sizeof w->entry - w->directory, "byteorder");
  int i = archive_find(w->a, w->entry);
  const unsigned char *bytes = i < 0 ? NULL : archive_bytes(w->a, i, &size);
  bool big = bytes && size >= 3 && memcmp(bytes, "big", 3) == 0;
  if (bytes && !big && (size < 6 || memcmp(bytes, "little", 6)))
    rwkv_fail("the entry %s is neither little nor big", w->entry);
  return big;
}

void torch_list(TensorFile *f, Archive *a, int pickle, const char *path)
{
  size_t size;
  const char *name = archive_name(a, pickle);
  Walk w = {.f = f, .a = a, .directory = strlen(name) - strlen("data.pkl")};
  format_name(f, "PyTorch");
  if (w.directory > LONGEST - 100) rwkv_fail("its entries have names of more than %d characters", LONGEST - 100);
  memcpy(w.entry, name, w.directory);
  const unsigned char *bytes = archive_bytes(a, pickle, &size);
  const PickleValue *all = pickle_read(f, bytes, size, torch_check_global);
  const TorchGlobal *g = role_of(all);
  w.swapped = is_swapped(&w);
  w.left = size;
  bool alone = all->kind == PICKLE_CALL && g->role != CONTAINER;
  if (alone && g->role == PLAIN) rwkv_fail("holds a `%s`, no tensors", g->name);
  if (all->kind < PICKLE_TUPLE || all->kind == PICKLE_GLOBAL || all->kind == PICKLE_STORED)
    rwkv_fail("holds no tensors: neither a dict nor a list of them");
  if (alone) snprintf(w.name, sizeof w.name, "%s", format_called(f, path));
  list_value(&w, all, alone ? strlen(w.name) : 0);
  snprintf(w.entry + w.directory, sizeof w.entry - w.directory, "extra/metadata.json");
  archive_texts(f, a, w.entry);
}
