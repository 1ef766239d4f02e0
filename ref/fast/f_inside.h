/* What the fast kernels share. A kernel here is a job over a range of items, cut into pieces whose
   bounds depend on the sizes alone, never on the number of threads: so the results do not either.

   A job is compiled once for each generation of processors and chosen when the program starts (JOB).
   The OpenMP loop stands in fast.c and nowhere else, because loops under a pragma are not multiplied. */
#ifndef AVIARY_FAST_INSIDE_H
#define AVIARY_FAST_INSIDE_H

#include "../engine/ops.h"

/* No address sanitizer: it is not ready yet when the loader picks the variants. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define JOB __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define JOB
#endif
/* Must be inlined, or it would be compiled for the oldest processor only. */
#define INLINE static inline __attribute__((always_inline))

/* Keeps the compiler, which may reorder sums here, from reordering this one. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define EXACTLY(x) __builtin_assoc_barrier(x)
#else
#define EXACTLY(x) (x)
#endif

#define PRAGMA(text) _Pragma(#text)
#define SIMD PRAGMA(omp simd)
#define SIMD_SUM(...) PRAGMA(omp simd reduction(+ : __VA_ARGS__))

/* f_unary and so on: the same types as k_unary and so on. */
#define FAST_DECLARE(name) __typeof__(k_##name) f_##name;
OPS(FAST_DECLARE)
#undef FAST_DECLARE

/* Calls job(arg, from, to) for 0..n in pieces of `grain`, on all threads. */
typedef void Job(const void *arg, size_t from, size_t to);
void fast_for(size_t n, size_t grain, Job *job, const void *arg);

enum {
  LIGHT = 16384, /* elements worth a piece where one costs a nanosecond, */
  HEAVY = 2048   /* and where it costs many */
};

INLINE size_t at_least_1(size_t n) { return n ? n : 1; }
INLINE size_t larger(size_t a, size_t b) { return a > b ? a : b; }
INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
INLINE size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }

/* ---- products of matrices (f_gemm.c) ---- */

/* C [m,n] (+)= A [m,k] B [k,n] in this thread: element (i,k) of A at a[i a_row + k], (k,j) of B at
   b[k b_row + j b_col], where b_row or b_col is 1. */
void fast_gemm(real *c, size_t c_row, const real *a, size_t a_row, const real *b, size_t b_row, size_t b_col, size_t m,
               size_t n, size_t k, bool add);

/* ---- sums down the columns of [rows, C] (f_reduce.c) ---- */

enum { TILE = 256, SUMS = 2 };

/* Adds, for row0..row1 and col0..col1, to sum[s][c - col0]. */
typedef void ColumnJob(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1);
/* out[s][c] += the sum over all rows, for each out[s] that is not NULL. */
void fast_columns(real *const out[SUMS], size_t rows, size_t C, ColumnJob *job, const void *arg);

#endif
