/* A set of byte strings, each with a number. */
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

#endif
