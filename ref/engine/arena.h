/* Memory for one training step: allocation is a pointer bump, and everything goes at once.
   Blocks are kept for the next step, so a steady training loop asks the system for nothing. */
#ifndef AVIARY_ARENA_H
#define AVIARY_ARENA_H

#include "memory.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct {
  ArenaBlock *first, *current;
  size_t used;          /* bytes taken from `current` */
  const Memory *memory; /* where its blocks are; NULL: in the process */
} Arena;

typedef struct {
  ArenaBlock *block;
  size_t used;
} ArenaMark;

/* `bytes` of memory aligned to 64 bytes, contents undefined; fails through rwkv_fail. */
void *arena_alloc(Arena *arena, size_t bytes);

ArenaMark arena_mark(const Arena *arena);
void arena_rewind(Arena *arena, ArenaMark mark); /* forgets all that came after the mark */
void arena_reset(Arena *arena);                  /* forgets everything; keeps the blocks unless memory is short */
void arena_free(Arena *arena);                   /* gives the blocks back */
size_t arena_bytes(const Arena *arena);          /* bytes held, used or not */

#endif
