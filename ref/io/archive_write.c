#include "archive_write.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

struct ArchiveEntry {
  ArchiveEntry *next;
  uint64_t at, size; /* of its header in the file; of its bytes */
  uint32_t crc;
  bool large;
  char name[];
};

enum { ALIGN = 64, HEADER = 30, LARGE = 20 /* bytes of the field for large sizes */ };
static const uint64_t limit = 0xffffffff; /* a size that stands for: see the field */
static const uint32_t flags = 1u << 11 /* names are UTF-8 */, date = 33 /* 1980-01-01 */;

/* A record is made of numbers in little-endian order. */
typedef struct {
  unsigned char bytes[96];
  size_t size;
} Record;

static void add(Record *r, int width, uint64_t x)
{
  for (int i = 0; i < width; i++) r->bytes[r->size++] = (unsigned char)(x >> 8 * i);
}

static bool put_record(FILE *f, const Record *r) { return fwrite(r->bytes, 1, r->size, f) == r->size; }

/* What the header before an entry and its line in the directory have in common. */
static void add_common(Record *r, const ArchiveEntry *e)
{
  add(r, 2, e->large ? 45 : 20); /* the version that is needed */
  add(r, 2, flags);
  add(r, 2, 0); /* stored */
  add(r, 2, 0), add(r, 2, date);
  add(r, 4, e->crc);
  add(r, 4, e->large ? limit : e->size), add(r, 4, e->large ? limit : e->size);
  add(r, 2, strlen(e->name));
}

/* The header, its field for large sizes, and a field of zeros up to where the bytes shall begin. */
static bool put_header(FILE *f, const ArchiveEntry *e)
{
  size_t large = e->large ? LARGE : 0, begin = (size_t)e->at + HEADER + strlen(e->name) + large + 4;
  size_t zeros = (ALIGN - begin % ALIGN) % ALIGN;
  Record head = {.size = 0}, tail = {.size = 0};
  add(&head, 4, 0x04034b50);
  add_common(&head, e);
  add(&head, 2, large + 4 + zeros);
  if (large) add(&tail, 2, 1), add(&tail, 2, LARGE - 4), add(&tail, 8, e->size), add(&tail, 8, e->size);
  add(&tail, 2, 0x4246), add(&tail, 2, zeros);
  tail.size += zeros;
  return put_record(f, &head) && fputs(e->name, f) != EOF && put_record(f, &tail);
}

bool archive_begin(ArchiveOut *a, const char *name, uint64_t size)
{
  off_t at = ftello(a->file);
  ArchiveEntry *e = arena_alloc(a->arena, sizeof *e + strlen(name) + 1);
  *e = (ArchiveEntry){.at = (uint64_t)at, .large = size >= limit};
  strcpy(e->name, name);
  if (strlen(name) > 0xffff) return errno = ENAMETOOLONG, false;
  if (a->last) a->last->next = e;
  else a->first = e;
  a->last = e;
  a->count++;
  return at >= 0 && put_header(a->file, e);
}

bool archive_put(void *archive_out, const void *bytes, size_t n)
{
  ArchiveOut *a = archive_out;
  a->last->crc = (uint32_t)crc32_z(a->last->crc, bytes, n);
  a->last->size += n;
  return fwrite(bytes, 1, n, a->file) == n;
}

/* Once more, now that size and checksum are known. */
bool archive_end(ArchiveOut *a)
{
  off_t end = ftello(a->file);
  if (a->last->size >= limit && !a->last->large) return errno = EFBIG, false;
  return end >= 0 && fseeko(a->file, (off_t)a->last->at, SEEK_SET) == 0 && put_header(a->file, a->last) &&
         fseeko(a->file, end, SEEK_SET) == 0;
}

bool archive_text(ArchiveOut *a, const char *name, const char *text)
{
  return archive_begin(a, name, 0) && archive_put(a, text, strlen(text)) && archive_end(a);
}

static bool put_line(FILE *f, const ArchiveEntry *e)
{
  bool far = e->at >= limit;
  Record r = {.size = 0}, large = {.size = 0};
  if (e->large) add(&large, 8, e->size), add(&large, 8, e->size);
  if (far) add(&large, 8, e->at);
  add(&r, 4, 0x02014b50), add(&r, 2, 45);
  add_common(&r, e);
  add(&r, 2, large.size ? large.size + 4 : 0);
  add(&r, 2, 0), add(&r, 2, 0), add(&r, 2, 0), add(&r, 4, 0); /* comment, disk, attributes */
  add(&r, 4, far ? limit : e->at);
  if (!put_record(f, &r) || fputs(e->name, f) == EOF) return false;
  Record field = {.size = 0};
  if (large.size) add(&field, 2, 1), add(&field, 2, large.size);
  return put_record(f, &field) && put_record(f, &large);
}

bool archive_finish(ArchiveOut *a)
{
  off_t at = ftello(a->file), end;
  for (const ArchiveEntry *e = a->first; e; e = e->next)
    if (!put_line(a->file, e)) return false;
  end = ftello(a->file);
  if (at < 0 || end < 0) return false;
  uint64_t size = (uint64_t)(end - at), begin = (uint64_t)at;
  bool large = a->count >= 0xffff || begin >= limit || size >= limit;
  Record r = {.size = 0};
  if (large) {
    add(&r, 4, 0x06064b50), add(&r, 8, 44), add(&r, 2, 45), add(&r, 2, 45), add(&r, 4, 0), add(&r, 4, 0);
    add(&r, 8, a->count), add(&r, 8, a->count), add(&r, 8, size), add(&r, 8, begin);
    if (!put_record(a->file, &r)) return false;
    r.size = 0;
    add(&r, 4, 0x07064b50), add(&r, 4, 0), add(&r, 8, (uint64_t)end), add(&r, 4, 1);
  }
  uint64_t count = large ? 0xffff : a->count;
  add(&r, 4, 0x06054b50), add(&r, 2, 0), add(&r, 2, 0), add(&r, 2, count), add(&r, 2, count);
  add(&r, 4, large ? limit : size), add(&r, 4, large ? limit : begin), add(&r, 2, 0);
  return put_record(a->file, &r);
}
