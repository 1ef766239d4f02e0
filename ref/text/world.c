/* The World vocabulary: lines `<id> <literal of Python> <bytes>`. */
#include "kinds.h"

#include "../engine/err.h"
#include "literal.h"

#include <stdlib.h>
#include <string.h>

/* The number that the n characters at s are, all digits, below 10^9; or -1. */
static int number(const unsigned char *s, size_t n)
{
  int x = 0;
  if (n == 0 || n > 9) return -1;
  for (size_t i = 0; i < n; i++) {
    if (s[i] < '0' || s[i] > '9') return -1;
    x = x * 10 + (s[i] - '0');
  }
  return x;
}

static void read_line(Tokenizer *t, VocabularyFile *f, size_t line, const unsigned char *s, size_t n)
{
  const unsigned char *first = memchr(s, ' ', n), *last = memrchr(s, ' ', n);
  if (!first || first == last)
    rwkv_fail("%s: line %zu: expected an id, a literal and a number of bytes, with a space between", f->path, line);
  int id = number(s, (size_t)(first - s)), bytes = number(last + 1, (size_t)(s + n - last) - 1);
  if (id < 1) rwkv_fail("%s: line %zu: the first field is no id from 1 on", f->path, line);
  if (bytes < 0) rwkv_fail("%s: line %zu: the last field is no number of bytes", f->path, line);
  size_t length;
  const char *problem = literal_read((const char *)first + 1, (size_t)(last - first) - 1, f->scratch, &length);
  if (problem) rwkv_fail("%s: line %zu: the literal of token %d: %s", f->path, line, id, problem);
  if (length != (size_t)bytes)
    rwkv_fail("%s: line %zu: token %d has %zu bytes, the line says %d", f->path, line, id, length, bytes);
  problem = vocabulary_add(&t->vocabulary, id, f->scratch, length);
  if (problem) rwkv_fail("%s: line %zu: %s", f->path, line, problem);
}

void world_read(Tokenizer *t, VocabularyFile *f)
{
  const unsigned char *at = f->text, *end = at + f->n;
  f->scratch = buffer_grow(f->scratch, &f->room, f->n, 1, "a vocabulary");
  for (size_t line = 1; at < end; line++) {
    const unsigned char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    size_t n = (size_t)(stop - at);
    rwkv_poll();
    read_line(t, f, line, at, n && at[n - 1] == '\r' ? n - 1 : n);
    at = stop + (stop < end);
  }
}
