/* PyTorch's .pth: a zip archive of one pickle, which says what tensors there are, and one entry for each storage. */
#ifndef AVIARY_TORCH_H
#define AVIARY_TORCH_H

#include "archive.h"

/* The tensors that entry `pickle` speaks of. `path`: a tensor that stands alone is called after the file. */
void torch_list(TensorFile *f, Archive *a, int pickle, const char *path);

#endif
