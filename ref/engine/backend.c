#include "backend.h"

#include "err.h"
#include "host_copy.h"

/* ---- the reference ---- */

static void reference_run(OpId id, const void *op) { backend_fall_back(&memory_host, id, op); }
static void nothing_waits(void) {}
static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }
static bool never(const void *p) { return (void)p, false; }

const Backend backend_reference = {"reference", &memory_host, reference_run, nothing_waits, any_batch,
                                   never,       NULL,         NULL,          NULL,          NULL};

/* ---- how linear maps multiply ---- */

static Factors factors;

void backend_round_factors(Factors as) { factors = as; }
Factors backend_factors(void) { return factors; }

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

static bool in_process(void) { return backend_at_work->memory->in_process(); }
size_t backend_far_bytes(void) { return in_process() ? 0 : held; }

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

const Memory backend_memory = {take, backend_free, backend_read, backend_write, in_process};

void *backend_alloc(size_t bytes, const char *what)
{
  void *p = take(bytes);
  if (!p) memory_fail(bytes, "%s", what);
  return p;
}

/* ---- a reference kernel on any memory ---- */

void backend_fall_back(const Memory *memory, OpId id, const void *op)
{
  HostCopy h;
  host_copy_take(&h, memory, id, op);
  op_rows[id].kernel(h.op);
  host_copy_return(&h);
  rwkv_release(h.room);
}
