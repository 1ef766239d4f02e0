/* Memory that grows. */
#ifndef AVIARY_BUFFER_H
#define AVIARY_BUFFER_H

#include <stddef.h>

/* Memory for at least `need` elements of `size` bytes: `old` with its *room elements, or twice as much and its contents
   moved there. Fails through rwkv_fail, `what` names it; `old` is still there then. */
void *buffer_grow(void *old, size_t *room, size_t need, size_t size, const char *what);

/* Token ids, one after the other. {0} is empty; ids_release makes it so again. */
typedef struct {
  int *id;
  size_t n, room;
} Ids;

void ids_put(Ids *ids, int id);
void ids_release(Ids *ids);

#endif
