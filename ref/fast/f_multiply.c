/* The library is oneDNN for float32 (f_onednn.c): it makes kernels for the processor it finds and for the shape asked for,
   and is faster than OpenBLAS on the small products of a training step (BLIS: slower than both). It has no float64;
   there it is OpenBLAS, which also stands in where oneDNN is not built. Both start threads of their own in every thread
   that has not told OpenMP otherwise. */
#include "f_multiply.h"

#include "f_onednn.h"
#include "f_round.h"

#ifndef ONEDNN
#include <cblas.h>
#include <omp.h>

static void alone(void)
{
  if (omp_get_max_threads() > 1) omp_set_num_threads(1); /* a thread of OpenMP's forgets it at the end of a loop */
}
#endif

static void multiply_any(const Gemm *q)
{
#ifdef ONEDNN
  onednn_sgemm(q);
#else
  alone();
#ifdef AVIARY_DOUBLE
  cblas_dgemm(
#else
  cblas_sgemm(
#endif
      CblasRowMajor, q->a_turned ? CblasTrans : CblasNoTrans, q->b_turned ? CblasTrans : CblasNoTrans, (int)q->m,
      (int)q->n, (int)q->k, 1, q->a, (int)q->a_step, q->b, (int)q->b_step, q->add, q->c, (int)q->c_step);
#endif
}

/* oneDNN makes a kernel for a number of rows: these are multiples of LEAST_M, and what is left goes the general way. */
enum { BLOCK_M = 256, LEAST_M = 16 };

static void multiply_block(const Gemm *q)
{
  if (q->m < LEAST_M || !onednn_gemm(q, q->a, q->b_laid_out ? q->b_laid_out : q->b)) multiply_any(q);
}

/* ---- factors rounded to bfloat16 ---- */

enum { PIECE = 512, ROOM = BLOCK_M * PIECE }; /* numbers of A on the stack of the thread */

/* A matrix [rows,n], which may be turned, in rows as they stand. */
#define ROUND(round, to, m, step, turned, rows, n) \
  ((turned) ? round(to, m, step, n, rows) : round(to, m, step, rows, n))

#ifdef ONEDNN
static bool in_bfloat16(const Gemm *q)
{
  uint16_t a[ROOM], b[PIECE * PIECE];
  Gemm g = *q;
  if (q->m < LEAST_M) return false;
  ROUND(fast_round, a, q->a, q->a_step, q->a_turned, q->m, q->k);
  g.a_step = q->a_turned ? q->m : q->k;
  if (q->b_laid_out) return onednn_gemm(&g, a, q->b_laid_out);
  ROUND(fast_round, b, q->b, q->b_step, q->b_turned, q->k, q->n);
  g.b_step = q->b_turned ? q->k : q->n;
  return onednn_gemm(&g, a, b);
}
#else
static bool in_bfloat16(const Gemm *q) { return (void)q, false; }
#endif

/* Where there are no products of bfloat16: of the same numbers, in `real`. */
static void in_real(const Gemm *q)
{
  real a[ROOM], b[PIECE * PIECE];
  Gemm g = *q;
  ROUND(fast_round_in_real, a, q->a, q->a_step, q->a_turned, q->m, q->k);
  ROUND(fast_round_in_real, b, q->b, q->b_step, q->b_turned, q->k, q->n);
  g.a = a, g.b = b, g.a_step = q->a_turned ? q->m : q->k, g.b_step = q->b_turned ? q->k : q->n;
  g.factors = FACTORS_FULL;
  multiply_block(&g);
}

static const real *at(const real *m, bool turned, size_t step, size_t i, size_t j)
{
  return m + (turned ? j * step + i : i * step + j);
}

static void multiply_rounded(const Gemm *q)
{
  if (q->b_laid_out && q->m * q->k <= ROOM && in_bfloat16(q)) return;
  for (size_t k0 = 0; k0 < q->k; k0 += PIECE)
    for (size_t j0 = 0; j0 < q->n; j0 += PIECE) {
      Gemm g = *q;
      g.k = smaller(PIECE, q->k - k0), g.n = smaller(PIECE, q->n - j0), g.add = q->add || k0, g.b_laid_out = NULL;
      g.a = at(q->a, q->a_turned, q->a_step, 0, k0), g.b = at(q->b, q->b_turned, q->b_step, k0, j0), g.c = q->c + j0;
      if (!in_bfloat16(&g)) in_real(&g);
    }
}

/* ---- any number of rows ---- */

/* Rows at a time: rounded, they have room. */
static size_t most_rows(const Gemm *q)
{
  if (q->factors == FACTORS_FULL || !q->b_laid_out) return BLOCK_M;
  return smaller(BLOCK_M, larger(LEAST_M, ROOM / q->k / LEAST_M * LEAST_M));
}

void fast_multiply(const Gemm *q)
{
  size_t most = most_rows(q);
  for (size_t i = 0, m; i < q->m; i += m) {
    m = smaller(q->m - i, most);
    if (m > LEAST_M) m -= m % LEAST_M;
    Gemm part = *q;
    part.a = at(q->a, q->a_turned, q->a_step, i, 0), part.c = q->c + i * q->c_step, part.m = m;
    if (q->factors == FACTORS_FULL) multiply_block(&part);
    else multiply_rounded(&part);
  }
}

const void *fast_lay_out(const Gemm *q)
{
  if (q->factors == FACTORS_FULL && !q->b_turned) return NULL; /* the kernels read it as it stands */
  size_t bytes = onednn_laid_out_bytes(q);
  void *to = bytes ? fast_little_memory(bytes) : NULL;
  return to && onednn_lay_out(to, q) ? to : NULL;
}
