/* A file of tensors that is read as a whole, or refused. */
#ifndef AVIARY_FUZZ_TENSORS_H
#define AVIARY_FUZZ_TENSORS_H

#include "fuzz.h"

#include "engine/err.h"
#include "io/tensor_file.h"

#include <string.h>

typedef struct {
  const char *path;
  TensorFile *file;
} FuzzTensors;

static inline void fuzz_open(void *arg)
{
  FuzzTensors *t = arg;
  t->file = file_open(t->path);
}

/* All numbers, and all texts, so that the sanitizers see every byte that is said to be there. */
static inline void fuzz_look(void *arg)
{
  const TensorFile *f = ((FuzzTensors *)arg)->file;
  const char *key, *text;
  size_t length = 0;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    double *numbers = rwkv_alloc(t->n + 1, sizeof *numbers, "numbers");
    file_read_doubles(f, t, numbers);
    rwkv_release(numbers);
    fuzz_need(file_find(f, t->name) == t, "a tensor is not found by its name");
  }
  for (int i = 0; (text = file_meta_at(f, i, &key)); i++) length += strlen(key) + strlen(text);
  fuzz_need(length != SIZE_MAX, "metadata");
}

/* Every element must lie within these bytes. */
static inline void fuzz_within(const TensorFile *f, const unsigned char *begin, size_t size)
{
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    ptrdiff_t last = 0;
    for (int j = 0; j < t->axes; j++) last += (t->shape[j] - 1) * t->stride[j];
    const unsigned char *end = t->bytes + (last + 1) * (ptrdiff_t)file_type_size(t->type);
    fuzz_need(t->n == 0 || (t->bytes >= begin && end <= begin + size), "a tensor reaches beyond its storage");
  }
}

/* Opens the file; it must take no more than `most` bytes of memory, say its name when it fails, and give all back.
   check: what else a target asks of a file that opens, or NULL. */
static inline void fuzz_checked(const uint8_t *bytes, size_t size, size_t most, void (*check)(const TensorFile *f))
{
  static char limit[40]; /* another one each time: libFuzzer learns texts that are looked for */
  static unsigned runs;
  FuzzTensors t = {.path = fuzz_file(bytes, size)};
  snprintf(limit, sizeof limit, "limit %08x", runs++ * 2654435761u);
  memory_limit(most, limit);
  const char *problem = rwkv_protect(fuzz_open, &t);
  fuzz_need(!problem || strstr(problem, t.path), "an error without the file's name");
  fuzz_need(!problem || !strstr(problem, limit), "more memory than such a file needs");
  memory_limit(0, NULL);
  if (!problem && rwkv_protect(fuzz_look, &t)) fuzz_need(0, "opened, but not to be read");
  if (!problem && check) check(t.file);
  file_close(t.file);
  fuzz_need(memory_used() == 0, "memory that is not given back");
}

static inline void fuzz_tensors(const uint8_t *bytes, size_t size, size_t most)
{
  fuzz_checked(bytes, size, most, NULL);
}

#endif
