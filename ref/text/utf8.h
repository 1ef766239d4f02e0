/* UTF-8, one code point at a time. */
#ifndef AVIARY_UTF8_H
#define AVIARY_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The code point with which the n >= 1 bytes begin, and how many of them it has; 0 bytes: it is no UTF-8 (cut,
   overlong, a surrogate, above U+10FFFF). */
size_t utf8_read(const unsigned char *s, size_t n, int32_t *code);
/* Its bytes into out[4]; returns how many. 0: a surrogate, or above U+10FFFF. */
size_t utf8_write(int32_t code, unsigned char *out);

#endif
