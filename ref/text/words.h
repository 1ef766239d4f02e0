/* The words into which GPT-2 cuts a text before BPE, by PCRE2. */
#ifndef AVIARY_WORDS_H
#define AVIARY_WORDS_H

#include <stddef.h>

typedef struct Words Words;

Words *words_open(void);
void words_close(Words *w);
/* The length of the word with which the n >= 1 bytes of UTF-8 begin. */
size_t words_next(Words *w, const unsigned char *text, size_t n);

#endif
