/* Products of matrices: all of them through one C (+)= A B, cut into tiles of C that a library computes, each in one
   thread. The tiles, and the pieces of long sums, depend on the sizes alone: so does the result, not on the threads.

   The library is oneDNN for float32: it makes kernels for the processor it finds and for the shape asked for, and is
   1.1 to 1.5 times as fast as OpenBLAS on the small products of a training step (BLIS: slower than both). It has no
   float64; there it is OpenBLAS, which also stands in where oneDNN is not built. Both start threads of their own in
   every thread that has not told OpenMP otherwise. */
#include "f_gemm.h"

#include <omp.h>
#include <string.h>

#if !defined(AVIARY_DOUBLE) && __has_include(<dnnl.h>)
#include <dnnl.h>
#include <pthread.h>
#include <signal.h>
#define ONEDNN
#else
#include <cblas.h>
#endif

/* A thread of OpenMP's forgets at the end of a loop what it was told in it. */
static void alone(void)
{
  if (omp_get_max_threads() > 1) omp_set_num_threads(1);
}

#ifdef ONEDNN
/* oneDNN's kernels for AVX-512 use the stack pointer as one register more (seen in 2.6). A handler of a signal would
   write its frame wherever that points, into the heap: no signal comes before the kernel is done. */
static void sgemm(char a_as, char b_as, size_t m, size_t n, size_t k, const real *a, size_t lda, const real *b,
                  size_t ldb, bool add, real *c, size_t ldc)
{
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS), sigdelset(&all, SIGSEGV); /* faults, blocked, would end the process without a word */
  pthread_sigmask(SIG_BLOCK, &all, &before);
  dnnl_sgemm(a_as, b_as, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, add, c,
             (dnnl_dim_t)ldc);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
#endif

/* Rows i0 .. and columns j0 .. of C, the part of the sums from k0 on. */
static void gemm(const Product *q, size_t i0, size_t m, size_t j0, size_t n, size_t k0, size_t k, bool add)
{
  bool a_flat = q->a_col == 1, b_flat = q->b_col == 1; /* rows stand together; otherwise columns do */
  const real *a = q->a + i0 * q->a_row + k0 * q->a_col, *b = q->b + j0 * q->b_col + k0 * q->b_row;
  real *c = q->c + i0 * q->N + j0;
  /* of a single row or column the distance to the next means nothing, but BLAS wants one that could be */
  size_t lda = larger(a_flat ? q->a_row : q->a_col, a_flat ? k : m);
  size_t ldb = larger(b_flat ? q->b_row : q->b_col, b_flat ? n : k);
  alone();
#ifdef ONEDNN
  sgemm(a_flat ? 'N' : 'T', b_flat ? 'N' : 'T', m, n, k, a, lda, b, ldb, add, c, q->N);
#else
#ifdef AVIARY_DOUBLE
  cblas_dgemm(
#else
  cblas_sgemm(
#endif
      CblasRowMajor, a_flat ? CblasNoTrans : CblasTrans, b_flat ? CblasNoTrans : CblasTrans, (int)m, (int)n, (int)k, 1,
      a, (int)lda, b, (int)ldb, add, c, (int)q->N);
#endif
}

enum { STRIPE = 128, INNER = 128, THIN = 48 };

void fast_gemm(real *c, size_t c_row, const real *a, size_t a_row, const real *b, size_t b_row, size_t b_col, size_t m,
               size_t n, size_t k, bool add)
{
  gemm(&(Product){c, a, b, NULL, m, c_row, k, a_row, 1, b_row, b_col, add, m, n}, 0, m, 0, n, 0, k, add);
}

static void tiles(const void *arg, size_t from, size_t to)
{
  const Product *q = arg;
  size_t down = pieces(q->M, q->tile_m);
  for (size_t t = from; t < to; t++) {
    size_t i0 = t % down * q->tile_m, m = smaller(q->M - i0, q->tile_m);
    size_t j0 = t / down * q->tile_n, n = smaller(q->N - j0, q->tile_n);
    for (size_t i = i0; q->bias && i < i0 + m; i++) memcpy(q->c + i * q->N + j0, q->bias + j0, n * sizeof(real));
    if (q->K) gemm(q, i0, m, j0, n, 0, q->K, q->add || q->bias);
    else if (!q->bias)
      for (size_t i = i0; i < i0 + m; i++) memset(q->c + i * q->N + j0, 0, n * sizeof(real));
  }
}

/* Stripes of rows of C where the inner axis is the long one: a piece of it at a time, so that what is read of A and B
   for it stays in the cache for all tiles of the stripe. (In one go, rows that lie pages apart cost half the speed.) */
static void stripes(const void *arg, size_t from, size_t to)
{
  const Product *q = arg;
  for (size_t i0 = from * q->tile_m; i0 < smaller(q->M, to * q->tile_m); i0 += q->tile_m)
    for (size_t k0 = 0; k0 < q->K; k0 += INNER)
      for (size_t j0 = 0; j0 < q->N; j0 += q->tile_n)
        gemm(q, i0, smaller(q->M - i0, q->tile_m), j0, smaller(q->N - j0, q->tile_n), k0, smaller(q->K - k0, INNER),
             true);
}

/* Rows from..to of C, all of its columns. */
static void some_rows(const void *arg, size_t from, size_t to)
{
  Product q = *(const Product *)arg;
  q.tile_m = to - from, q.tile_n = q.N;
  q.a += from * q.a_row, q.c += from * q.N, q.M = to - from;
  tiles(&q, 0, 1);
}

void fast_product(OpId id, const void *op, Product q, bool rows)
{
  if (!q.M || !q.N || (q.add && !q.K)) return;
  if (rows && q.add && fast_overwrite(q.c)) q.add = false;
  if (!rows) q.tile_m = smaller(q.M, larger(STRIPE, smaller(pieces(q.M, 4), 4 * STRIPE)));
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = q.M, q.tile_n = q.N; /* too small to share */
  bool thin = rows && q.M < THIN * fast_tile_count(); /* in a tile: all of B would be read for hardly any rows */
  When when = rows && !thin ? fast_when(id, op) : fast_when_whole(id, op);
  if (when == TILED) fast_put(when, q.M, 1, some_rows, &q, sizeof q);
  else if (!rows) fast_put(when, pieces(q.M, q.tile_m), 1, stripes, &q, sizeof q);
  else fast_put(when, pieces(q.M, q.tile_m) * pieces(q.N, q.tile_n), 1, tiles, &q, sizeof q);
}

void fast_product_here(const Product *q) { gemm(q, 0, q->M, 0, q->N, 0, q->K, q->add); }
