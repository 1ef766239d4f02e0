/* Byte-level BPE as Hugging Face's tokenizers have it:

     text -> added tokens taken out -> NFC -> added tokens of the normalised text taken out -> words -> merges

   Each byte of a word is a symbol; as long as there is a pair of neighbours among the merges, the one of the lowest
   rank, of several the leftmost, becomes one symbol. */
#ifndef AVIARY_BPE_H
#define AVIARY_BPE_H

#include "buffer.h"
#include "double_array.h"
#include "nfc.h"
#include "words.h"

#include <stdbool.h>

enum { CACHED_BYTES = 23, CACHED_IDS = 6, CACHED_WORDS = 1 << 14 };

/* A word that was looked up before. */
typedef struct {
  unsigned char n, count;
  unsigned char bytes[CACHED_BYTES - 1];
  int id[CACHED_IDS];
} CachedWord;

/* A symbol of the word at work; its neighbours, or -1. Merged into the one before it has no bytes. */
typedef struct {
  int id, before, after;
  unsigned n;
} Symbol;

/* A pair that may be merged: `at` its left symbol, the result. */
typedef struct {
  unsigned rank;
  int at, id;
} Candidate;

typedef struct Bpe {
  const char *path;
  int byte_id[256];        /* -1: no token */
  Table merges;            /* left id << 20 | right id -> rank */
  int *merged;             /* [rank]: id */
  DoubleArray raw, normal; /* the added tokens: searched in the text, and in the normalised text */
  bool normalise;          /* NFC */
  bool whole;              /* an added token may stand across any place: a text cannot be encoded in parts */
  Nfc nfc;
  Words *words;
  CachedWord *cache; /* [CACHED_WORDS], by the hash of the word */
  Symbol *symbols;
  Candidate *heap;
  size_t symbol_room, heap_room;
} Bpe;

static inline uint64_t bpe_pair(int left, int right) { return (uint64_t)left << 20 | (uint64_t)right; }

void bpe_word(Bpe *b, const unsigned char *word, size_t n, Ids *out); /* bpe_word.c */

/* As tokenizer_encode. Text that is no UTF-8, which Hugging Face does not take: each such byte becomes the token of
   this byte, and what stands before and behind it are texts of their own. */
size_t bpe_encode(Bpe *b, const unsigned char *text, size_t n, bool more, Ids *out);
void bpe_close(Bpe *b);

#endif
