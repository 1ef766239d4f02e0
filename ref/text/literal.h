/* Literals of Python for text and bytes, as repr writes them: 'a', "it's", b'\xff'. */
#ifndef AVIARY_LITERAL_H
#define AVIARY_LITERAL_H

#include <stddef.h>

/* The bytes that the literal of n characters stands for into out[n], their number in *length: those of a text as UTF-8.
   Returns NULL, or what is wrong with it. */
const char *literal_read(const char *s, size_t n, unsigned char *out, size_t *length);

#endif
