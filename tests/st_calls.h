/* Calls of the functions for safetensors files that may fail, and what the tests of such files compare with. */
#ifndef AVIARY_TEST_ST_CALLS_H
#define AVIARY_TEST_ST_CALLS_H

#include "io/safetensors.h"

typedef struct {
  const char *path;
  StFile *file;
  const StEntry *entry;
  void *out;
  StWriter *writer;
} StCall;

/* For rwkv_protect, with a StCall. */
void st_call_open(void *arg);
void st_call_finish(void *arg);
void st_call_read(void *arg);
void st_call_read_ints(void *arg);
void st_call_read_doubles(void *arg);
/* The message names the file, too. */
void open_must_fail(const char *path, const char *text);

/* The tensor is there, with this type and shape. */
void check_st_entry(const StFile *f, const char *name, StType type, int axes, const int *shape, size_t n);
bool same_bits(double a, double b);

enum { AWKWARD = 12 };
extern const double awkward[AWKWARD]; /* zeros, infinities, NaN, the largest and the smallest */

#endif
