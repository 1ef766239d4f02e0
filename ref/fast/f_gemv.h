/* A few rows times a matrix that is read once, at the speed of memory. Compiled for three generations of processors
   (f_gemv.c, f_gemv_v3.c, f_gemv_v4.c) rather than by JOB, as the conversion of float16 has no form in plain C that
   becomes vector instructions. In float only. */
#ifndef AVIARY_FAST_GEMV_H
#define AVIARY_FAST_GEMV_H

#include "f_job.h"

/* y [rows,out] = x [rows,in] W' (+ bias), or x M. */
typedef struct {
  real *y;
  const real *x, *bias;
  Packed w;
  size_t rows, in, out;
  Factors factors; /* FACTORS_BF16: x is rounded already, w is as it is read */
} Gemv;

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVIARY_DOUBLE)
#define GEMV_LEVELS 3
#else
#define GEMV_LEVELS 1
#endif

typedef struct {
  void (*linear)(const Gemv *q, size_t from, size_t to); /* outputs from .. to-1 */
  void (*matmul)(const Gemv *q, size_t from, size_t to);
  void (*unpack)(real *out, Packed w, size_t from, size_t n); /* numbers from .. from+n-1 */
} GemvCode;
extern const GemvCode fast_gemv_default, fast_gemv_v3, fast_gemv_v4;

/* Rows up to which this is faster than a product of matrices. */
enum { GEMV_ROWS = 16 };
INLINE bool is_gemv(size_t rows, size_t in) { return sizeof(real) == sizeof(float) && rows <= GEMV_ROWS && in; }
/* As the whole of an op. */
void fast_gemv_linear(OpId id, const void *op, const Gemv *q);
void fast_gemv_matmul(OpId id, const void *op, const Gemv *q);
void fast_gemv_unpack(real *out, Packed w, size_t from, size_t n);

#endif
