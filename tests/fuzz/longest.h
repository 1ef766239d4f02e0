/* Greedy longest match a second time, without a trie: tokens sorted by their bytes, and those of them that begin as the
   text does, a byte more each time. */
#ifndef AVIARY_FUZZ_LONGEST_H
#define AVIARY_FUZZ_LONGEST_H

#include "text.h"

typedef struct {
  const unsigned char *bytes;
  size_t n;
  int id;
} FuzzToken;

typedef struct {
  FuzzToken *tokens;
  size_t count;
} FuzzTokens;

static inline int fuzz_order(const void *a, const void *b)
{
  const FuzzToken *x = a, *y = b;
  int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
  return order ? order : (x->n > y->n) - (x->n < y->n);
}

static inline FuzzTokens fuzz_sorted(const Tokenizer *t)
{
  FuzzTokens s = {malloc(((size_t)tokenizer_size(t) + 1) * sizeof *s.tokens), 0};
  for (int id = 0; id < tokenizer_size(t); id++) {
    FuzzToken *token = &s.tokens[s.count];
    token->bytes = tokenizer_bytes(t, id, &token->n);
    token->id = id;
    s.count += token->n > 0;
  }
  qsort(s.tokens, s.count, sizeof *s.tokens, fuzz_order);
  return s;
}

/* The first token of those from `low` that is not before (with `after`: that is after) all that begin so. */
static inline size_t fuzz_bound(const FuzzTokens *s, size_t low, size_t high, const uint8_t *text, size_t n, bool after)
{
  while (low < high) {
    size_t middle = (low + high) / 2;
    const FuzzToken *token = &s->tokens[middle];
    int order = memcmp(token->bytes, text, token->n < n ? token->n : n);
    if (order < 0 || (order == 0 && (token->n < n || after))) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Whether the ids are the longest matches; a text with which no token begins has none. */
static inline void fuzz_longest(const FuzzTokens *s, const uint8_t *text, size_t n, bool good, const Ids *ids)
{
  size_t count = 0;
  for (size_t at = 0, length; at < n; at += length, count++) {
    size_t low = 0, high = s->count;
    int id = -1;
    length = 0;
    for (size_t more = 1; more <= n - at; more++) {
      low = fuzz_bound(s, low, high, text + at, more, false);
      high = fuzz_bound(s, low, high, text + at, more, true);
      if (low == high) break;
      if (s->tokens[low].n == more) id = s->tokens[low].id, length = more;
    }
    if (id < 0) {
      fuzz_need(!good, "a text is encoded that no tokens make up");
      return;
    }
    fuzz_need(!good || (count < ids->n && ids->id[count] == id), "another token is longer");
  }
  fuzz_need(good && count == ids->n, "a text is not encoded as its longest tokens");
}

/* A vocabulary that takes the longest token, and a text. */
static inline void fuzz_against_longest(FuzzText *f)
{
  Ids ids = {0};
  if (f->t->bpe) return;
  FuzzTokens sorted = fuzz_sorted(f->t);
  bool good = fuzz_text(f->t, f->text, f->n, f->cut, true, &ids);
  fuzz_longest(&sorted, f->text, f->n, good, &ids);
  free(sorted.tokens);
  ids_release(&ids);
}

#endif
