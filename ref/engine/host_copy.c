#include "host_copy.h"

#include <string.h>

/* Each begins where any number may. */
static size_t room_of(const Operand *o) { return (o->count * o->size + 63) / 64 * 64; }

static bool is_moved(const Operand *o, const Memory *memory)
{
  return o->access == SCRATCH || (memory != &memory_host && o->data && o->access != INDEX);
}

/* The operand before this one that is the same memory, or -1: two gradients may be one, and a tensor two operands. One
   without elements only has the address of what comes after it. */
static int twin(const HostCopy *h, int i)
{
  for (int e = 0; e < i; e++)
    if (h->there[e] == h->there[i] && h->operand[e].count && h->operand[e].access != SCRATCH) return e;
  return -1;
}

void host_copy_take(HostCopy *h, const Memory *memory, OpId id, const void *op)
{
  size_t bytes = 0;
  h->memory = memory;
  h->operands = op_rows[id].operands(op, h->operand);
  memcpy(h->op, op, op_rows[id].bytes);
  for (int i = 0; i < h->operands; i++) {
    h->there[i] = h->operand[i].data;
    bytes += is_moved(&h->operand[i], memory) ? room_of(&h->operand[i]) : 0;
  }
  char *next = h->room = bytes ? rwkv_alloc(bytes, 1, op_rows[id].name) : NULL;
  for (int i = 0; i < h->operands; i++) {
    Operand *o = &h->operand[i];
    int e = o->access == SCRATCH ? -1 : twin(h, i);
    if (!is_moved(o, memory)) continue;
    o->data = e < 0 ? next : h->operand[e].data;
    if (e < 0) next += room_of(o);
    if (e < 0 && (o->access == READ || o->access == UPDATE)) memory->read(o->data, h->there[i], o->count * o->size);
    memcpy(h->op + o->at, &o->data, sizeof o->data);
  }
}

void host_copy_return(const HostCopy *h)
{
  for (int i = 0; i < h->operands; i++) {
    const Operand *o = &h->operand[i];
    if (o->data != h->there[i] && (o->access == WRITE || o->access == UPDATE))
      h->memory->write(h->there[i], o->data, o->count * o->size);
  }
}
