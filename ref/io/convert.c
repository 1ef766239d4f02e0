#include "convert.h"

#include "../engine/err.h"
#include "names.h"
#include "output.h"
#include "writer_format.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The work: the tensors in the order of the file, and for each in which of the files it shall stand. */
typedef struct {
  const Convert *c;
  TensorFile *f;
  const FileTensor **order;
  int *shard;
  int count, shards, written;
  size_t done, all; /* bytes */
  FileWriter *w;
} Work;

static FileType type_of(const Work *k, const FileTensor *t)
{
  FileType type = k->c->type != FILE_TYPES && file_is_floating(t->type) ? k->c->type : t->type;
  bool half = type == FILE_F16 || type == FILE_BF16;
  return half && k->c->names && names_in_f32(k->c->names, t) ? FILE_F32 : type;
}

static size_t bytes_of(const Work *k, const FileTensor *t) { return t->n * file_type_size(type_of(k, t)); }

static void rename_all(TensorFile *f, const char *family)
{
  if (!family) return;
  if (!names_official(f).family)
    rwkv_fail("%s: names of no known family of models; they can stay as they are", file_path(f));
  if (strcmp(family, names_families[0])) names_to(f, family);
}

/* The path of shard i of them, counted from 0, in a small rotating buffer. */
static const char *shard_path(const Work *k, int i)
{
  static char buffer[2][PATH_MAX + 40];
  const char *out = k->c->out, *slash = strrchr(out, '/'), *dot = strrchr(out, '.');
  size_t n = dot && (!slash || dot > slash + 1) ? (size_t)(dot - out) : strlen(out);
  char *path = buffer[i % 2];
  snprintf(path, sizeof buffer[0], "%.*s-%05d-of-%05d%s", (int)n, out, i + 1, k->shards, out + n);
  return path;
}

static const char *path_of(const Work *k, int i) { return k->c->shard ? shard_path(k, i) : k->c->out; }

static int by_place(const void *a, const void *b)
{
  const FileTensor *x = *(const FileTensor *const *)a, *y = *(const FileTensor *const *)b;
  return x->place != y->place ? x->place - y->place : strcmp(x->name, y->name);
}

/* Which tensor goes into which file: the next one begins where the limit would be passed. */
static void plan(Work *k)
{
  size_t in_shard = 0;
  k->count = file_count(k->f);
  k->order = rwkv_alloc((size_t)k->count + 1, sizeof *k->order, "the order of tensors");
  k->shard = rwkv_alloc((size_t)k->count + 1, sizeof *k->shard, "the order of tensors");
  for (int i = 0; i < k->count; i++) k->order[i] = file_tensor(k->f, i);
  qsort(k->order, (size_t)k->count, sizeof *k->order, by_place);
  for (int i = 0; i < k->count; i++) {
    size_t bytes = bytes_of(k, k->order[i]);
    if (k->c->shard && in_shard > 0 && (bytes > k->c->shard || in_shard > k->c->shard - bytes))
      k->shards++, in_shard = 0;
    k->shard[i] = k->shards;
    in_shard += bytes, k->all += bytes;
  }
  k->shards++;
}

/* ---- the files ---- */

static void watch(void *work, size_t bytes)
{
  const Work *k = work;
  k->c->watch(k->c->watching, k->done + bytes, k->all);
}

/* Metadata stands in the first one alone: a key may stand in a model once. */
static void write_shard(Work *k, int shard)
{
  const char *key, *text;
  size_t bytes = 0;
  k->w = writer_create(path_of(k, shard));
  if (k->c->watch) writer_watch(k->w, watch, k);
  for (int i = 0; i < k->count; i++) {
    if (k->shard[i] != shard) continue;
    writer_put_file(k->w, k->order[i]->name, k->f, k->order[i], type_of(k, k->order[i]));
    bytes += bytes_of(k, k->order[i]);
  }
  for (int i = 0; shard == 0 && (text = file_meta_at(k->f, i, &key)); i++) writer_put_meta(k->w, key, text);
  FileWriter *w = k->w;
  k->w = NULL; /* writer_finish frees it, whatever happens */
  writer_finish(w);
  k->done += bytes;
  k->written++;
}

static bool print_index(const Work *k, FILE *f)
{
  bool ok = fprintf(f, "{\"metadata\":{\"total_size\":%zu},\"weight_map\":{", k->all) > 0;
  for (int i = 0; ok && i < k->count; i++) {
    const char *path = shard_path(k, k->shard[i]), *slash = strrchr(path, '/');
    ok = (i == 0 || fputs(",\n", f) != EOF) && writer_json_text(writer_to_file, f, k->order[i]->name) &&
         fputc(':', f) != EOF && writer_json_text(writer_to_file, f, slash ? slash + 1 : path);
  }
  return ok && fputs("}}\n", f) != EOF;
}

static void write_index(const Work *k)
{
  char path[PATH_MAX + 40];
  Output o;
  snprintf(path, sizeof path, "%s.index.json", k->c->out);
  int error = output_begin(&o, path);
  if (error == 0 && !print_index(k, o.file)) error = errno, output_abandon(&o);
  else if (error == 0) error = output_commit(&o);
  if (error) rwkv_fail("%s: could not be written: %s", path, output_problem(error));
}

static void run(void *work)
{
  Work *k = work;
  struct stat s;
  if (stat(k->c->out, &s) == 0 && S_ISDIR(s.st_mode))
    rwkv_fail("%s: is a directory, expected a file's name", k->c->out);
  if (strlen(k->c->out) >= PATH_MAX) rwkv_fail("%.80s..: too long a path", k->c->out);
  rename_all(k->f, k->c->names);
  plan(k);
  if (k->shards > 99999)
    rwkv_fail("%s: %d files of %zu bytes, expected at most 99999", k->c->out, k->shards, k->c->shard);
  for (int i = 0; i < k->shards; i++) write_shard(k, i);
  if (k->c->shard) write_index(k);
}

int convert_file(const Convert *c)
{
  char problem[600];
  Work k = {.c = c, .f = file_open(c->in)};
  const char *error = rwkv_protect(run, &k);
  if (error) snprintf(problem, sizeof problem, "%s", error);
  for (int i = 0; error && c->shard && i < k.written; i++) output_remove(shard_path(&k, i));
  writer_abandon(k.w);
  file_close(k.f);
  rwkv_release(k.order);
  rwkv_release(k.shard);
  if (error) rwkv_fail("%s", problem);
  return k.shards;
}
