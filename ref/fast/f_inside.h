/* What the fast kernels share. A kernel here is a job over a range of items, cut into pieces whose
   bounds depend on the sizes alone, never on the number of threads: so the results do not either.

   A job is compiled once for each generation of processors and chosen when the program starts (JOB).
   Threads are in pool.c and nowhere else; `omp simd` is all that is used of OpenMP, so that a product of matrices can
   run in any of them. */
#ifndef AVIARY_FAST_INSIDE_H
#define AVIARY_FAST_INSIDE_H

#include "../engine/ops.h"
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

/* f_unary and so on: the same types as k_unary and so on. */
#define FAST_DECLARE(name) __typeof__(k_##name) f_##name;
OPS(FAST_DECLARE)
#undef FAST_DECLARE

/* Calls job(arg, from, to) for 0..n in pieces of `grain`, on all threads, at once: for work whose memory nobody else
   waits for, or after fast_settle. */
typedef void Job(const void *arg, size_t from, size_t to);
void fast_for(size_t n, size_t grain, Job *job, const void *arg);

/* ---- work that waits (stream.c) ---- */

/* Memory that a job uses: item i of n has the i-th of n parts of it; or, if `whole`, every item may have all of it.
   NULL: none. What overlaps must begin at the same place. */
typedef struct {
  const void *at;
  size_t bytes;
  bool written, whole;
} Use;
#define READS(p, count) {(p), (count) * sizeof *(p), false, false}
#define WRITES(p, count) {(p), (count) * sizeof *(p), true, false} /* or adds to it */
#define READS_ALL(p) {(p), 0, false, true}
#define WRITES_ALL(p) {(p), 0, true, true}

/* As fast_for, but the job may wait until somebody wants to see what it has written; `arg`, a structure, is copied.
   What it points to and is not named among the uses must stay. */
#define RUN(n, grain, job, arg, ...) \
  fast_put(fast_place(n, (Use[]){__VA_ARGS__}, sizeof((Use[]){__VA_ARGS__}) / sizeof(Use)), n, grain, job, &(arg), \
           sizeof(arg))

/* The same in two steps, for work that has to know what will happen: at once; tile by tile, where a call of the job
   gets n / fast_tile_count() items; or as a whole after the tiles. */
typedef enum { NOW, TILED, AFTER } Place;
Place fast_place(size_t n, const Use *use, size_t uses);
/* For work whose n items are parts of B sequences, the first n / B of the first one: a tile is whole sequences. */
Place fast_place_sequences(size_t B, size_t n, const Use *use, size_t uses);
void fast_put(Place place, size_t n, size_t grain, Job *job, const void *arg, size_t arg_size);
size_t fast_tile_count(void);
/* Whether only zeros wait to be written there: they need not be then, and what is written has nothing to be added to.
   NULL: false. */
bool fast_overwrite(const void *at);
#define OLD(add, x) ((add) ? (x) : 0)
void *fast_memory(size_t bytes); /* until what waits has run */
void *fast_keep(const void *from, size_t bytes);

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

/* ---- products of matrices (f_gemm.c) ---- */

/* C [m,n] (+)= A [m,k] B [k,n] in this thread: element (i,k) of A at a[i a_row + k], (k,j) of B at
   b[k b_row + j b_col], where b_row or b_col is 1. */
void fast_gemm(real *c, size_t c_row, const real *a, size_t a_row, const real *b, size_t b_row, size_t b_col, size_t m,
               size_t n, size_t k, bool add);

/* ---- sums down the columns of [rows, C] (f_reduce.c) ---- */

enum { TILE = 256, SUMS = 2 };

/* Adds, for row0..row1 and col0..col1, to sum[s][c - col0]. */
typedef void ColumnJob(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1);
/* out[s][c] += the sum over all rows, for each out[s] that is not NULL. The uses are those of the job, by rows. */
void fast_columns(real *const out[SUMS], size_t rows, size_t C, ColumnJob *job, const void *arg, size_t arg_size,
                  const Use *use, size_t uses);
#define COLUMNS(out, rows, C, job, arg, ...) \
  fast_columns(out, rows, C, job, &(arg), sizeof(arg), (Use[]){__VA_ARGS__}, \
               sizeof((Use[]){__VA_ARGS__}) / sizeof(Use))

#endif
