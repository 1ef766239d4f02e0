/* A text through a vocabulary: whole, in two parts, and back. */
#ifndef AVIARY_FUZZ_TEXT_H
#define AVIARY_FUZZ_TEXT_H

#include "fuzz.h"

#include "engine/err.h"
#include "text/kinds.h"

#include <string.h>

typedef struct {
  const char *path;
  Tokenizer *t;
  const uint8_t *text;
  size_t n, cut; /* cut: where the first part ends */
  Ids *out;
} FuzzText;

static inline void fuzz_open_tokenizer(void *arg)
{
  FuzzText *f = arg;
  f->t = tokenizer_open(f->path);
}

static inline void fuzz_encode(void *arg)
{
  FuzzText *f = arg;
  size_t first = f->cut ? tokenizer_encode(f->t, f->text, f->cut, true, f->out) : 0;
  fuzz_need(first <= f->cut, "more is read than there is");
  fuzz_need(tokenizer_encode(f->t, f->text + first, f->n - first, false, f->out) == f->n - first, "a text is not read");
}

/* Whether the ids stand for these bytes. */
static inline bool fuzz_spell(const Tokenizer *t, const Ids *ids, const uint8_t *text, size_t n)
{
  size_t at = 0, length;
  for (size_t i = 0; i < ids->n; i++, at += length) {
    const unsigned char *bytes = tokenizer_bytes(t, ids->id[i], &length);
    fuzz_need(length > 0, "an id without bytes comes out of a text");
    if (length > n - at || memcmp(bytes, text + at, length)) return false;
  }
  return at == n;
}

static inline bool fuzz_same_ids(const Ids *a, const Ids *b)
{
  return a->n == b->n && (a->n == 0 || memcmp(a->id, b->id, a->n * sizeof *a->id) == 0);
}

/* What it encodes to, in *ids; false: it cannot be encoded, in parts neither. Where `exact` the ids spell it. */
static inline bool fuzz_text(Tokenizer *t, const uint8_t *text, size_t n, size_t cut, bool exact, Ids *ids)
{
  Ids parts = {0};
  FuzzText whole = {.t = t, .text = text, .n = n, .out = ids};
  FuzzText in_parts = {.t = t, .text = text, .n = n, .cut = cut, .out = &parts};
  bool good = !rwkv_protect(fuzz_encode, &whole);
  fuzz_need(good == !rwkv_protect(fuzz_encode, &in_parts), "whole and in parts it does not fail alike");
  fuzz_need(!good || fuzz_same_ids(ids, &parts), "whole and in parts it has other ids");
  fuzz_need(!good || !exact || fuzz_spell(t, ids, text, n), "the ids are those of another text");
  ids_release(&parts);
  return good;
}

/* The last two bytes say how much of the rest is a text, and where it is cut; before it stands a vocabulary. */
static inline size_t fuzz_vocabulary(const uint8_t *bytes, size_t size, FuzzText *f)
{
  if (size < 2) return 0;
  f->n = bytes[size - 1] < size - 2 ? bytes[size - 1] : size - 2;
  f->cut = f->n ? bytes[size - 2] % (f->n + 1) : 0;
  f->text = bytes + size - 2 - f->n;
  return size - 2 - f->n;
}

/* Opens the vocabulary in the bytes, and calls `use`; all memory has to come back, and errors to name the file. */
static inline void fuzz_with_vocabulary(const uint8_t *bytes, size_t size, void (*use)(FuzzText *f))
{
  FuzzText f = {0};
  size_t length = fuzz_vocabulary(bytes, size, &f);
  f.path = fuzz_file(bytes, length);
  const char *problem = rwkv_protect(fuzz_open_tokenizer, &f);
  fuzz_need(!problem || strstr(problem, f.path), "an error without the file's name");
  if (!problem) use(&f);
  tokenizer_close(f.t);
  fuzz_need(memory_used() == 0, "memory that is not given back");
}

#endif
