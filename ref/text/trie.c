#include "trie.h"

#include "../engine/err.h"
#include "buffer.h"

static uint32_t new_node(Trie *t)
{
  t->number = buffer_grow(t->number, &t->room, t->nodes + 1, sizeof *t->number, "a vocabulary");
  t->number[t->nodes] = -1;
  return (uint32_t)t->nodes++;
}

void trie_open(Trie *t)
{
  table_open(&t->next);
  for (int i = 0; i < 256; i++) new_node(t);
}

int trie_add(Trie *t, const unsigned char *s, size_t n, int number)
{
  uint32_t node = s[0];
  for (size_t i = 1; i < n; i++) {
    uint64_t key = (uint64_t)node << 8 | s[i];
    node = table_find(&t->next, key);
    if (node != TABLE_NONE) continue;
    if (t->nodes == TRIE_MAX_NODES) return -1;
    node = new_node(t);
    table_put(&t->next, key, node);
  }
  if (t->number[node] >= 0) return t->number[node];
  if (t->longest < n) t->longest = n;
  return t->number[node] = number;
}

int trie_find(const Trie *t, const unsigned char *s, size_t n)
{
  uint32_t node = n ? s[0] : TABLE_NONE;
  for (size_t i = 1; i < n && node != TABLE_NONE; i++) node = table_find(&t->next, (uint64_t)node << 8 | s[i]);
  return node == TABLE_NONE ? -1 : t->number[node];
}

void trie_release(Trie *t)
{
  table_release(&t->next);
  if (t->number) rwkv_release(t->number);
  *t = (Trie){0};
}
