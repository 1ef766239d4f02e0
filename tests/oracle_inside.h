/* What the oracles share; for the oracle*.c files only. */
#ifndef ORACLE_INSIDE_H
#define ORACLE_INSIDE_H

#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

static inline void *zalloc(size_t count, size_t size)
{
  void *p = calloc(count ? count : 1, size);
  if (!p) {
    fputs("oracle: out of memory\n", stderr);
    abort();
  }
  return p;
}

static inline double *new_doubles(size_t count) { return zalloc(count, sizeof(double)); }

/* Optional inputs: an absent array reads as zeros. */
static inline double at(const double *p, size_t i) { return p ? p[i] : 0.0; }

static inline const double *row(const double *p, size_t offset) { return p ? p + offset : NULL; }

/* Optional outputs: an absent array is not written. */
static inline double *out_row(double *p, size_t offset) { return p ? p + offset : NULL; }

static inline void put(double *p, size_t i, double value)
{
  if (p) p[i] = value;
}

static inline long double wide(double x) { return (long double)x; }

#endif
