#include "arena.h"

#include "err.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#ifdef AVIARY_POISON
#include <sanitizer/asan_interface.h>
#endif

enum { ALIGN = 64 };
static const size_t block_bytes = (size_t)8 << 20;

struct ArenaBlock {
  ArenaBlock *next;
  size_t size; /* bytes of payload */
  char *payload;
};

/* Test builds fill forgotten memory with 0xFF, which reads as NaN, and forbid it, and what lies between two pieces: the
   sanitizer sees each use after a rewind or beyond an end. */
static void forbid(char *p, size_t bytes)
{
#ifdef AVIARY_POISON
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
  memset(p, 0xFF, bytes);
  ASAN_POISON_MEMORY_REGION(p, bytes);
#else
  (void)p, (void)bytes;
#endif
}

static void permit(char *p, size_t bytes)
{
#ifdef AVIARY_POISON
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
#else
  (void)p, (void)bytes;
#endif
}

static ArenaBlock *block_new(size_t size)
{
  size = (size + block_bytes - 1) / block_bytes * block_bytes;
  ArenaBlock *b = rwkv_alloc(1, sizeof *b, "arena block");
  void *p = MAP_FAILED;
  if (memory_take(size)) {
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) memory_give(size);
  }
  if (p == MAP_FAILED) {
    rwkv_release(b);
    memory_fail(size, "a training step");
  }
#ifdef MADV_HUGEPAGE
  madvise(p, size, MADV_HUGEPAGE); /* most of a small step's time would go into page faults */
#endif
  b->payload = p;
  b->size = size;
  forbid(p, size);
  return b;
}

void *arena_alloc(Arena *a, size_t bytes)
{
  if (bytes > SIZE_MAX / 4) memory_fail(bytes, "one tensor");
  size_t asked = bytes;
  bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  while (!a->current || a->used + bytes > a->current->size) {
    ArenaBlock **next = a->current ? &a->current->next : &a->first;
    if (!*next || (*next)->size < bytes) { /* a block that is too small is kept behind the new one */
      ArenaBlock *b = block_new(bytes);
      b->next = *next;
      *next = b;
    }
    a->current = *next;
    a->used = 0;
  }
  char *p = a->current->payload + a->used;
  a->used += bytes;
  permit(p, asked);
  return p;
}

ArenaMark arena_mark(const Arena *a) { return (ArenaMark){a->current, a->used}; }

void arena_rewind(Arena *a, ArenaMark m)
{
  for (ArenaBlock *b = m.block ? m.block : a->first; b; b = b->next) {
    size_t from = b == m.block ? m.used : 0;
    size_t to = b == a->current ? a->used : b->size;
    if (to > from) forbid(b->payload + from, to - from);
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
    permit(b->payload, b->size); /* others may get the addresses */
    munmap(b->payload, b->size);
    memory_give(b->size);
    rwkv_release(b);
  }
  memset(a, 0, sizeof *a);
}

size_t arena_bytes(const Arena *a)
{
  size_t n = 0;
  for (const ArenaBlock *b = a->first; b; b = b->next) n += b->size;
  return n;
}
