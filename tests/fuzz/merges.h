/* Byte-level BPE of ASCII a second time, as it is defined: words by hand, and the pair of the lowest rank looked for
   again after every merge. */
#ifndef AVIARY_FUZZ_MERGES_H
#define AVIARY_FUZZ_MERGES_H

#include "text.h"

enum { FUZZ_WORD = 4096 };

static inline int fuzz_class(uint8_t c)
{
  if (c == ' ' || (c >= '\t' && c <= '\r')) return 0;
  if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return 1;
  return c >= '0' && c <= '9' ? 2 : 3;
}

/* The length of GPT-2's word at the beginning of n >= 1 bytes of ASCII. */
static inline size_t fuzz_word(const uint8_t *text, size_t n)
{
  if (n > 1 && *text == '\'' && text[1] && strchr("stmd", text[1])) return 2;
  if (n > 2 && *text == '\'' &&
      (!memcmp(text + 1, "re", 2) || !memcmp(text + 1, "ve", 2) || !memcmp(text + 1, "ll", 2)))
    return 3;
  size_t first = *text == ' ' && n > 1 && fuzz_class(text[1]) ? 1 : 0, end = first;
  while (end < n && fuzz_class(text[end]) == fuzz_class(text[first])) end++;
  bool spaces = fuzz_class(text[first]) == 0;
  return spaces && end < n && end > 1 ? end - 1 : end;
}

static inline void fuzz_merge(const Bpe *b, const uint8_t *word, size_t n, Ids *out)
{
  int id[FUZZ_WORD];
  for (size_t i = 0; i < n; i++) id[i] = b->byte_id[word[i]];
  for (;;) {
    uint32_t best = TABLE_NONE, rank;
    size_t at = 0;
    for (size_t i = 0; i + 1 < n; i++)
      if ((rank = table_find(&b->merges, bpe_pair(id[i], id[i + 1]))) < best) best = rank, at = i;
    if (best == TABLE_NONE) break;
    id[at] = b->merged[best];
    memmove(id + at + 1, id + at + 2, (--n - at - 1) * sizeof *id);
  }
  for (size_t i = 0; i < n; i++) ids_put(out, id[i]);
}

static inline bool fuzz_is_plain(const Bpe *b, const uint8_t *text, size_t n)
{
  int id;
  for (size_t i = 0; i < n; i++)
    if (text[i] >= 0x80 || (b->raw.longest && double_array_longest(&b->raw, text + i, n - i, &id)) ||
        (b->normal.longest && double_array_longest(&b->normal, text + i, n - i, &id)))
      return false;
  return n <= FUZZ_WORD;
}

/* Whether the ids are right, of a text of ASCII without added tokens that can be encoded. */
static inline void fuzz_merges(const Bpe *b, const uint8_t *text, size_t n, const Ids *ids)
{
  Ids expected = {0};
  if (!fuzz_is_plain(b, text, n)) return;
  for (size_t at = 0, length; at < n; at += length) {
    length = fuzz_word(text + at, n - at);
    fuzz_merge(b, text + at, length, &expected);
  }
  fuzz_need(fuzz_same_ids(ids, &expected), "words or merges are others");
  ids_release(&expected);
}

#endif
