/* cJSON with its memory counted and limited like all other: a header can claim far more than the file holds. */
#ifndef AVIARY_JSON_H
#define AVIARY_JSON_H

#include "../engine/err.h"

#include <cjson/cJSON.h>

static inline void *json_memory(size_t bytes) { return rwkv_try_alloc(1, bytes); }

/* Before the first call of cJSON; again does no harm. */
static inline void json_counted(void) { cJSON_InitHooks(&(cJSON_Hooks){json_memory, rwkv_release}); }

/* cJSON asks nobody whether to stop, but it gives up without memory. */
static const char *json_problem;

static inline void *json_memory_until_stop(size_t bytes)
{
  void *p = rwkv_stopping() ? NULL : json_memory(bytes);
  if (!p) json_problem = rwkv_stopping() ? "interrupted" : "out of memory for its header";
  return p;
}

/* NULL: json_problem says why. */
static inline cJSON *json_parse(const char *text)
{
  const char *end = NULL;
  json_problem = "the header is not JSON";
  cJSON_InitHooks(&(cJSON_Hooks){json_memory_until_stop, rwkv_release});
  cJSON *j = cJSON_ParseWithOpts(text, &end, 1);
  json_counted();
  return j;
}

#endif
