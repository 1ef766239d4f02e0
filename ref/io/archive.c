#include "archive.h"

#include "../engine/err.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

typedef struct {
  const char *name;
  const unsigned char *bytes; /* NULL: nobody asked for them yet */
  size_t size;
} Entry;

/* What libzip reads: the mapping, and where it was read last. */
typedef struct {
  const Mapping *m;
  size_t at, last;
  zip_error_t error;
} Source;

struct Archive {
  TensorFile *f;
  Source source;
  zip_t *zip;
  zip_file_t *reading; /* NULL: nothing is being unpacked */
  Entry *entries;
  const Entry **by_name;
  int count;
};

/* ---- the mapping as libzip sees it ---- */

static zip_int64_t source_read(Source *s, void *out, zip_uint64_t length)
{
  size_t left = s->m->size - s->at, n = length < left ? (size_t)length : left;
  memcpy(out, s->m->bytes + s->at, n);
  s->last = s->at;
  s->at += n;
  return (zip_int64_t)n;
}

static zip_int64_t source_seek(Source *s, void *where, zip_uint64_t length)
{
  zip_int64_t to = zip_source_seek_compute_offset(s->at, s->m->size, where, length, &s->error);
  if (to < 0) return -1;
  s->at = (size_t)to;
  return 0;
}

static zip_int64_t source_stat(const Source *s, zip_stat_t *out)
{
  zip_stat_init(out);
  out->valid = ZIP_STAT_SIZE;
  out->size = s->m->size;
  return sizeof *out;
}

static zip_int64_t source_call(void *state, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
  Source *s = state;
  switch (command) {
  case ZIP_SOURCE_SUPPORTS:
    return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                          ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                          ZIP_SOURCE_SUPPORTS, -1);
  case ZIP_SOURCE_OPEN: return s->at = 0, 0;
  case ZIP_SOURCE_READ: return source_read(s, data, length);
  case ZIP_SOURCE_SEEK: return source_seek(s, data, length);
  case ZIP_SOURCE_TELL: return (zip_int64_t)s->at;
  case ZIP_SOURCE_STAT: return source_stat(s, data);
  case ZIP_SOURCE_ERROR: return zip_error_to_data(&s->error, data, length);
  case ZIP_SOURCE_CLOSE:
  case ZIP_SOURCE_FREE: return 0;
  default: return zip_error_set(&s->error, ZIP_ER_OPNOTSUPP, 0), -1;
  }
}

/* ---- opening ---- */

static void archive_close(void *archive)
{
  Archive *a = archive;
  if (a->reading) zip_fclose(a->reading);
  if (a->zip) zip_discard(a->zip);
  zip_error_fini(&a->source.error);
  rwkv_release(a);
}

_Noreturn static void fail_to_open(zip_error_t *error)
{
  char text[120];
  snprintf(text, sizeof text, "%s", zip_error_strerror(error));
  zip_error_fini(error);
  rwkv_fail("is a zip archive that was cut short or is damaged (%s)", text);
}

static int by_name(const void *a, const void *b)
{
  return strcmp((*(const Entry *const *)a)->name, (*(const Entry *const *)b)->name);
}

static int by_name_until_stop(const void *a, const void *b) { return rwkv_stopping() ? 0 : by_name(a, b); }

static void read_names(Archive *a)
{
  zip_int64_t count = zip_get_num_entries(a->zip, 0);
  if (count > INT_MAX) rwkv_fail("is a zip archive of more than %d entries", INT_MAX);
  a->count = (int)count;
  a->entries = format_memory(a->f, (size_t)count * sizeof *a->entries + 1);
  a->by_name = format_memory(a->f, (size_t)count * sizeof *a->by_name + 1);
  for (int i = 0; i < a->count; i++) {
    rwkv_poll();
    const char *name = zip_get_name(a->zip, (zip_uint64_t)i, 0);
    if (!name) rwkv_fail("entry %d has no name: %s", i + 1, zip_strerror(a->zip));
    for (const char *c = name; *c; c++)
      if ((unsigned char)*c < ' ' || *c == 127) rwkv_fail("the name of entry %d has a control character", i + 1);
    a->entries[i] = (Entry){.name = format_copy(a->f, name, strlen(name))};
    a->by_name[i] = &a->entries[i];
  }
  if (count > 1) qsort(a->by_name, (size_t)count, sizeof *a->by_name, by_name_until_stop);
  rwkv_poll();
  for (int i = 1; i < a->count; i++)
    if (by_name(&a->by_name[i - 1], &a->by_name[i]) == 0) rwkv_fail("entry %s stands there twice", a->by_name[i]->name);
}

Archive *archive_open(TensorFile *f, const Mapping *m)
{
  zip_error_t error;
  Archive *a = rwkv_alloc(1, sizeof *a, "the archive");
  a->f = f, a->source.m = m;
  zip_error_init(&a->source.error);
  format_hold(f, a, archive_close);
  zip_error_init(&error);
  zip_source_t *source = zip_source_function_create(source_call, &a->source, &error);
  if (source) a->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
  if (source && !a->zip) zip_source_free(source);
  if (!a->zip) fail_to_open(&error);
  zip_error_fini(&error);
  read_names(a);
  return a;
}

/* ---- entries ---- */

int archive_count(const Archive *a) { return a->count; }
const char *archive_name(const Archive *a, int i) { return a->entries[i].name; }

int archive_find(const Archive *a, const char *name)
{
  const Entry key = {.name = name}, *sought = &key;
  const Entry **found = a->count ? bsearch(&sought, a->by_name, (size_t)a->count, sizeof *a->by_name, by_name) : NULL;
  return found ? (int)(*found - a->entries) : -1;
}

_Noreturn static void fail_to_read(const Entry *e, const char *why)
{
  rwkv_fail("entry %s could not be unpacked: it is damaged (%s)", e->name, why);
}

static void begin(Archive *a, int i, zip_flags_t flags)
{
  a->reading = zip_fopen_index(a->zip, (zip_uint64_t)i, flags);
  if (!a->reading) fail_to_read(&a->entries[i], zip_strerror(a->zip));
}

static void end(Archive *a)
{
  zip_fclose(a->reading);
  a->reading = NULL;
}

/* libzip finds the place from the entry's own header; the first byte that it reads says where that is. */
static const unsigned char *find_stored(Archive *a, int i, const zip_stat_t *about)
{
  const Mapping *m = a->source.m;
  const Entry *e = &a->entries[i];
  unsigned char first;
  if (about->size != about->comp_size) fail_to_read(e, "it is stored, but has two sizes");
  if (about->size == 0) return m->bytes;
  begin(a, i, ZIP_FL_COMPRESSED);
  if (zip_fread(a->reading, &first, 1) != 1) fail_to_read(e, "it is not there");
  end(a);
  if (about->size > m->size - a->source.last) fail_to_read(e, "it does not end within the file");
  return m->bytes + a->source.last;
}

static const unsigned char *unpack(Archive *a, int i, const zip_stat_t *about)
{
  enum { AT_ONCE = 1 << 20, DENSEST = 1032 /* bytes that one deflated byte can stand for */ };
  const Entry *e = &a->entries[i];
  size_t size = (size_t)about->size, done = 0;
  unsigned char more;
  zip_int64_t n = 1;
  if (about->size / DENSEST > about->comp_size) fail_to_read(e, "it claims more bytes than it can have");
  unsigned char *out = format_memory(a->f, size + 1);
  begin(a, i, 0);
  for (; done < size && n > 0; done += n > 0 ? (size_t)n : 0) {
    rwkv_poll();
    n = zip_fread(a->reading, out + done, size - done < AT_ONCE ? size - done : AT_ONCE);
  }
  if (n >= 0) n = zip_fread(a->reading, &more, 1); /* which compares the checksum at the end */
  if (n < 0) fail_to_read(e, zip_file_strerror(a->reading));
  if (n > 0 || done < size) fail_to_read(e, "it has another size than it claims");
  end(a);
  return out;
}

const unsigned char *archive_bytes(Archive *a, int i, size_t *size)
{
  static const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                     ZIP_STAT_ENCRYPTION_METHOD;
  Entry *e = &a->entries[i];
  zip_stat_t about;
  if (!e->bytes) {
    if (zip_stat_index(a->zip, (zip_uint64_t)i, 0, &about) || (about.valid & needed) != needed)
      fail_to_read(e, zip_strerror(a->zip));
    if (about.encryption_method != ZIP_EM_NONE) rwkv_fail("entry %s is encrypted", e->name);
    if (about.comp_method != ZIP_CM_STORE && about.comp_method != ZIP_CM_DEFLATE)
      rwkv_fail("entry %s is compressed by method %d, expected 0 (stored) or 8 (deflated)", e->name, about.comp_method);
    if (about.comp_size > a->source.m->size) fail_to_read(e, "it does not end within the file");
    e->bytes = about.comp_method == ZIP_CM_STORE ? find_stored(a, i, &about) : unpack(a, i, &about);
    e->size = (size_t)about.size;
  }
  *size = e->size;
  return e->bytes;
}
