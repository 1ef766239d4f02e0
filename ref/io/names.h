/* The names that tensors of a model have in files: the official ones, those of flash-linear-attention and those of
   Hugging Face's transformers. What is stored otherwise there (transposed, several in one, in another order) is seen
   as the official code has it; no more than small tensors are copied for that. */
#ifndef AVIARY_NAMES_H
#define AVIARY_NAMES_H

#include "tensor_file.h"

typedef struct {
  const char *family; /* "official", "fla" (flash-linear-attention), "transformers"; NULL: names of no family */
  const char *prefix; /* what stands in front of every name, "" or as "module." */
  int outside;        /* tensors that do not begin so, and are passed over */
} Names;

/* From here on the tensors of f have official names, as far as the file's are known, and the official shapes. Twice
   does no harm. */
Names names_official(TensorFile *f);
/* The other way, for a model of v6 or v7 that has official names: to those of flash-linear-attention, in its newer
   form. v7's value residual of block 0, which nothing uses, goes; whatever else has no name there fails. */
void names_fla(TensorFile *f);

#endif
