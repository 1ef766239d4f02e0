/* A hash table from numbers below 2^40 to numbers below 2^24: key and value share the 64 bits of a slot, so that a
   lookup mostly reads one line of the cache. */
#ifndef AVIARY_TABLE_H
#define AVIARY_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* At most half of the slots are taken; their number is a power of two, 2^(64 - shift). */
typedef struct {
  uint64_t *slots; /* key << 24 | value, or TABLE_FREE */
  size_t taken, room;
  int shift;
} Table;

enum { TABLE_VALUE_BITS = 24 };
#define TABLE_NONE ((uint32_t)0xffffff) /* no value */
#define TABLE_FREE UINT64_MAX           /* no key */

void table_open(Table *t);                              /* empty; t is {0} */
void table_put(Table *t, uint64_t key, uint32_t value); /* the key is not there yet */
void table_release(Table *t);

/* The value of the key, or TABLE_NONE. */
static inline uint32_t table_find(const Table *t, uint64_t key)
{
  size_t i = key * 0x9e3779b97f4a7c15u >> t->shift; /* Fibonacci hashing: 2^64 divided by the golden ratio */
  for (;; i = (i + 1) & (t->room - 1)) {
    uint64_t slot = t->slots[i];
    if (slot >> TABLE_VALUE_BITS == key) return (uint32_t)slot & TABLE_NONE;
    if (slot == TABLE_FREE) return TABLE_NONE;
  }
}

#endif
