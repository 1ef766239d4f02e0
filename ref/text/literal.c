#include "literal.h"

#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const char *at, *end;
  unsigned char *out;
  bool bytes; /* b'..': what it says are bytes; of a text they are code points */
} Literal;

static int digit_of(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Reads digits of a base, from `least` to `most` of them. Returns the number; -1: there are too few. */
static int64_t read_digits(Literal *l, int base, int least, int most)
{
  int64_t x = 0;
  int count = 0;
  for (; count < most && l->at < l->end && digit_of(*l->at) < base; count++) x = x * base + digit_of(*l->at++);
  return count < least ? -1 : x;
}

static const char *put_code(Literal *l, int64_t code)
{
  if (l->bytes && code > 255) return "an escape in b'..' is above 255";
  if (l->bytes) return *l->out++ = (unsigned char)code, NULL;
  size_t n = code > INT32_MAX ? 0 : utf8_write((int32_t)code, l->out);
  l->out += n;
  return n ? NULL : "an escape is no code point that UTF-8 has";
}

/* After a backslash. */
static const char *read_escape(Literal *l)
{
  static const char names[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
  if (l->at == l->end) return "it ends in a backslash";
  char c = *l->at++;
  const char *name = c ? strchr(names, c) : NULL;
  if (name) return *l->out++ = (unsigned char)values[name - names], NULL;
  if (c >= '0' && c <= '7') return l->at--, put_code(l, read_digits(l, 8, 1, 3));
  int digits = c == 'x' ? 2 : l->bytes ? 0 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (!digits)
    return "an escape is none of \\n \\t \\r \\\\ \\' \\\" \\a \\b \\f \\v \\ooo \\xhh, and in text \\uhhhh "
           "\\Uhhhhhhhh";
  int64_t code = read_digits(l, 16, digits, digits);
  return code < 0 ? "an escape has too few digits" : put_code(l, code);
}

static const char *read_character(Literal *l)
{
  int32_t code;
  size_t n = utf8_read((const unsigned char *)l->at, (size_t)(l->end - l->at), &code);
  if (!n) return "it is not UTF-8";
  if (l->bytes && n > 1) return "b'..' has a character that is not ASCII";
  memcpy(l->out, l->at, n);
  l->at += n, l->out += n;
  return NULL;
}

const char *literal_read(const char *s, size_t n, unsigned char *out, size_t *length)
{
  Literal l = {.out = out, .bytes = n && (*s == 'b' || *s == 'B')};
  s += l.bytes, n -= l.bytes;
  if (n < 2 || (*s != '\'' && *s != '"') || s[n - 1] != *s) return "expected '..', \"..\" or b'..'";
  l.at = s + 1, l.end = s + n - 1;
  while (l.at < l.end) {
    if (*l.at == *s) return "a quotation mark stands inside it";
    bool escape = *l.at == '\\';
    l.at += escape;
    const char *problem = escape ? read_escape(&l) : read_character(&l);
    if (problem) return problem;
  }
  *length = (size_t)(l.out - out);
  return NULL;
}
