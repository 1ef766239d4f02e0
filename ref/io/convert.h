/* A file of tensors written once more: in another format, with other floating types, in one file or several. */
#ifndef AVIARY_CONVERT_H
#define AVIARY_CONVERT_H

#include "tensor_file.h"

typedef struct {
  const char *names;    /* the family of names for a model's tensors (names.h); what other tensors there are stays out
                           then. NULL: names stay */
  const char *in, *out; /* what file_open takes; a path as writer_create takes it */
  FileType type;        /* of floating tensors; FILE_TYPES: each keeps its own. What the family of names wants in F32
                           (names_in_f32) is not rounded to half precision */
  size_t shard;         /* bytes of tensors in a file, or one tensor that has more; 0: all in one file */
  void (*watch)(void *watching, size_t done, size_t all); /* or NULL: told again and again how many bytes; may fail */
  void *watching;
} Convert;

/* All tensors and the metadata, in the order of the file; integers stay what they are. With shards NAME.EXT becomes
   NAME-00001-of-0000N.EXT and so on, and NAME.EXT.index.json, which is written last: if anything fails, what was
   written of them goes away. Returns how many files of tensors there are. Takes memory for a piece of a tensor. */
int convert_file(const Convert *c);

#endif
