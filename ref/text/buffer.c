#include "buffer.h"

#include "../engine/err.h"

#include <string.h>

void *buffer_grow(void *old, size_t *room, size_t need, size_t size, const char *what)
{
  if (need <= *room) return old;
  size_t more = need < 2 * *room ? 2 * *room : need;
  if (more < 16) more = 16;
  void *p = rwkv_alloc(more, size, what);
  if (*room) memcpy(p, old, *room * size);
  if (old) rwkv_release(old);
  *room = more;
  return p;
}

void ids_put(Ids *ids, int id)
{
  if (ids->n == ids->room) ids->id = buffer_grow(ids->id, &ids->room, ids->n + 1, sizeof *ids->id, "a list of ids");
  ids->id[ids->n++] = id;
}

void ids_release(Ids *ids)
{
  if (ids->id) rwkv_release(ids->id);
  *ids = (Ids){0};
}
