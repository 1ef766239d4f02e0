/* Numbers. One source, two builds: `real` is float, or double with -DAVIARY_DOUBLE.
   Sums are always taken in `acc`. */
#ifndef AVIARY_NUM_H
#define AVIARY_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef AVIARY_DOUBLE
typedef double real;
#define REAL_NAME "float64"
#define REAL_EPS 2.220446049250313e-16
#else
typedef float real;
#define REAL_NAME "float32"
#define REAL_EPS 1.1920928955078125e-7
#endif

typedef double acc;

#endif
