/* What is behind tokenizer.h: a reader for each kind of vocabulary. */
#ifndef AVIARY_KINDS_H
#define AVIARY_KINDS_H

#include "bpe.h"
#include "tokenizer.h"
#include "vocabulary.h"

struct Tokenizer {
  char *path;
  const char *kind;
  Vocabulary vocabulary; /* with all kinds the bytes of ids; without bpe also what encodes */
  Bpe *bpe;              /* or NULL */
};

/* A file while it is read, and what its reader needs meanwhile. */
typedef struct {
  const char *path;
  unsigned char *text; /* [n], and a 0 behind */
  size_t n;
  void *json;             /* cJSON */
  unsigned char *scratch; /* [room] */
  size_t room;
  Trie names, raw, normal; /* bpe: the tokens as the file spells them; the added ones */
} VocabularyFile;

/* The readers fill t->vocabulary, and t->bpe; they fail with the file's name. */
void world_read(Tokenizer *t, VocabularyFile *f);
void chars_read(Tokenizer *t, VocabularyFile *f); /* f->json is there */
void bpe_read(Tokenizer *t, VocabularyFile *f);   /* the same */

#endif
