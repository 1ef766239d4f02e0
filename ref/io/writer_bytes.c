/* The bytes of what is written: numbers piece by piece, for their memory may be a device's, and there may be little of
   ours left; texts as JSON has them. */
#include "writer_format.h"

#include "../engine/err.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { PIECE = 1 << 14 }; /* numbers */

bool writer_to_file(void *file, const void *bytes, size_t n) { return fwrite(bytes, 1, n, file) == n; }

/* ---- numbers ---- */

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

static const void *piece_of_tensor(const WriterPart *p, size_t at, size_t count, void *room)
{
  const Tensor *t = p->tensor;
  real numbers[PIECE];
  if (!t->packed.bits) return tensor_read(t, at, count, room), room;
  tensor_read(t, at, count, numbers);
  packed_exact(room, t->packed.storage, numbers, count);
  return room;
}

static const void *piece_of_memory(const WriterPart *p, size_t at, size_t count, void *room)
{
  if (!p->ints) return (const char *)p->memory + at * file_type_size(p->type);
  for (size_t i = 0; i < count; i++) ((int64_t *)room)[i] = ((const int *)p->memory)[at + i];
  return room;
}

/* In the type that is wanted, each number the nearest one; too large a number fails. */
static const void *piece_of_file(const WriterPart *p, size_t at, size_t count, void *room)
{
  double numbers[PIECE];
  Storage storage;
  rwkv_poll();
  if (p->type == p->entry->type) return file_read_bytes(p->file, p->entry, at, count, room), room;
  if (p->type == FILE_F64) return file_read_part(p->file, p->entry, at, count, room), room;
  file_storage(p->type, &storage);
  file_read_part(p->file, p->entry, at, count, numbers);
  size_t bad = packed_write_doubles(room, storage, numbers, count);
  if (bad < count)
    rwkv_fail("tensor \"%s\": %g at place %zu is too large for %s", p->name, numbers[bad], at + bad,
              file_type_name(p->type));
  return room;
}

bool writer_part(FileWriter *w, const WriterPart *p, WriterSink *sink, void *to)
{
  const void *(*piece)(const WriterPart *p, size_t at, size_t count, void *room) = p->tensor ? piece_of_tensor
                                                                                   : p->file ? piece_of_file
                                                                                             : piece_of_memory;
  int64_t room[PIECE];
  bool ok = true;
  for (size_t at = 0, count; ok && at < p->n; at += count) {
    count = p->n - at < PIECE ? p->n - at : PIECE;
    size_t bytes = count * file_type_size(p->type);
    ok = sink(to, piece(p, at, count, room), bytes);
    w->done += bytes;
    if (w->watch) w->watch(w->watching, w->done);
  }
  if (p->file) file_forget(p->file);
  return ok;
}

/* ---- texts ---- */

bool writer_print(WriterSink *sink, void *to, const char *format, ...)
{
  char text[400];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return n >= 0 && (size_t)n < sizeof text && sink(to, text, (size_t)n);
}

bool writer_json_text(WriterSink *sink, void *to, const char *text)
{
  static const char plain[] = "\"\\\b\f\n\r\t", escaped[] = "\"\\bfnrt";
  bool ok = sink(to, "\"", 1);
  for (const char *c = text; ok && *c; c++) {
    const char *found = strchr(plain, *c);
    if (found) ok = sink(to, (char[]){'\\', escaped[found - plain]}, 2);
    else if ((unsigned char)*c < ' ') ok = writer_print(sink, to, "\\u%04x", *c);
    else ok = sink(to, c, 1);
  }
  return ok && sink(to, "\"", 1);
}

bool writer_json_texts(const FileWriter *w, WriterSink *sink, void *to)
{
  bool ok = sink(to, "{", 1);
  for (int i = 0; ok && i < w->text_count; i++)
    ok = (i == 0 || sink(to, ",", 1)) && writer_json_text(sink, to, w->texts[i].key) && sink(to, ":", 1) &&
         writer_json_text(sink, to, w->texts[i].text);
  return ok && sink(to, "}", 1);
}
