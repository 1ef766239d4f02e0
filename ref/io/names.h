/* The names that tensors of a model have in files: the official ones, those of flash-linear-attention, of Hugging
   Face's transformers and of llama.cpp. What is stored otherwise there (transposed, several in one, in another order)
   is seen as the official code has it; no more than small tensors are copied for that. */
#ifndef AVIARY_NAMES_H
#define AVIARY_NAMES_H

#include "tensor_file.h"

typedef struct {
  const char *family; /* one of names_families; NULL: names of none */
  const char *prefix; /* what stands in front of every name, "" or as "module." */
  int outside;        /* tensors that do not begin so, and are passed over */
} Names;

extern const char *const names_families[]; /* "official" first, "fla" (flash-linear-attention) ..; NULL ends them */

/* From here on the tensors of f have official names, as far as the file's are known, and the official shapes. Twice
   does no harm. */
Names names_official(TensorFile *f);
/* The other way, for a model that has official names: to those of a family, fla's in their newer form; for llama.cpp
   also the metadata that its loader wants. v7's value residual of block 0, which nothing uses, goes. Fails if the
   family has no names for such a model, or for a tensor of it. */
void names_to(TensorFile *f, const char *family);
/* Whether the code of a family wants this tensor, which has its name there, in F32 beside others in half precision. */
bool names_in_f32(const char *family, const FileTensor *t);
/* Weights and gradients ("grad" in front or at the end) of a model of this version, some or all, whatever else stands
   in the file: what has a name of a family gets the official one, and the official shape; a gradient "grad." and the
   name of its weight. All other names stay. */
void names_known(TensorFile *f, const char *version);

#endif
