/* cJSON with its memory counted and limited like all other: a header can claim far more than the file holds. */
#ifndef AVIARY_JSON_H
#define AVIARY_JSON_H

#include "../engine/memory.h"

#include <cjson/cJSON.h>

static inline void *json_memory(size_t bytes) { return rwkv_try_alloc(1, bytes); }

/* Before the first call of cJSON; again does no harm. */
static inline void json_counted(void)
{
  cJSON_InitHooks(&(cJSON_Hooks){json_memory, rwkv_release});
}

#endif
