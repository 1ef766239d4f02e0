#include "nfc.h"

#include "../engine/err.h"
#include "buffer.h"
#include "unicode.h"
#include "utf8.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

static bool is_later(int32_t code)
{
  size_t low = 0, high = sizeof later_marks / sizeof *later_marks;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (code < later_marks[middle][0]) high = middle;
    else if (code > later_marks[middle][1]) low = middle + 1;
    else return true;
  }
  return false;
}

/* Whether nothing before a code point changes with it, nor it with what is before. It need not find all of them. */
static bool stands_alone(int32_t code) { return code < 0x300 || (code >= 0x4e00 && code <= 0x9fff) || is_later(code); }

enum { FIRST_BYTE = 0xcc, MOST_PARTS = 8 }; /* of U+0300; more than a code point is ever decomposed into */

static void put_decomposed(Nfc *f, int32_t code)
{
  int boundary = 0;
  f->codes = buffer_grow(f->codes, &f->code_room, f->count + MOST_PARTS, sizeof *f->codes, "NFC");
  utf8proc_ssize_t n = utf8proc_decompose_char(code, f->codes + f->count, MOST_PARTS,
                                               UTF8PROC_STABLE | UTF8PROC_COMPOSE, &boundary);
  if (n < 0 || n > MOST_PARTS) f->codes[f->count] = code, n = 1;
  f->count += (size_t)n;
}

/* The canonical combining class; 0: no mark. */
static unsigned class_of(int32_t code)
{
  return is_later(code) ? 0 : (unsigned)utf8proc_get_property(code)->combining_class & 0xff;
}

/* Orders n marks by their class, those of one class as they were. */
static void sort_marks(Nfc *f, int32_t *marks, size_t n)
{
  size_t from[256] = {0}, sum = 0;
  for (size_t i = 0; i < n; i++) from[class_of(marks[i])]++;
  for (int c = 0; c < 256; c++) {
    size_t count = from[c];
    from[c] = sum;
    sum += count;
  }
  f->sorted = buffer_grow(f->sorted, &f->sorted_room, n, sizeof *f->sorted, "NFC");
  for (size_t i = 0; i < n; i++) f->sorted[from[class_of(marks[i])]++] = marks[i];
  memcpy(marks, f->sorted, n * sizeof *marks);
}

static void order_marks(Nfc *f)
{
  for (size_t i = 0, first; i < f->count; i++) {
    for (first = i; i < f->count && class_of(f->codes[i]); i++)
      ;
    if (i - first > 1) sort_marks(f, f->codes + first, i - first);
  }
}

static void put_bytes(Nfc *f, const unsigned char *bytes, size_t n)
{
  if (!n) return;
  f->text = buffer_grow(f->text, &f->room, f->n + n, 1, "NFC");
  memcpy(f->text + f->n, bytes, n);
  f->n += n;
}

/* Composes what has been decomposed, and appends it. */
static void finish(Nfc *f)
{
  order_marks(f);
  utf8proc_ssize_t n = utf8proc_normalize_utf32(f->codes, (utf8proc_ssize_t)f->count,
                                                UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  for (utf8proc_ssize_t i = 0; i < n; i++) {
    unsigned char bytes[4];
    put_bytes(f, bytes, utf8_write(f->codes[i], bytes));
  }
  f->count = 0;
}

const unsigned char *nfc_text(Nfc *f, const unsigned char *text, size_t *n)
{
  size_t size = *n, at = 0;
  while (at < size && text[at] < FIRST_BYTE) at++;
  if (at == size) return text;
  f->n = f->count = 0;
  for (size_t done = 0, from, length; done < size; done = at) {
    int32_t code;
    for (from = at = done; at < size && text[at] < FIRST_BYTE; at += utf8_read(text + at, size - at, &code)) from = at;
    if (at == size) from = size;
    put_bytes(f, text + done, from - done); /* without the last one, with which a mark may be composed */
    for (at = from; at < size; at += length) {
      length = utf8_read(text + at, size - at, &code);
      if (at > from && stands_alone(code)) break;
      put_decomposed(f, code);
    }
    finish(f);
  }
  *n = f->n;
  return f->text;
}

void nfc_release(Nfc *f)
{
  if (f->text) rwkv_release(f->text);
  if (f->codes) rwkv_release(f->codes);
  if (f->sorted) rwkv_release(f->sorted);
  *f = (Nfc){0};
}
