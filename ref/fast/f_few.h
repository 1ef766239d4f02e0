/* A few rows times a matrix that is read once, at the speed of memory. Compiled for three generations of processors
   (f_few.c, f_few_v3.c, f_few_v4.c) rather than by JOB, as the conversion of float16 has no form in plain C that
   becomes vector instructions. In float only. */
#ifndef AVIARY_FEW_H
#define AVIARY_FEW_H

#include "f_inside.h"

/* y [rows,out] = x [rows,in] W' (+ bias), or x M. */
typedef struct {
  real *y;
  const real *x, *bias;
  Packed w;
  size_t rows, in, out;
} Few;

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(AVIARY_DOUBLE)
#define FEW_LEVELS 3
#else
#define FEW_LEVELS 1
#endif

typedef struct {
  void (*linear)(const Few *q, size_t from, size_t to); /* outputs from .. to-1 */
  void (*matmul)(const Few *q, size_t from, size_t to);
  void (*unpack)(real *out, Packed w, size_t from, size_t n); /* numbers from .. from+n-1 */
} FewCode;
extern const FewCode few_default, few_v3, few_v4;

/* Rows up to which this is faster than a product of matrices. */
enum { FEW_ROWS = 16 };
INLINE bool is_few(size_t rows, size_t in) { return sizeof(real) == sizeof(float) && rows <= FEW_ROWS && in; }
/* As the whole of an op. */
void few_linear(OpId id, const void *op, const Few *q);
void few_matmul(OpId id, const void *op, const Few *q);
void few_unpack(real *out, Packed w, size_t from, size_t n);

#endif
