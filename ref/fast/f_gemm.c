/* Linear maps, all through one matrix product C (+)= A B, cut into tiles of C that OpenBLAS computes. The
   tiles depend on the sizes alone and no sum is split, so the result does not depend on the threads.

   It has to be OpenBLAS as built for OpenMP: inside a parallel region each of its calls then runs in the
   calling thread. (The serial build hands one buffer to two callers and gives wrong numbers.) */
#include "f_few.h"

#include <cblas.h>
#include <string.h>

typedef struct {
  real *c;           /* [M,N], rows N apart */
  const real *a, *b; /* element (i,k) of A at a[i a_row + k a_col], (k,j) of B at b[k b_row + j b_col] */
  const real *bias;  /* [N] or NULL: what C starts from when add is false */
  size_t M, N, K, a_row, a_col, b_row, b_col;
  bool add;
  size_t tile_m, tile_n;
} Product;

static void gemm(const Product *q, size_t i0, size_t m, size_t j0, size_t n, bool add)
{
  bool a_flat = q->a_col == 1, b_flat = q->b_col == 1; /* rows stand together; otherwise columns do */
  const real *a = q->a + i0 * q->a_row, *b = q->b + j0 * q->b_col;
  real *c = q->c + i0 * q->N + j0;
  /* of a single row or column the distance to the next means nothing, but BLAS wants one that could be */
  size_t lda = larger(a_flat ? q->a_row : q->a_col, a_flat ? q->K : m);
  size_t ldb = larger(b_flat ? q->b_row : q->b_col, b_flat ? n : q->K);
#ifdef AVIARY_DOUBLE
  cblas_dgemm(
#else
  cblas_sgemm(
#endif
      CblasRowMajor, a_flat ? CblasNoTrans : CblasTrans, b_flat ? CblasNoTrans : CblasTrans, (int)m, (int)n,
      (int)q->K, 1, a, (int)lda, b, (int)ldb, add, c, (int)q->N);
}

void fast_gemm(real *c, size_t c_row, const real *a, size_t a_row, const real *b, size_t b_row, size_t b_col, size_t m,
               size_t n, size_t k, bool add)
{
  gemm(&(Product){c, a, b, NULL, m, c_row, k, a_row, 1, b_row, b_col, add, m, n}, 0, m, 0, n, add);
}

static void tiles(const void *arg, size_t from, size_t to)
{
  const Product *q = arg;
  size_t down = pieces(q->M, q->tile_m);
  for (size_t t = from; t < to; t++) {
    size_t i0 = t % down * q->tile_m, m = smaller(q->M - i0, q->tile_m);
    size_t j0 = t / down * q->tile_n, n = smaller(q->N - j0, q->tile_n);
    for (size_t i = i0; q->bias && i < i0 + m; i++) memcpy(q->c + i * q->N + j0, q->bias + j0, n * sizeof(real));
    if (q->K) gemm(q, i0, m, j0, n, q->add || q->bias);
  }
}

static void product(Product q)
{
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = at_least_1(q.M), q.tile_n = at_least_1(q.N); /* too small to share */
  if (!q.K && !q.add && !q.bias) memset(q.c, 0, q.M * q.N * sizeof(real));
  else if (q.M && q.N && (q.K || q.bias)) fast_for(pieces(q.M, q.tile_m) * pieces(q.N, q.tile_n), 1, tiles, &q);
}

/* Many rows: tiles that cut the usual powers of two into equal numbers of parts. A gradient of weights is
   small and its inner axis long: a few small tiles. */
enum { ROWS_M = 256, ROWS_N = 256, WEIGHT_M = 32, WEIGHT_N = 256 };

/* ---- gradient of a bias ---- */

typedef struct {
  const real *g;
  size_t C;
} Bias;

JOB static void bias_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const Bias *q = arg;
  for (size_t i = row0; i < row1; i++)
    for (size_t c = col0; c < col1; c++) sum[0][c - col0] += (acc)q->g[i * q->C + c];
}

/* ---- the ops ---- */

void f_linear(real *y, const real *x, const real *w, const real *bias, size_t rows, size_t in, size_t out)
{
  Few few = {y, x, bias, {w, STORED_F32}, rows, in, out};
  if (is_few(rows, in)) few_linear(&few);
  else product((Product){y, x, w, bias, rows, out, in, in, 1, 1, in, false, ROWS_M, ROWS_N});
}

void f_linear_backward(real *gx, real *gw, real *gbias, const real *g, const real *x, const real *w, size_t rows,
                       size_t in, size_t out)
{
  if (gx) product((Product){gx, g, w, NULL, rows, in, out, out, 1, in, 1, true, ROWS_M, ROWS_N});
  if (gw) product((Product){gw, g, x, NULL, out, in, rows, 1, out, in, 1, true, WEIGHT_M, WEIGHT_N});
  if (gbias) fast_columns((real *[SUMS]){gbias}, rows, out, bias_columns, &(Bias){g, out});
}

void f_matmul(real *y, const real *x, const real *m, size_t rows, size_t in, size_t out)
{
  Few few = {y, x, NULL, {m, STORED_F32}, rows, in, out};
  if (is_few(rows, in)) few_matmul(&few);
  else product((Product){y, x, m, NULL, rows, out, in, in, 1, out, 1, false, ROWS_M, ROWS_N});
}

void f_matmul_backward(real *gx, real *gm, const real *g, const real *x, const real *m, size_t rows, size_t in,
                       size_t out)
{
  if (gx) product((Product){gx, g, m, NULL, rows, in, out, out, 1, 1, out, true, ROWS_M, ROWS_N});
  if (gm) product((Product){gm, x, g, NULL, in, out, rows, 1, in, out, 1, true, WEIGHT_M, WEIGHT_N});
}

/* ---- many products ---- */

typedef struct {
  Product first;                 /* of product 0; the others are so many numbers further: */
  size_t c_step, a_step, b_step;
} Series;

static void series(const void *arg, size_t from, size_t to)
{
  const Series *s = arg;
  for (size_t i = from; i < to; i++) {
    Product q = s->first;
    q.c += i * s->c_step, q.a += i * s->a_step, q.b += i * s->b_step;
    gemm(&q, 0, q.M, 0, q.N, q.add);
  }
}

/* Where all products add to one matrix they come one after the other. */
static void products(size_t batch, Product q, size_t c_step, size_t a_step, size_t b_step)
{
  Series s = {q, c_step, a_step, b_step};
  if (c_step) fast_for(batch, pieces(4 * LIGHT, at_least_1(q.M * q.N * q.K)), series, &s);
  else series(&s, 0, batch);
}

void f_bmm(real *y, const real *a, const real *b, const Matrices *s)
{
  if (!s->batch || !s->M || !s->N || !s->K) k_bmm(y, a, b, s);
  else products(s->batch, (Product){y, a, b, NULL, s->M, s->N, s->K, s->K, 1, s->N, 1, false, 0, 0}, s->M * s->N,
                s->a_step, s->b_step);
}

void f_bmm_backward(real *ga, real *gb, const real *g, const real *a, const real *b, const Matrices *s)
{
  size_t M = s->M, N = s->N, K = s->K;
  if (!s->batch || !M || !N || !K) return;
  if (ga) products(s->batch, (Product){ga, g, b, NULL, M, K, N, N, 1, 1, N, true, 0, 0}, s->a_step, M * N, s->b_step);
  if (gb) products(s->batch, (Product){gb, a, g, NULL, K, N, M, 1, K, N, 1, true, 0, 0}, s->b_step, s->a_step, M * N);
}
