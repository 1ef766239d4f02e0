/* The tokens of a vocabulary: bytes by id, and by the longest beginning of a text. */
#ifndef AVIARY_VOCABULARY_H
#define AVIARY_VOCABULARY_H

#include "buffer.h"
#include "double_array.h"

enum { VOCABULARY_MAX = (1 << 20) - 1 }; /* ids are below */

typedef struct {
  struct TokenBytes {
    size_t from, n;
  } * token; /* [size]: its bytes in `bytes`; none: no token has this id */
  size_t size, token_room;
  unsigned char *bytes;
  size_t used, byte_room;
  Trie trie;         /* while it is read */
  DoubleArray array; /* afterwards */
} Vocabulary;

void vocabulary_open(Vocabulary *v); /* empty; v is {0} */
/* Gives an id its bytes; vocabulary_add also lets these bytes of a text become the id. They return NULL, or what is
   wrong (valid until the next call). */
const char *vocabulary_put(Vocabulary *v, int id, const unsigned char *bytes, size_t n);
const char *vocabulary_add(Vocabulary *v, int id, const unsigned char *bytes, size_t n);
void vocabulary_finish(Vocabulary *v, const char *path); /* no token is added any more */
void vocabulary_release(Vocabulary *v);

/* The bytes of an id below size. */
const unsigned char *vocabulary_bytes(const Vocabulary *v, int id, size_t *n);

/* Greedy longest match from left to right. With `more` the text goes on: it stops where what follows could matter.
   Returns how many bytes it has read. It fails with `path` at a byte with which no token begins. */
size_t vocabulary_encode(const Vocabulary *v, const char *path, const unsigned char *text, size_t n, bool more,
                         Ids *out);

#endif
