#include "arena.h"

#include "err.h"

#include <stdint.h>
#include <string.h>
#ifdef AVIARY_POISON
#include <sanitizer/asan_interface.h>
#endif

enum { ALIGN = 64 };
#ifndef ARENA_BLOCK /* fuzzers have small ones: they make thousands of arenas a second */
#define ARENA_BLOCK (1 << 20)
#endif
static const size_t host_block = (size_t)ARENA_BLOCK,
                    number_block = (size_t)8 * ARENA_BLOCK; /* numbers want large pages */

struct ArenaBlock {
  ArenaBlock *next;
  size_t size; /* bytes of payload */
  char *payload;
};

/* Test builds fill forgotten memory with 0xFF, which reads as NaN, and tell the address sanitizer what is given out
   and what is not: use after a rewind, or beyond a piece, shows at once. */
#ifdef AVIARY_POISON
enum { APART = ALIGN };
static bool watched(const Arena *a) { return !a->memory || a->memory->in_process(); }

static void reveal(const Arena *a, char *p, size_t bytes)
{
  if (watched(a)) ASAN_UNPOISON_MEMORY_REGION(p, bytes);
}

static void poison(const Arena *a, char *p, size_t bytes)
{
  if (!watched(a)) return;
  reveal(a, p, bytes);
  memset(p, 0xFF, bytes);
  ASAN_POISON_MEMORY_REGION(p, bytes);
}
#else
enum { APART = 0 };
static void reveal(const Arena *a, char *p, size_t bytes) { (void)a, (void)p, (void)bytes; }
static void poison(const Arena *a, char *p, size_t bytes) { (void)a, (void)p, (void)bytes; }
#endif

static const Memory *memory_of(const Arena *a) { return a->memory ? a->memory : &memory_host; }

static ArenaBlock *block_new(const Arena *a, size_t size)
{
  size_t whole = a->memory ? number_block : host_block;
  size = (size + whole - 1) / whole * whole;
  ArenaBlock *b = rwkv_alloc(1, sizeof *b, "arena block");
  b->payload = memory_of(a)->alloc(size);
  if (!b->payload) {
    rwkv_release(b);
    memory_fail(size, "a training step");
  }
  b->size = size;
  poison(a, b->payload, size);
  return b;
}

void *arena_alloc(Arena *a, size_t bytes)
{
  if (bytes > SIZE_MAX / 4) memory_fail(bytes, "one tensor");
  size_t asked = bytes;
  bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN + APART;
  while (!a->current || a->used + bytes > a->current->size) {
    ArenaBlock **next = a->current ? &a->current->next : &a->first;
    if (!*next || (*next)->size < bytes) { /* a block that is too small is kept behind the new one */
      ArenaBlock *b = block_new(a, bytes);
      b->next = *next;
      *next = b;
    }
    a->current = *next;
    a->used = 0;
  }
  void *p = a->current->payload + a->used;
  a->used += bytes;
  reveal(a, p, asked);
  return p;
}

ArenaMark arena_mark(const Arena *a) { return (ArenaMark){a->current, a->used}; }

void arena_rewind(Arena *a, ArenaMark m)
{
  for (ArenaBlock *b = m.block ? m.block : a->first; b; b = b->next) {
    size_t from = b == m.block ? m.used : 0;
    size_t to = b == a->current ? a->used : b->size;
    if (to > from) poison(a, b->payload + from, to - from);
    if (b == a->current) break;
  }
  a->current = m.block;
  a->used = m.used;
}

void arena_reset(Arena *a)
{
  if (memory_left() < arena_bytes(a)) arena_free(a);
  else arena_rewind(a, (ArenaMark){NULL, 0});
}

void arena_free(Arena *a)
{
  for (ArenaBlock *b = a->first, *next; b; b = next) {
    next = b->next;
    reveal(a, b->payload, b->size); /* whoever gets these addresses next knows nothing of this */
    memory_of(a)->free(b->payload, b->size);
    rwkv_release(b);
  }
  *a = (Arena){.memory = a->memory};
}

size_t arena_bytes(const Arena *a)
{
  size_t n = 0;
  for (const ArenaBlock *b = a->first; b; b = b->next) n += b->size;
  return n;
}
