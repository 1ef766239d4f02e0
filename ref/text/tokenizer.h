/* Text as token ids, and back. One interface for all vocabularies:

     world  rwkv_vocab_v20230424.txt: greedy longest match on bytes
     bpe    20B_tokenizer.json of Hugging Face: byte-level BPE after NFC and the words of GPT-2
     chars  vocab.json of v1 to v3, {"0":"a", ..}: one character a token
     bytes  without a file: the id is the byte                                                            */
#ifndef AVIARY_TOKENIZER_H
#define AVIARY_TOKENIZER_H

#include "buffer.h"

#include <stdbool.h>

typedef struct Tokenizer Tokenizer;

/* A vocabulary by its path, whose kind is told by its content, or "bytes". Errors name the file, and the line. */
Tokenizer *tokenizer_open(const char *path);
void tokenizer_close(Tokenizer *t);

const char *tokenizer_path(const Tokenizer *t); /* as it was given */
const char *tokenizer_kind(const Tokenizer *t); /* "world", "bpe", "chars", "bytes" */
int tokenizer_size(const Tokenizer *t);         /* ids are below */

/* Appends the ids of a text of any bytes. With `more` the text goes on, and it stops where what follows could matter:
   the rest has to come again, in front of what follows. Returns how many bytes it has read, all of them without `more`.
   Fails at a byte for which the vocabulary has no token. */
size_t tokenizer_encode(Tokenizer *t, const unsigned char *text, size_t n, bool more, Ids *out);

/* The bytes of an id, and how many; none for an id without token, as 0 of a World vocabulary is, the end of a text. The
   id is checked. */
const unsigned char *tokenizer_bytes(const Tokenizer *t, int id, size_t *n);

#endif
