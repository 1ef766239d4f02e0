/* Numbers as text, one a line: a tensor of float64 that is called after the file. Blank lines and what follows a # say
   nothing. */
#include "format.h"

#include "../engine/err.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\v\f";

/* The line that begins here, without what surrounds its number, copied; *next: where the next one begins. */
static void take_line(const char *at, const char *end, char out[400], int line, const char **next)
{
  const char *stop = memchr(at, '\n', (size_t)(end - at)), *hash;
  *next = stop ? stop + 1 : end;
  if (!stop) stop = end;
  if ((hash = memchr(at, '#', (size_t)(stop - at)))) stop = hash;
  while (at < stop && strchr(blanks, *at) && *at) at++;
  while (at < stop && strchr(blanks, stop[-1]) && stop[-1]) stop--;
  if (stop - at > 399)
    rwkv_fail("is text, not safetensors, and line %d has %zu characters, expected a number", line, (size_t)(stop - at));
  memcpy(out, at, (size_t)(stop - at));
  out[stop - at] = 0;
}

static double number_of(const char *text, int line)
{
  char *end, shown[41];
  double x = strtod(text, &end);
  if (!*end) return x;
  snprintf(shown, sizeof shown, "%.40s", text);
  for (char *c = shown; *c; c++)
    if (*c < ' ' || *c > '~') *c = '?';
  rwkv_fail("is text, not safetensors, and line %d is \"%s\", expected a number", line, shown);
}

static void list(TensorFile *f, const Mapping *m)
{
  const char *at = (const char *)m->bytes, *end = at + m->size;
  char text[400];
  size_t lines = 1, n = 0;
  format_name(f, "text");
  for (const char *c = at; c < end && (c = memchr(c, '\n', (size_t)(end - c))); c++) lines++;
  if (lines > INT_MAX) rwkv_fail("has more than %d lines", INT_MAX);
  double *numbers = format_memory(f, lines * sizeof *numbers);
  for (int line = 1; at < end; line++) {
    if (line % 4096 == 0) rwkv_poll();
    take_line(at, end, text, line, &at);
    if (*text) numbers[n++] = number_of(text, line);
  }
  if (!n) rwkv_fail("is a text without a number");
  const unsigned char *bytes = (const unsigned char *)numbers;
  FileTensor *t = format_tensor(f, format_called(f, m->path), FILE_F64, 1, &(int){(int)n}, bytes, n * sizeof *numbers);
  t->written = true;
}

/* Nothing but printed characters where other files have the numbers of their header. */
static bool begins(const unsigned char *bytes, size_t size)
{
  size_t look = size < 64 ? size : 64;
  for (size_t i = 0; i < look; i++)
    if (bytes[i] > '~' || (bytes[i] < ' ' && !strchr("\t\n\v\f\r", bytes[i])) || !bytes[i]) return false;
  return size > 0;
}

const Format format_lines = {begins, list};
