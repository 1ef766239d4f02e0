/* A set of byte strings, each with a number, and the longest of them with which a text begins. */
#ifndef AVIARY_TRIE_H
#define AVIARY_TRIE_H

#include "table.h"

#include <stdbool.h>

/* A node stands for a string: nodes 0 .. 255 for that of this one byte, the others for that of another node and a byte
   more. A table leads from node << 8 | byte to the node. */
typedef struct {
  Table next;
  int *number; /* [nodes]: of the string, or -1: it is only the beginning of others */
  size_t nodes, room;
  size_t longest; /* bytes of the longest string */
} Trie;

enum { TRIE_MAX_NODES = TABLE_NONE - 1 };

void trie_open(Trie *t); /* empty; t is {0} */
/* Adds a string of n >= 1 bytes. Returns its number if it was there before, otherwise `number`, which is >= 0.
   -1: the trie is full. */
int trie_add(Trie *t, const unsigned char *s, size_t n, int number);
int trie_find(const Trie *t, const unsigned char *s, size_t n); /* the number of this very string, or -1 */
void trie_release(Trie *t);

/* The longest string with which the n >= 1 bytes at s begin: its length, and its number in *number. 0: there is none.
   */
static inline size_t trie_longest(const Trie *t, const unsigned char *s, size_t n, int *number)
{
  uint32_t node = s[0];
  size_t length = t->number[node] >= 0;
  *number = t->number[node];
  for (size_t i = 1; i < n; i++) {
    node = table_find(&t->next, (uint64_t)node << 8 | s[i]);
    if (node == TABLE_NONE) break;
    if (t->number[node] >= 0) *number = t->number[node], length = i + 1;
  }
  return length;
}

#endif
