#include "table.h"

#include "../engine/err.h"

#include <string.h>

static void put(Table *t, uint64_t slot)
{
  size_t i = (slot >> TABLE_VALUE_BITS) * 0x9e3779b97f4a7c15u >> t->shift;
  while (t->slots[i] != TABLE_FREE) i = (i + 1) & (t->room - 1);
  t->slots[i] = slot;
}

static void take(Table *t, int bits)
{
  size_t room = (size_t)1 << bits;
  t->slots = rwkv_alloc(room, sizeof *t->slots, "a vocabulary");
  memset(t->slots, 0xff, room * sizeof *t->slots); /* TABLE_FREE */
  t->room = room;
  t->shift = 64 - bits;
}

void table_open(Table *t) { take(t, 8); }

static void grow(Table *t)
{
  Table old = *t;
  take(t, 64 - old.shift + 1);
  for (size_t i = 0; i < old.room; i++)
    if (old.slots[i] != TABLE_FREE) put(t, old.slots[i]);
  rwkv_release(old.slots);
}

void table_put(Table *t, uint64_t key, uint32_t value)
{
  if (2 * (t->taken + 1) > t->room) grow(t);
  put(t, key << TABLE_VALUE_BITS | value);
  t->taken++;
}

void table_release(Table *t)
{
  if (t->slots) rwkv_release(t->slots);
  *t = (Table){0};
}
