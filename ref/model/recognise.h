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
  int head_size; /* 0: nothing tells it but shapes */
  int known, misfits;
  int headless; /* of these: what has a number for each channel, and does not say how many heads there are */
  char problem[400];
} Fit;

/* The version that its metadata tells, if it has hooks; otherwise the closest one. The file gets official names. */
Fit recognise_file(TensorFile *f, const LoadOptions *options);
/* The same, complete: fails unless it is a model. */
Fit recognise_model(TensorFile *f, const LoadOptions *options);
/* False of tensors that are no parameters: a checkpoint's moments and what it carries, buffers of the official v1-v4
   modules, and what a golden pack holds besides a model. */
bool recognise_param(const TensorFile *f, const char *name);
bool recognise_golden(const TensorFile *f); /* it is a golden pack (lua/pages/golden.md) */
bool recognise_state(const char *name);     /* "blocks.0.att.time_state": where a tuned model begins, no parameter */

#endif
