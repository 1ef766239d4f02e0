/* The library is oneDNN for float32 (f_onednn.c): it makes kernels for the processor it finds and for the shape asked
   for, and is faster than OpenBLAS on the small products of a training step (BLIS: slower than both). It has no
   float64; there it is OpenBLAS, which also stands in where oneDNN is not built. Both start threads of their own in
   every thread that has not told OpenMP otherwise. */
#include "f_multiply.h"

#include "f_onednn.h"
#include "f_round.h"

#include <omp.h>
#include <string.h>
#ifndef ONEDNN
#include <cblas.h>
#endif

/* A thread of OpenMP's forgets it at the end of a loop. */
static void alone(void)
{
  fast_threads(); /* how many the program has is asked before */
  if (omp_get_max_threads() > 1) omp_set_num_threads(1);
}

static void multiply_any(const Gemm *q)
{
#ifdef ONEDNN
  onednn_sgemm(q);
#else
#ifdef AVIARY_DOUBLE
  cblas_dgemm(
#else
  cblas_sgemm(
#endif
      CblasRowMajor, q->a_turned ? CblasTrans : CblasNoTrans, q->b_turned ? CblasTrans : CblasNoTrans, (int)q->m,
      (int)q->n, (int)q->k, 1, q->a, (int)q->a_step, q->b, (int)q->b_step, q->add, q->c, (int)q->c_step);
#endif
}

/* oneDNN makes a kernel for a number of rows: these are multiples of LEAST_M, and what is left goes the general way.
   Its kernels take dense matrices only, which factors that are rounded become on the way. */
enum { BLOCK_M = 256, LEAST_M = 16, PIECE = 1024 / REAL_SIZE, ROOM = BLOCK_M * PIECE }; /* 640 KiB on the stack */

static const real *at(const real *m, bool turned, size_t step, size_t i, size_t j)
{
  return m + (turned ? j * step + i : i * step + j);
}

static bool a_is_dense(const Gemm *q) { return q->a_step == (q->a_turned ? q->m : q->k); }
static bool b_is_dense(const Gemm *q) { return q->b_laid_out || q->b_step == (q->b_turned ? q->k : q->n); }
static bool c_is_dense(const Gemm *q) { return q->c_step == q->n; }

/* ---- one piece: m <= BLOCK_M, k and n <= PIECE, or with b_laid_out m k <= ROOM ---- */

typedef enum { IN_BFLOAT16, ROUNDED } Form; /* of factors; ROUNDED: to bfloat16, but in `real` */

/* A matrix [rows,n] whose rows lie `step` apart, made dense. */
static void make_dense(void *to, Form form, const real *x, size_t step, size_t rows, size_t n)
{
  if (form == ROUNDED) fast_round_in_real(to, x, step, rows, n);
#ifdef ONEDNN
  else fast_round(to, x, step, rows, n);
#endif
}

static void give(const Gemm *q, const real *c)
{
  for (size_t i = 0; i < q->m; i++) {
    real *restrict to = q->c + i * q->c_step;
    if (q->add) fast_add(to, c + i * q->n, q->n);
    else memcpy(to, c + i * q->n, q->n * sizeof *c);
  }
}

static void multiply_piece(const Gemm *q, Form form)
{
  real a[ROOM], b[PIECE * PIECE], c[ROOM];
  Gemm g = *q;
  g.a_step = q->a_turned ? q->m : q->k, g.a = a;
  make_dense(a, form, q->a, q->a_step, q->a_turned ? q->k : q->m, g.a_step);
  if (!q->b_laid_out) {
    g.b_step = q->b_turned ? q->k : q->n, g.b = b;
    make_dense(b, form, q->b, q->b_step, q->b_turned ? q->n : q->k, g.b_step);
  }
  if (!c_is_dense(q)) g.c = c, g.c_step = q->n, g.add = false;
  if (form == ROUNDED) g.factors = FACTORS_FULL;
  bool done = q->m >= LEAST_M && onednn_gemm(&g, g.a, q->b_laid_out ? q->b_laid_out : g.b);
  if (!done && form == IN_BFLOAT16) multiply_piece(q, ROUNDED); /* no kernel for this shape */
  else if (!done) multiply_any(&g);
  if ((done || form == ROUNDED) && g.c == c) give(q, c);
}

static void multiply_pieces(const Gemm *q)
{
  Form half = onednn_has_bfloat16() && q->m >= LEAST_M ? IN_BFLOAT16 : ROUNDED;
  for (size_t k0 = 0; k0 < q->k; k0 += PIECE)
    for (size_t j0 = 0; j0 < q->n; j0 += PIECE) {
      Gemm g = *q;
      g.k = smaller(PIECE, q->k - k0), g.n = smaller(PIECE, q->n - j0), g.add = q->add || k0, g.b_laid_out = NULL;
      g.a = at(q->a, q->a_turned, q->a_step, 0, k0), g.b = at(q->b, q->b_turned, q->b_step, k0, j0), g.c = q->c + j0;
      multiply_piece(&g, half);
    }
}

static void multiply_full(const Gemm *q)
{
  bool dense = a_is_dense(q) && b_is_dense(q) && c_is_dense(q);
  if (!dense || q->m < LEAST_M || !onednn_gemm(q, q->a, q->b_laid_out ? q->b_laid_out : q->b)) multiply_any(q);
}

static void multiply_rounded(const Gemm *q)
{
  bool at_once = q->b_laid_out && q->m >= LEAST_M && q->m * q->k <= ROOM && c_is_dense(q);
  if (at_once) multiply_piece(q, IN_BFLOAT16);
  else multiply_pieces(q);
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
  alone();
  size_t most = most_rows(q);
  for (size_t i = 0, m; i < q->m; i += m) {
    m = smaller(q->m - i, most);
    if (m > LEAST_M) m -= m % LEAST_M;
    Gemm part = *q;
    part.a = at(q->a, q->a_turned, q->a_step, i, 0), part.c = q->c + i * q->c_step, part.m = m;
    if (q->factors == FACTORS_FULL) multiply_full(&part);
    else multiply_rounded(&part);
  }
}

const void *fast_lay_out(const Gemm *q)
{
  if (!b_is_dense(q) || (q->factors == FACTORS_FULL && !q->b_turned)) return NULL; /* they read it as it stands */
  alone();
  size_t bytes = onednn_laid_out_bytes(q);
  void *to = bytes ? fast_little_memory(bytes) : NULL;
  return to && onednn_lay_out(to, q) ? to : NULL;
}
