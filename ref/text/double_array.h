/* A trie as a double array: the longest of a set of strings with which a text begins, in few bytes and one look a
   byte. */
#ifndef AVIARY_DOUBLE_ARRAY_H
#define AVIARY_DOUBLE_ARRAY_H

#include "trie.h"

/* A node stands in a slot; that of a byte more in the slot at its base + the byte. No two nodes have the same base, so
   the byte alone says whose slot it is. The root has base 1. */
typedef struct {
  struct DoubleArraySlot {
    uint32_t link;  /* base << 9 | 1 + byte; base 0: nothing follows. 0: a free slot */
    int32_t number; /* of the string that ends here, or -1 */
  } * slots;
  size_t size;
  size_t longest; /* bytes of the longest string */
} DoubleArray;

enum { DOUBLE_ARRAY_LABEL_BITS = 9, DOUBLE_ARRAY_MAX = 1 << (32 - DOUBLE_ARRAY_LABEL_BITS) }; /* slots */

void double_array_build(DoubleArray *a, const Trie *t, const char *what); /* a is {0}; `what` begins an error */
void double_array_release(DoubleArray *a);

/* The longest string with which the n >= 1 bytes at s begin: its length, its number in *number. 0: there is none. */
static inline size_t double_array_longest(const DoubleArray *a, const unsigned char *s, size_t n, int *number)
{
  size_t length = 0;
  uint32_t base = 1;
  *number = -1;
  for (size_t i = 0; i < n; i++) {
    struct DoubleArraySlot slot = a->slots[base + s[i]];
    if ((slot.link & ((1 << DOUBLE_ARRAY_LABEL_BITS) - 1)) != s[i] + 1u) break;
    if (slot.number >= 0) *number = slot.number, length = i + 1;
    base = slot.link >> DOUBLE_ARRAY_LABEL_BITS;
    if (!base) break;
  }
  return length;
}

#endif
