/* Which version a file is. */
#ifndef AVIARY_RECOGNISE_H
#define AVIARY_RECOGNISE_H

#include "model.h"

/* A file is of the version whose parameter list it fills. How far it is from one: the number of tensors
   that do not fit, and the first of them. */
typedef struct {
  const Version *version;
  TensorFile *file;
  Dims d;
  int known, misfits;
  char problem[400];
} Fit;

/* The version that its metadata tells, if it has hooks; otherwise the closest one. hooks: as model_load has them. */
Fit recognise_file(TensorFile *f, const Hook *const *hooks);
Fit recognise_version(TensorFile *f, const Version *v, const Dims *d);
/* Tensors that are no parameters: a checkpoint's moments and what it carries, and buffers of the official v1-v4
   modules. */
bool recognise_param(const char *name);

#endif
