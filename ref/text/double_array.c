#include "double_array.h"

#include "../engine/err.h"
#include "buffer.h"

#include <stdlib.h>

/* What it is built with. */
typedef struct {
  DoubleArray *a;
  const Trie *trie;
  size_t room, taken_room;
  uint64_t *edges; /* [count], sorted: node << 8 | byte, and in the last 24 bits the node to which they lead */
  size_t count;
  uint32_t *base; /* [nodes], or 0 */
  bool *taken;    /* [slots]: some node's base */
  size_t from;    /* slots before it are not looked at */
  const char *what;
} Build;

static int by_edge(const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static unsigned byte_of(uint64_t edge) { return edge >> TABLE_VALUE_BITS & 0xff; }
static size_t node_of(uint64_t edge) { return (size_t)(edge >> TABLE_VALUE_BITS >> 8); }

static void reserve(Build *b, size_t size)
{
  if (size > DOUBLE_ARRAY_MAX) rwkv_fail("%s: the vocabulary is too large", b->what);
  b->a->slots = buffer_grow(b->a->slots, &b->room, size, sizeof *b->a->slots, "a vocabulary");
  b->taken = buffer_grow(b->taken, &b->taken_room, size, sizeof *b->taken, "a vocabulary");
  b->a->size = size;
}

/* The first base from b->from on at which all slots for the n edges of a node are free. */
static uint32_t find_base(Build *b, const uint64_t *edges, size_t n)
{
  enum { BEHIND = 4096 }; /* so far behind the place that was found places are looked at again */
  unsigned first = byte_of(edges[0]);
  for (size_t slot = b->from > first + 1 ? b->from : first + 1;; slot++) {
    size_t base = slot - first, i = 0;
    if (base + 256 >= b->a->size) reserve(b, b->a->size + 1024);
    if (b->taken[base]) continue;
    while (i < n && !b->a->slots[base + byte_of(edges[i])].link) i++;
    if (i < n) continue;
    if (slot > b->from + BEHIND) b->from = slot - BEHIND;
    return (uint32_t)base;
  }
}

/* Chooses the base of a node and takes the slots of its n edges. */
static void place(Build *b, const uint64_t *edges, size_t n)
{
  uint32_t base = find_base(b, edges, n);
  b->base[node_of(edges[0])] = base;
  b->taken[base] = true;
  for (size_t i = 0; i < n; i++) b->a->slots[base + byte_of(edges[i])].link = byte_of(edges[i]) + 1;
  while (b->from < b->a->size && b->a->slots[b->from].link) b->from++;
}

/* Places the nodes with least to most edges. */
static void place_nodes(Build *b, size_t least, size_t most)
{
  b->from = 257;
  for (size_t i = 0, n; i < b->count; i += n) {
    for (n = 1; i + n < b->count && node_of(b->edges[i + n]) == node_of(b->edges[i]); n++)
      ;
    if (i % 4096 < n) rwkv_poll();
    if (n >= least && n <= most) place(b, b->edges + i, n);
  }
}

static void fill(Build *b, uint32_t slot, uint32_t node)
{
  b->a->slots[slot].link |= b->base[node] << DOUBLE_ARRAY_LABEL_BITS;
  b->a->slots[slot].number = b->trie->number[node];
}

static void build(void *arg)
{
  static const size_t sizes[] = {257, 17, 5, 2, 1}; /* the large first: the small find a place between */
  Build *b = arg;
  b->edges = rwkv_alloc(b->trie->next.taken + 1, sizeof *b->edges, "a vocabulary");
  b->base = rwkv_alloc(b->trie->nodes, sizeof *b->base, "a vocabulary");
  for (size_t i = 0; i < b->trie->next.room; i++)
    if (b->trie->next.slots[i] != TABLE_FREE) b->edges[b->count++] = b->trie->next.slots[i];
  qsort(b->edges, b->count, sizeof *b->edges, by_edge);
  reserve(b, 1024);
  b->taken[1] = true; /* the root: a byte stands in the slot behind it */
  for (uint32_t byte = 0; byte < 256; byte++) b->a->slots[1 + byte].link = byte + 1;
  for (int i = 0; i < 4; i++) place_nodes(b, sizes[i + 1], sizes[i] - 1);
  for (uint32_t byte = 0; byte < 256; byte++) fill(b, 1 + byte, byte);
  for (size_t i = 0; i < b->count; i++)
    fill(b, b->base[node_of(b->edges[i])] + byte_of(b->edges[i]), (uint32_t)b->edges[i] & TABLE_NONE);
}

void double_array_build(DoubleArray *a, const Trie *t, const char *what)
{
  Build b = {.a = a, .trie = t, .what = what};
  a->longest = t->longest;
  const char *problem = rwkv_protect(build, &b);
  void *const blocks[] = {b.edges, b.base, b.taken};
  for (int i = 0; i < 3; i++)
    if (blocks[i]) rwkv_release(blocks[i]);
  if (problem) rwkv_fail("%s", problem);
}

void double_array_release(DoubleArray *a)
{
  if (a->slots) rwkv_release(a->slots);
  *a = (DoubleArray){0};
}
