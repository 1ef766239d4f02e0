/* Calls of the functions for safetensors files that may fail, and what the tests of such files compare with. */
#ifndef AVIARY_TEST_FILE_CALLS_H
#define AVIARY_TEST_FILE_CALLS_H

#include "io/writer.h"

typedef struct {
  const char *path;
  TensorFile *file;
  const FileTensor *entry;
  void *out;
  FileWriter *writer;
} FileCall;

/* For rwkv_protect, with a FileCall. */
void file_call_open(void *arg);
void file_call_finish(void *arg);
void file_call_read(void *arg);
void file_call_read_ints(void *arg);
void file_call_read_doubles(void *arg);
/* The message names the file, too. */
void open_must_fail(const char *path, const char *text);

/* The tensor is there, with this type and shape. */
void check_file_tensor(const TensorFile *f, const char *name, FileType type, int axes, const int *shape, size_t n);
bool same_bits(double a, double b);

enum { AWKWARD = 12 };
extern const double awkward[AWKWARD]; /* zeros, infinities, NaN, the largest and the smallest */

#endif
