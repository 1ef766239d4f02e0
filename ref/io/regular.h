/* Files that are read from any place: regular ones. A directory has no bytes, and a pipe would be waited for. */
#ifndef AVIARY_REGULAR_H
#define AVIARY_REGULAR_H

#include <stdio.h>

/* Opened for reading, and its size. Fails with the file's name. */
FILE *regular_open(const char *path, size_t *size);

#endif
