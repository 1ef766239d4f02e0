/* What stands behind tensor_file.h: a format is how its files begin, and a function that lists what is in one. */
#ifndef AVIARY_FORMAT_H
#define AVIARY_FORMAT_H

#include "names.h"
#include "tensor_file.h"

#include <stdio.h>
#include <time.h>

/* A file in memory that is not read until it is looked at. */
typedef struct Mapping {
  const unsigned char *bytes;
  size_t size;
  volatile bool cut; /* pages of it are gone; it reads as zeros from there on */
  FILE *file;
  struct timespec modified; /* when it was opened */
  struct Mapping *next;     /* of all that there are */
  struct Mapping *before;   /* of the same TensorFile */
  char path[];
} Mapping;

Mapping *mapping_open(const char *path); /* a regular file; fails with its name */
void mapping_close(Mapping *m);
void mapping_forget(const Mapping *m);  /* its pages need not stay in memory */
bool mapping_changed(const Mapping *m); /* somebody wrote to the file, or cut it, since it was opened */

typedef struct {
  bool (*begins)(const unsigned char *bytes, size_t size); /* whether a file of this size that begins so is one */
  void (*list)(TensorFile *f, const Mapping *m);           /* everything in it; rwkv_fail says what is wrong */
} Format;

extern const Format format_zip, format_npy, format_gguf, format_index, format_lines, format_safetensors;
/* A directory with a model: its index, or its only file. */
void format_directory(TensorFile *f, const char *path);
/* Fails with what the file is, if it is something that people take for a file of tensors. */
void format_foreign(const unsigned char *bytes, size_t size);

/* ---- what a format's `list` calls ---- */

void format_name(TensorFile *f, const char *name); /* "safetensors"; it stays */
void format_keep(TensorFile *f, Mapping *m);       /* belongs to f from now on */
/* One more file that is read as the path says, and belongs to f; its own format lists what is in it. */
void format_part(TensorFile *f, const char *path);
/* A tensor; its name is copied. Row-major unless stride is changed afterwards. `size`: the bytes there are from `bytes`
   on, which must suffice. */
FileTensor *format_tensor(TensorFile *f, const char *name, FileType type, int axes, const int *shape,
                          const unsigned char *bytes, size_t size);
/* All tensors so far; a format that is done may put its own in another order. */
FileTensor *format_tensors(TensorFile *f);
int format_count(const TensorFile *f);
FileTensor *format_same(TensorFile *f, const FileTensor *t); /* one more, which may then be changed */
void format_shorten(TensorFile *f, int count);               /* the tensors after the first `count` go */
void format_sort(TensorFile *f);                             /* by name; fails if one stands there twice */
Names *format_names(TensorFile *f);                          /* what is known of them; prefix NULL: nothing yet */
void format_text(TensorFile *f, const char *key, const char *text); /* metadata; both are copied */
/* The same when all are there, in the place of what the key had. */
void format_set_text(TensorFile *f, const char *key, const char *text);
void *format_memory(TensorFile *f, size_t bytes);                  /* stays as long as the file; contents undefined */
char *format_copy(TensorFile *f, const char *text, size_t length); /* the same, with a 0 at the end */
char *format_printed(TensorFile *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *format_called(TensorFile *f, const char *path); /* the file's name without directory and ending: what has none */
/* What must be let go of, however the listing ends; one thing at a time, NULL: nothing any more. */
void format_hold(TensorFile *f, void *thing, void (*let_go)(void *thing));

#endif
