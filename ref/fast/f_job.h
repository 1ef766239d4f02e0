/* What the fast kernels share. A kernel here is a job over a range of items, cut into pieces whose
   bounds depend on the sizes alone, never on the number of threads: so the results do not either.

   A job is compiled once for each generation of processors and chosen when the program starts (JOB).
   Threads are in pool*.c and nowhere else; `omp simd` is all that is used of OpenMP elsewhere, so that a product of
   matrices can run in any of them. */
#ifndef AVIARY_FAST_JOB_H
#define AVIARY_FAST_JOB_H

#include "fast.h"

/* No address sanitizer: it is not ready yet when the loader picks the variants. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define JOB __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define JOB
#endif
/* Kernels whose blocks are made of vectors are compiled for three widths (f_widths.h). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define WIDE_VECTORS
#endif
#ifdef AVIARY_DOUBLE
#define REAL_SIZE 8
#else
#define REAL_SIZE 4
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

/* f_unary and so on, as far as they are there (fast.c): they take what k_unary takes. */
#define OP(name, Struct, ...) void f_##name(const Struct *op);
#include "../engine/op_table.h"

/* What a fast kernel leaves to the reference: once what waits has run. */
void fast_reference(OpId id, const void *op);

/* Calls job(arg, from, to) for 0..n in pieces of `grain`, on all threads, at once: for work whose memory nobody else
   waits for, or after fast_flush. */
typedef void Job(const void *arg, size_t from, size_t to);
void fast_for(size_t n, size_t grain, Job *job, const void *arg);

/* ---- work that waits (schedule.c) ---- */

/* When a piece of work is done: at once; tile by tile, where a call of the job gets n / fast_tile_count() items; or as
   a whole after the tiles. What it uses is in the op's row; a gradient that is NULL is none of it. */
typedef enum { NOW, TILED, AFTER } When;
When fast_when(OpId id, const void *op);
When fast_when_whole(OpId id, const void *op); /* never by tiles: every operand is used as a whole */
/* As fast_for, but the job may wait until somebody wants to see what it has written. n is a multiple of the op's parts
   where it is TILED. grain 0: one call, on the first thread, which may use others. `arg`, a structure, is copied; what
   it points to must stay. */
void fast_put(When when, size_t n, size_t grain, Job *job, const void *arg, size_t arg_size);
size_t fast_tile_count(void);
#define RUN(name, op, n, grain, job, arg) fast_put(fast_when(OP_##name, op), n, grain, job, &(arg), sizeof(arg))
/* Whether only zeros wait to be written there: they need not be then, and what is written has nothing to be added to.
   NULL: false. */
bool fast_overwrite(const void *at);
#define OLD(add, x) ((add) ? (x) : 0)
void *fast_memory(size_t bytes);        /* until what waits has run */
void *fast_little_memory(size_t bytes); /* the same; NULL if there is much already */
void *fast_keep(const void *from, size_t bytes);

void fast_flush(void);
void fast_batch(size_t B, size_t T, size_t C);
bool fast_read_later(const void *p);

/* The widest of the kernel's three forms that this processor has, and that N is a multiple of; NULL if none. */
#ifdef WIDE_VECTORS
#define BEST_WIDTH(job, N) fast_width(job##_wide, job##_middle, job##_narrow, N)
#else
#define BEST_WIDTH(job, N) fast_width(NULL, NULL, job##_narrow, N)
#endif
Job *fast_width(Job *wide, Job *middle, Job *narrow, size_t N);

enum {
  LIGHT = 16384, /* elements worth a piece where one costs a nanosecond, */
  HEAVY = 2048   /* and where it costs many */
};

INLINE size_t at_least_1(size_t n) { return n ? n : 1; }
INLINE size_t larger(size_t a, size_t b) { return a > b ? a : b; }
INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
INLINE size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }

INLINE void fast_add(real *restrict out, const real *restrict in, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] += in[i];
}

/* ---- sums down the columns of [rows, C] (f_reduce.c) ---- */

enum { TILE = 256, SUMS = 2 };

/* Adds, for row0..row1 and col0..col1, to sum[s][c - col0]. */
typedef void ColumnJob(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1);
/* out[s][c] += the sum over all rows, for each out[s] that is not NULL, as part of the op; the job may give the op's
   other gradients beside. `arg`, a structure, is copied. */
void fast_columns(OpId id, const void *op, real *const out[SUMS], size_t rows, size_t C, ColumnJob *job,
                  const void *arg, size_t arg_size);

/* The sum of n numbers, or of their squares, in an order that depends on n alone; after what waits has run. */
acc fast_total(const real *x, size_t n, bool squares);

#endif
