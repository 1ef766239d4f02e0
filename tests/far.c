#include "far.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static const uintptr_t away = (uintptr_t)1 << 50; /* no process has addresses there */

typedef struct Range Range;
struct Range {
  Range *next;
  uintptr_t from; /* in the process */
  size_t bytes;
};
static Range *ranges;

/* A mistake of who called, not of a user: the program ends where it was made. */
static void require(bool holds, const char *what, const void *p, size_t bytes)
{
  if (holds) return;
  fprintf(stderr, "far: %s: %zu bytes at %p\n", what, bytes, p);
  abort();
}

/* Where it is in the process. */
static void *near(const void *p, size_t bytes)
{
  uintptr_t at = (uintptr_t)p;
  require(at >= away, "this is memory of the process, expected far memory", p, bytes);
  at -= away;
  for (const Range *r = ranges; r; r = r->next)
    if (at >= r->from && at - r->from <= r->bytes && bytes <= r->bytes - (at - r->from)) return (void *)at;
  require(false, "no such memory was given out", p, bytes);
  return NULL;
}

static void *far_alloc(size_t bytes)
{
  Range *r = rwkv_try_alloc(1, sizeof *r);
  void *p = r ? memory_host.alloc(bytes) : NULL;
  if (!p) {
    rwkv_release(r);
    return NULL;
  }
  *r = (Range){ranges, (uintptr_t)p, bytes};
  ranges = r;
  return (void *)((uintptr_t)p + away);
}

static void far_free(void *p, size_t bytes)
{
  Range **at = &ranges;
  while (*at && (*at)->from + away != (uintptr_t)p) at = &(*at)->next;
  require(*at && (*at)->bytes == bytes, "given back, but not given out like this", p, bytes);
  Range *r = *at;
  *at = r->next;
  memory_host.free((void *)r->from, bytes);
  rwkv_release(r);
}

static void far_read(void *to, const void *from, size_t bytes)
{
  require((uintptr_t)to < away, "read to far memory, expected memory of the process", to, bytes);
  memcpy(to, near(from, bytes), bytes);
}

static void far_write(void *to, const void *from, size_t bytes)
{
  require((uintptr_t)from < away, "written from far memory, expected memory of the process", from, bytes);
  memcpy(near(to, bytes), from, bytes);
}

static bool no(void) { return false; }

static const Memory far_memory = {far_alloc, far_free, far_read, far_write, no};

size_t far_held(void)
{
  size_t bytes = 0;
  for (const Range *r = ranges; r; r = r->next) bytes += r->bytes;
  return bytes;
}

/* ---- ops ---- */

static bool exchanged;
static FarCalls calls[OP_COUNT];

void far_exchange(bool exchange) { exchanged = exchange; }
FarCalls far_calls(OpId id) { return calls[id]; }

/* The kernel, on the same op with near operands. */
static void run_here(const OpRow *row, const void *op)
{
  Operand operand[MOST_OPERANDS];
  _Alignas(max_align_t) char own[MOST_OP_BYTES];
  void *scratch[MOST_OPERANDS] = {NULL};
  int n = row->operands(op, operand);
  memcpy(own, op, row->bytes);
  for (int i = 0; i < n; i++) {
    const Operand *o = &operand[i];
    size_t bytes = o->count * o->size;
    void *p = o->data;
    if (o->access == SCRATCH) p = scratch[i] = rwkv_alloc(o->count, o->size, row->name);
    else if (o->access == INDEX) require((uintptr_t)p < away, "an index list, expected in the process", p, bytes);
    else if (p) p = near(p, bytes);
    memcpy(own + o->at, &p, sizeof p);
  }
  row->kernel(own);
  for (int i = 0; i < n; i++) rwkv_release(scratch[i]);
}

static void far_run(OpId id, const void *op)
{
  if ((id % 2 == 0) != exchanged) {
    calls[id].kernels++;
    run_here(&op_rows[id], op);
  } else {
    calls[id].fall_backs++;
    backend_fall_back(&far_memory, id, op);
  }
}

static void nothing_waits(void) {}
static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }
static bool never(const void *p) { return (void)p, false; }

const Backend backend_far = {"far", &far_memory, far_run, nothing_waits, any_batch, never, NULL, NULL, NULL, NULL};
