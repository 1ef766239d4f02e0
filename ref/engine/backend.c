#include "backend.h"

#include "err.h"

#include <string.h>

/* ---- the reference ---- */

static void reference_run(OpId id, const void *op) { backend_fall_back(&memory_host, id, op); }
static void nothing_waits(void) {}
static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }
static bool never(const void *p) { return (void)p, false; }

const Backend backend_reference = {"reference", &memory_host, reference_run, nothing_waits, any_batch,
                                   never,       NULL,         NULL,          NULL};

/* ---- the one at work ---- */

const Backend *backend_at_work = &backend_reference;
static size_t held; /* bytes of its memory */

const Backend *backend_now(void) { return backend_at_work; }
void backend_flush(void) { backend_at_work->flush(); }

void backend_use(const Backend *b)
{
  if (b->memory != backend_at_work->memory && held)
    rwkv_fail("backend %s: tensors are there already, in the memory of backend %s, which it cannot reach: choose the "
              "backend before the first tensor is made",
              b->name, backend_at_work->name);
  backend_at_work->flush();
  backend_at_work = b;
  rwkv_on_share(b->share);
}

static void *take(size_t bytes)
{
  void *p = backend_at_work->memory->alloc(bytes);
  if (p) held += bytes;
  return p;
}

void backend_free(void *p, size_t bytes)
{
  if (!p) return;
  backend_at_work->flush();
  backend_at_work->memory->free(p, bytes);
  held -= bytes;
}

void backend_read(void *to, const void *from, size_t bytes)
{
  backend_at_work->flush();
  if (bytes) backend_at_work->memory->read(to, from, bytes);
}

void backend_write(void *to, const void *from, size_t bytes)
{
  backend_at_work->flush();
  backend_write_new(to, from, bytes);
}

void backend_write_new(void *to, const void *from, size_t bytes)
{
  if (bytes) backend_at_work->memory->write(to, from, bytes);
}

static bool in_process(void) { return backend_at_work->memory->in_process(); }

const Memory backend_memory = {take, backend_free, backend_read, backend_write, in_process};

void *backend_alloc(size_t bytes, const char *what)
{
  void *p = take(bytes);
  if (!p) memory_fail(bytes, "%s", what);
  return p;
}

/* ---- a reference kernel on any memory ---- */

/* Each begins where any number may. */
static size_t room_of(const Operand *o) { return (o->count * o->size + 63) / 64 * 64; }

static bool is_moved(const Operand *o, const Memory *memory)
{
  return o->access == SCRATCH || (memory != &memory_host && o->data && o->access != INDEX);
}

/* The operand before this one that is the same memory: two gradients may be one, and a tensor two operands. One without
   elements only has the address of what comes after it. */
static const Operand *twin(const Operand *all, const Operand *o)
{
  for (const Operand *e = all; e < o; e++)
    if (e->data == o->data && e->count && e->access != SCRATCH) return e;
  return NULL;
}

void backend_fall_back(const Memory *memory, OpId id, const void *op)
{
  const OpRow *row = &op_rows[id];
  Operand operand[MOST_OPERANDS];
  _Alignas(max_align_t) char own[MOST_OP_BYTES]; /* the op, with pointers to where its operands are on the host */
  int n = row->operands(op, operand);
  size_t bytes = 0;
  for (int i = 0; i < n; i++) bytes += is_moved(&operand[i], memory) ? room_of(&operand[i]) : 0;
  if (!bytes) {
    row->kernel(op);
    return;
  }
  char *room = rwkv_alloc(bytes, 1, row->name), *next = room, *host[MOST_OPERANDS];
  memcpy(own, op, row->bytes);
  for (int i = 0; i < n; i++) {
    const Operand *o = &operand[i], *e = o->access == SCRATCH ? NULL : twin(operand, o);
    if (!is_moved(o, memory)) continue;
    host[i] = e ? host[e - operand] : next;
    if (!e) next += room_of(o);
    if (!e && (o->access == READ || o->access == UPDATE)) memory->read(host[i], o->data, o->count * o->size);
    memcpy(own + o->at, &host[i], sizeof host[i]);
  }
  row->kernel(own);
  for (int i = 0; i < n; i++) {
    const Operand *o = &operand[i];
    if (memory != &memory_host && o->data && (o->access == WRITE || o->access == UPDATE))
      memory->write(o->data, host[i], o->count * o->size);
  }
  rwkv_release(room);
}
