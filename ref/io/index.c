/* Models in several files: an index says in which one each tensor stands; a directory has an index, or one file, or a
   file for each tensor. */
#include "format.h"

#include "../engine/err.h"
#include "held_json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A JSON text: no header of safetensors, whose length has zeros in its first 8 bytes. */
static bool begins(const unsigned char *bytes, size_t size)
{
  size_t i = 0;
  while (i < size && (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t')) i++;
  return i < size && (bytes[i] == '{' || bytes[i] == '[') && !memchr(bytes, 0, size < 8 ? size : 8);
}

static const cJSON *parse(TensorFile *f, const Mapping *m)
{
  const cJSON *json = held_json(f, m->bytes, m->size);
  if (!json) rwkv_fail("begins as a JSON text, but is none");
  return json;
}

/* DIRECTORY/NAME, DIRECTORY being that of the path, or the path itself. */
static char *beside(TensorFile *f, const char *path, bool is_directory, const char *name)
{
  const char *slash = strrchr(path, '/');
  size_t length = is_directory ? strlen(path) : slash ? (size_t)(slash - path) : 0;
  char *out = format_memory(f, length + strlen(name) + 2);
  sprintf(out, "%.*s%s%s", (int)length, path, length || slash ? "/" : "", name);
  return out;
}

typedef struct Shard {
  const char *name, *tensor; /* tensor: the first one that is said to stand in it */
  struct Shard *next;
} Shard;

/* The files of an index, each once, in the order in which it names them. */
static Shard *shards_of(TensorFile *f, const cJSON *map)
{
  Shard *first = NULL, **end = &first;
  const cJSON *j;
  cJSON_ArrayForEach(j, map)
  {
    Shard *s = first;
    rwkv_poll();
    if (!cJSON_IsString(j)) rwkv_fail("weight_map: the place of \"%s\" is not a file's name", j->string);
    const char *name = j->valuestring;
    while (s && strcmp(s->name, name)) s = s->next;
    if (s) continue;
    if (!*name || strchr(name, '/')) rwkv_fail("weight_map: \"%.80s\" is not the name of a file beside it", name);
    s = format_memory(f, sizeof *s);
    *s = (Shard){format_copy(f, name, strlen(name)), format_copy(f, j->string, strlen(j->string)), NULL};
    *end = s, end = &s->next;
  }
  return first;
}

static void list(TensorFile *f, const Mapping *m)
{
  const cJSON *index = parse(f, m), *map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
  if (!cJSON_IsObject(map))
    rwkv_fail("is a JSON text without a weight_map: no index of a model's files (its directory can be opened)");
  Shard *shards = shards_of(f, map);
  int count = 0;
  format_hold(f, NULL, NULL);
  for (Shard *s = shards; s; s = s->next, count++) {
    char *path = beside(f, m->path, false, s->name);
    int i, before = format_count(f);
    if (access(path, R_OK)) rwkv_fail("it names %s, which is not there: all of the files are needed", s->name);
    format_part(f, path);
    for (i = before; i < format_count(f) && strcmp(format_tensors(f)[i].name, s->tensor); i++) {
    }
    if (i == format_count(f)) rwkv_fail("it says that %s has the tensor \"%s\", which is not so", s->name, s->tensor);
  }
  if (!count) rwkv_fail("weight_map is empty");
  format_name(f, format_printed(f, "%s in %d files", file_format(f), count));
}

const Format format_index = {begins, list};

/* ---- directories ---- */

static bool ends(const char *name, const char *ending)
{
  size_t n = strlen(name), m = strlen(ending);
  return n > m && strcmp(name + n - m, ending) == 0;
}

static void close_directory(void *d) { closedir(d); }

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The files with one of these endings (NULL ends them), by name. */
static char **files_of(TensorFile *f, const char *path, const char *const *endings, int *count)
{
  DIR *d = opendir(path);
  char **found = NULL;
  int room = 0;
  *count = 0;
  if (!d) rwkv_fail("cannot be listed");
  format_hold(f, d, close_directory);
  for (struct dirent *e; (e = readdir(d));) {
    const char *const *ending = endings;
    rwkv_poll();
    while (*ending && !ends(e->d_name, *ending)) ending++;
    if (!*ending) continue;
    if (*count == room) {
      char **larger = format_memory(f, (size_t)(room = 2 * room + 8) * sizeof *larger);
      if (*count) memcpy(larger, found, (size_t)*count * sizeof *found);
      found = larger;
    }
    found[(*count)++] = beside(f, path, true, e->d_name);
  }
  format_hold(f, NULL, NULL);
  if (*count) qsort(found, (size_t)*count, sizeof *found, by_text);
  return found;
}

/* Numbers, words and texts of config.json as metadata, "config.hidden_size". */
static void list_config(void *arg)
{
  TensorFile *f = arg;
  char key[120], number[40];
  const char *path = beside(f, file_path(f), true, "config.json");
  Mapping *m = mapping_open(path);
  format_keep(f, m);
  const cJSON *j, *config = parse(f, m);
  cJSON_ArrayForEach(j, config)
  {
    snprintf(key, sizeof key, "config.%s", j->string);
    snprintf(number, sizeof number, "%.17g", cJSON_IsNumber(j) ? j->valuedouble : 0);
    if (cJSON_IsNumber(j)) format_text(f, key, number);
    if (cJSON_IsString(j)) format_text(f, key, j->valuestring);
    if (cJSON_IsBool(j)) format_text(f, key, cJSON_IsTrue(j) ? "true" : "false");
  }
  format_hold(f, NULL, NULL);
}

/* One tensor a file, as programs write them that have no format for several. */
static bool list_arrays(TensorFile *f, const char *path)
{
  static const char *const endings[] = {".npy", ".txt", NULL};
  int count;
  char **files = files_of(f, path, endings, &count);
  for (int i = 0; i < count; i++) format_part(f, files[i]);
  if (count) format_name(f, format_printed(f, "%d files of one tensor", count));
  return count > 0;
}

void format_directory(TensorFile *f, const char *path)
{
  static const char *const names[] = {"model.safetensors.index.json", "model.safetensors",
                                      "pytorch_model.bin.index.json", "pytorch_model.bin"};
  static const char *const endings[] = {".safetensors", ".pth", ".pt", ".npz", ".gguf", NULL};
  char *found = NULL;
  int count = 0;
  for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) {
    char *file = beside(f, path, true, names[i]);
    if (access(file, F_OK) == 0) found = file;
  }
  char **files = found ? NULL : files_of(f, path, endings, &count);
  if (count > 1) rwkv_fail("is a directory with %d files of tensors: name the one", count);
  if (!found && !count && list_arrays(f, path)) return;
  if (!found && !count)
    rwkv_fail("is a directory without a model: expected model.safetensors, its index, one .safetensors, .pth, .npz or "
              ".gguf, or .npy and .txt of a tensor each");
  format_part(f, found ? found : files[0]);
  if (access(beside(f, path, true, "config.json"), F_OK) == 0) {
    const char *error = rwkv_protect(list_config, f);
    if (error) rwkv_fail("config.json: %s", error);
  }
}
