/* The merges of one word. */
#include "bpe.h"

#include "../engine/err.h"

#include <limits.h>
#include <string.h>

/* ---- pairs, the one of the lowest rank first, of several the leftmost: a binary heap ---- */

static bool precedes(const Candidate *a, const Candidate *b)
{
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(Candidate *heap, size_t n, Candidate c)
{
  for (size_t up; n > 0 && precedes(&c, &heap[up = (n - 1) / 2]); n = up) heap[n] = heap[up];
  heap[n] = c;
}

/* Takes the first of n >= 1 away. */
static Candidate pop(Candidate *heap, size_t n)
{
  Candidate first = heap[0], last = heap[--n];
  size_t i = 0;
  for (size_t down; (down = 2 * i + 1) < n; i = down) {
    if (down + 1 < n && precedes(&heap[down + 1], &heap[down])) down++;
    if (!precedes(&heap[down], &last)) break;
    heap[i] = heap[down];
  }
  heap[i] = last;
  return first;
}

static size_t push_pair(Bpe *b, size_t n, int left)
{
  if (left < 0 || b->symbols[left].after < 0) return n;
  uint32_t rank = table_find(&b->merges, bpe_pair(b->symbols[left].id, b->symbols[b->symbols[left].after].id));
  if (rank == TABLE_NONE) return n;
  push(b->heap, n, (Candidate){rank, left, b->merged[rank]});
  return n + 1;
}

/* Whether the pair is still there, or another one that becomes the same. */
static bool holds(const Bpe *b, const Candidate *c)
{
  const Symbol *left = &b->symbols[c->at];
  if (!left->n || left->after < 0) return false;
  uint32_t rank = table_find(&b->merges, bpe_pair(left->id, b->symbols[left->after].id));
  return rank != TABLE_NONE && b->merged[rank] == c->id;
}

static void merge(Bpe *b, const Candidate *c)
{
  Symbol *left = &b->symbols[c->at], *right = &b->symbols[left->after];
  left->id = c->id;
  left->n += right->n;
  left->after = right->after;
  right->n = 0;
  if (left->after >= 0) b->symbols[left->after].before = c->at;
}

static void merge_all(Bpe *b, const unsigned char *word, int n)
{
  enum { OFTEN = 1 << 12 };
  size_t waiting = 0;
  b->symbols = buffer_grow(b->symbols, &b->symbol_room, (size_t)n, sizeof *b->symbols, "a word");
  b->heap = buffer_grow(b->heap, &b->heap_room, 2 * (size_t)n, sizeof *b->heap,
                        "a word"); /* a merge: one out, two in */
  for (int i = 0; i < n; i++) b->symbols[i] = (Symbol){b->byte_id[word[i]], i - 1, i + 1 < n ? i + 1 : -1, 1};
  for (int i = 0; i < n; i++) waiting = push_pair(b, waiting, i);
  for (unsigned step = 1; waiting; step++) {
    Candidate c = pop(b->heap, waiting--);
    if (step % OFTEN == 0) rwkv_poll();
    if (!holds(b, &c)) continue;
    merge(b, &c);
    waiting = push_pair(b, waiting, b->symbols[c.at].before);
    waiting = push_pair(b, waiting, c.at);
  }
}

/* ---- words seen before ---- */

static CachedWord *cached(Bpe *b, const unsigned char *word, size_t n)
{
  uint64_t h = n;
  for (size_t i = 0; i < n; i++) h = (h ^ word[i]) * 0x9e3779b97f4a7c15u;
  return &b->cache[h >> 32 & (CACHED_WORDS - 1)];
}

static void keep(CachedWord *c, const unsigned char *word, size_t n, const int *id, size_t count)
{
  if (count > CACHED_IDS) return;
  memcpy(c->bytes, word, n);
  memcpy(c->id, id, count * sizeof *id);
  c->n = (unsigned char)n, c->count = (unsigned char)count;
}

void bpe_word(Bpe *b, const unsigned char *word, size_t n, Ids *out)
{
  CachedWord *c = n < CACHED_BYTES ? cached(b, word, n) : NULL;
  if (c && c->n == n && memcmp(c->bytes, word, n) == 0) {
    for (int i = 0; i < c->count; i++) ids_put(out, c->id[i]);
    return;
  }
  if (n > INT_MAX / 2) rwkv_fail("%s: a word of %zu bytes is too long", b->path, n);
  for (size_t i = 0; i < n; i++)
    if (b->byte_id[word[i]] < 0) rwkv_fail("%s: no token is the byte 0x%02x of the text", b->path, word[i]);
  merge_all(b, word, (int)n);
  size_t first = out->n;
  for (int i = 0; i >= 0; i = b->symbols[i].after) ids_put(out, b->symbols[i].id);
  if (c) keep(c, word, n, out->id + first, out->n - first);
}
