/* NumPy's .npy: the bytes \x93NUMPY, a version, the header's length, a dictionary of Python's, the numbers. */
#ifndef AVIARY_NPY_H
#define AVIARY_NPY_H

#include "format.h"

/* The array in these bytes as a tensor of this name. */
void npy_list(TensorFile *f, const char *name, const unsigned char *bytes, size_t size);

#endif
