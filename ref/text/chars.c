/* The vocabulary of characters of v1 to v3: {"0": "a", "1": "b", ..}. */
#include "kinds.h"

#include "../engine/err.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

void chars_read(Tokenizer *t, VocabularyFile *f)
{
  const cJSON *item;
  cJSON_ArrayForEach(item, (const cJSON *)f->json)
  {
    char *end;
    long id = strtol(item->string, &end, 10);
    if (!*item->string || *end || id < 0 || id >= VOCABULARY_MAX)
      rwkv_fail("%s: key \"%.40s\", expected an id such as \"0\"", f->path, item->string);
    if (!cJSON_IsString(item)) rwkv_fail("%s: the character of id %ld is no text", f->path, id);
    size_t n = strlen(item->valuestring);
    bool zero = n == 0 && strstr((const char *)f->text, "\"\\u0000\""); /* which ends a text of cJSON */
    const char *problem = vocabulary_add(&t->vocabulary, (int)id, (const unsigned char *)item->valuestring, n + zero);
    if (problem) rwkv_fail("%s: %s", f->path, problem);
    rwkv_poll();
  }
}
