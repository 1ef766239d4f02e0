/* What the metadata of a file says of its model besides parameters: sizes, and hooks. */
#ifndef AVIARY_METADATA_H
#define AVIARY_METADATA_H

#include "model.h"

/* The hooks named in a file's metadata, of those given or built in, into d; fails where there is none. */
void metadata_hooks(const TensorFile *f, const Version *v, const char *names, const Dims *given, Dims *d);
/* Sizes that no parameter shows, as of heads that the version does not have, as they were when the model was made. */
void metadata_sizes(const TensorFile *f, const Version *v, Dims *d);
void metadata_write(const Model *m, FileWriter *w);
/* Digits and nothing else, of a number that is not larger than `most`; otherwise false. */
bool metadata_number(const char *text, size_t length, long most, long *out);

#endif
