/* A file of safetensors that is whole, made of lines of text: each a tensor (NAME SIZE ..) of float32, or metadata
   (@KEY TEXT). No number stands in it twice; tensors called NAME~ are token ids 0 .. 4, and of NAME! some are not. */
#ifndef AVIARY_FUZZ_LINES_H
#define AVIARY_FUZZ_LINES_H

#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

enum { TENSOR_MOST = 1024, FILE_MOST = 16384, HEADER_MOST = 65536 }; /* numbers, numbers, bytes */

typedef struct {
  char header[HEADER_MOST];
  uint8_t data[8 * FILE_MOST];
  size_t length, size, numbers; /* of the header, of the data; how many of float32 */
} Lines;

static inline void lines_put(Lines *l, const char *text, size_t n)
{
  for (size_t i = 0; i < n && l->length < HEADER_MOST - 400; i++) l->header[l->length++] = text[i];
}

static inline void lines_put_text(Lines *l, const char *text, size_t n)
{
  for (size_t i = 0; i < n && i < 200; i++) {
    if (text[i] == '"' || text[i] == '\\') lines_put(l, "\\", 1);
    if ((unsigned char)text[i] >= ' ') lines_put(l, &text[i], 1);
  }
}

/* The sizes behind a name as they stand in JSON; returns how many elements that are. */
static inline size_t lines_shape(const char *line, size_t at, size_t length, char shape[100])
{
  size_t n = 1;
  *shape = 0;
  for (int axes = 0; at < length && axes < 5; axes++) {
    unsigned size = 0;
    while (at < length && (line[at] < '0' || line[at] > '9')) at++;
    for (; at < length && line[at] >= '0' && line[at] <= '9'; at++)
      size = (10 * size + (unsigned)line[at] - '0') % 10000;
    n *= size;
    sprintf(shape + strlen(shape), "%s%u", axes ? "," : "", size);
  }
  return n;
}

static inline void lines_put_tensor(Lines *l, const char *line, size_t length)
{
  char entry[400], shape[100];
  size_t name = 0, from = l->size;
  while (name < length && line[name] != ' ') name++;
  size_t n = lines_shape(line, name, length, shape);
  char last = name ? line[name - 1] : 0;
  bool ids = last == '~' || last == '!';
  if (n > TENSOR_MOST || l->size + 8 * n > sizeof l->data || l->length > HEADER_MOST - 1000) return;
  for (size_t i = 0; i < n; i++) {
    int64_t id = last == '!' ? (int64_t)(i % 7) - 1 : (int64_t)(i % 5);
    float x = (float)l->numbers;
    memcpy(l->data + l->size, ids ? (void *)&id : (void *)&x, ids ? 8 : 4);
    l->size += ids ? 8 : 4, l->numbers += !ids;
  }
  lines_put(l, ",\"", 2);
  lines_put_text(l, line, name - ids);
  int size = sprintf(entry, "\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", ids ? "I64" : "F32",
                     shape, from, l->size);
  lines_put(l, entry, (size_t)size);
}

/* The lines whose first byte is '@' (metadata), or is not. */
static inline void lines_put_all(Lines *l, const char *text, size_t size, bool metadata)
{
  bool first = true;
  for (size_t at = 0, length; at < size; at += length + 1) {
    const char *line = text + at, *end = memchr(line, '\n', size - at);
    length = end ? (size_t)(end - line) : size - at;
    if (!length || (*line == '@') != metadata) continue;
    const char *space = metadata ? memchr(line, ' ', length) : NULL;
    if (!metadata) lines_put_tensor(l, line, length);
    if (!space) continue;
    lines_put(l, first ? "\"" : ",\"", first ? 1 : 2);
    lines_put_text(l, line + 1, (size_t)(space - line) - 1);
    lines_put(l, "\":\"", 3);
    lines_put_text(l, space + 1, length - (size_t)(space - line) - 1);
    lines_put(l, "\"", 1);
    first = false;
  }
}

/* The path of the file, as fuzz_file, and how many numbers of float32 there are. */
static inline const char *lines_file(const uint8_t *text, size_t size, size_t *numbers)
{
  static uint8_t bytes[8 + HEADER_MOST + 8 * FILE_MOST];
  static Lines l;
  l.length = l.size = l.numbers = 0;
  lines_put(&l, "{\"__metadata__\":{", 17);
  lines_put_all(&l, (const char *)text, size, true);
  lines_put(&l, "}", 1);
  lines_put_all(&l, (const char *)text, size, false);
  lines_put(&l, "}", 1);
  uint64_t length = l.length;
  memcpy(bytes, &length, 8);
  memcpy(bytes + 8, l.header, l.length);
  memcpy(bytes + 8 + l.length, l.data, l.size);
  *numbers = l.numbers;
  return fuzz_file(bytes, 8 + l.length + l.size);
}

#endif
