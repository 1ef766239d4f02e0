/* JSON that stands in a file of tensors. */
#ifndef AVIARY_HELD_JSON_H
#define AVIARY_HELD_JSON_H

#include "format.h"
#include "json.h"

#include <string.h>

static inline void delete_json(void *json) { cJSON_Delete(json); }

/* These bytes, held by f; NULL if they are no JSON text: json_problem says why. */
static inline const cJSON *held_json(TensorFile *f, const unsigned char *bytes, size_t size)
{
  char *text = rwkv_alloc(1, size + 1, "a JSON text");
  format_hold(f, text, rwkv_release);
  memcpy(text, bytes, size);
  cJSON *json = NULL;
  json_problem = "the header is not JSON";
  if (strlen(text) == size) json = json_parse(text);
  if (json) format_hold(f, json, delete_json);
  return json;
}

#endif
