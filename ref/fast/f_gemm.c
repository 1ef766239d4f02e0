/* Linear maps, all through one matrix product C (+)= A B, cut into tiles of C that a library computes, each in one
   thread. The tiles, and the pieces of long sums, depend on the sizes alone: so does the result, not on the threads.

   The library is oneDNN for float32: it makes kernels for the processor it finds and for the shape asked for, and is
   1.1 to 1.5 times as fast as OpenBLAS on the small products of a training step (BLIS: slower than both). It has no
   float64; there it is OpenBLAS, which also stands in where oneDNN is not built. Both start threads of their own in
   every thread that has not told OpenMP otherwise. */
#include "f_few.h"

#include <omp.h>
#include <string.h>

#if !defined(AVIARY_DOUBLE) && __has_include(<dnnl.h>)
#include <dnnl.h>
#define ONEDNN
#else
#include <cblas.h>
#endif

typedef struct {
  real *c;           /* [M,N], rows N apart */
  const real *a, *b; /* element (i,k) of A at a[i a_row + k a_col], (k,j) of B at b[k b_row + j b_col] */
  const real *bias;  /* [N] or NULL: what C starts from when add is false */
  size_t M, N, K, a_row, a_col, b_row, b_col;
  bool add;
  size_t tile_m, tile_n;
} Product;

static void alone(void)
{
  static _Thread_local bool told;
  if (!told) omp_set_num_threads(1);
  told = true;
}

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
  dnnl_sgemm(a_flat ? 'N' : 'T', b_flat ? 'N' : 'T', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1, a,
             (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, add, c, (dnnl_dim_t)q->N);
#else
#ifdef AVIARY_DOUBLE
  cblas_dgemm(
#else
  cblas_sgemm(
#endif
      CblasRowMajor, a_flat ? CblasNoTrans : CblasTrans, b_flat ? CblasNoTrans : CblasTrans, (int)m, (int)n,
      (int)k, 1, a, (int)lda, b, (int)ldb, add, c, (int)q->N);
#endif
}

/* Many rows: tiles that cut the usual powers of two into equal numbers of parts. A gradient of weights is small and its
   inner axis long. */
enum { ROWS_M = 256, ROWS_N = 512, STRIPE = 128, WEIGHT_N = 512, INNER = 128, FEW = 48 };

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

/* A product as (part of) an op. rows: C and A belong to the batch, row by row; otherwise the batch is summed over. */
static void product(OpId id, const void *op, Product q, bool rows)
{
  if (!q.M || !q.N || (q.add && !q.K)) return;
  if (rows && q.add && fast_overwrite(q.c)) q.add = false;
  if (!rows) q.tile_m = smaller(q.M, larger(STRIPE, smaller(pieces(q.M, 4), 4 * STRIPE)));
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = q.M, q.tile_n = q.N; /* too small to share */
  bool few = rows && q.M < FEW * fast_tile_count(); /* in a tile: all of B would be read for hardly any rows */
  Place place = rows && !few ? fast_place(id, op) : fast_place_whole(id, op);
  if (place == TILED) fast_put(place, q.M, 1, some_rows, &q, sizeof q);
  else if (!rows) fast_put(place, pieces(q.M, q.tile_m), 1, stripes, &q, sizeof q);
  else fast_put(place, pieces(q.M, q.tile_m) * pieces(q.N, q.tile_n), 1, tiles, &q, sizeof q);
}

/* ---- gradient of a bias ---- */

JOB static void bias_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const LinearBackward *q = arg;
  for (size_t i = row0; i < row1; i++)
    for (size_t c = col0; c < col1; c++) sum[0][c - col0] += (acc)q->g[i * q->forward.out + c];
}

/* ---- the ops ---- */

void f_linear(const Linear *q)
{
  Few few = {q->y, q->x, q->bias, {q->w, STORED_F32}, q->rows, q->in, q->out};
  if (is_few(q->rows, q->in)) few_linear(OP_linear, q, &few);
  else product(OP_linear, q, (Product){q->y, q->x, q->w, q->bias, q->rows, q->out, q->in, q->in, 1, 1, q->in, false,
                                       ROWS_M, ROWS_N}, true);
}

void f_linear_backward(const LinearBackward *op)
{
  const Linear *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  LinearBackward x = *op, w = *op, bias = *op;
  x.gw = x.gbias = w.gx = w.gbias = bias.gx = bias.gw = NULL;
  if (x.gx)
    product(OP_linear_backward, &x, (Product){x.gx, x.g, f->w, NULL, rows, in, out, out, 1, in, 1, true, ROWS_M, ROWS_N},
            true);
  if (w.gw)
    product(OP_linear_backward, &w, (Product){w.gw, w.g, f->x, NULL, out, in, rows, 1, out, in, 1, true, 0, WEIGHT_N},
            false);
  if (bias.gbias)
    fast_columns(OP_linear_backward, &bias, (real *[SUMS]){bias.gbias}, rows, out, bias_columns, &bias, sizeof bias);
}

void f_matmul(const Matmul *q)
{
  Few few = {q->y, q->x, NULL, {q->m, STORED_F32}, q->rows, q->in, q->out};
  if (is_few(q->rows, q->in)) few_matmul(OP_matmul, q, &few);
  else product(OP_matmul, q, (Product){q->y, q->x, q->m, NULL, q->rows, q->out, q->in, q->in, 1, q->out, 1, false,
                                       ROWS_M, ROWS_N}, true);
}

void f_matmul_backward(const MatmulBackward *op)
{
  const Matmul *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  MatmulBackward x = *op, m = *op;
  x.gm = m.gx = NULL;
  if (x.gx)
    product(OP_matmul_backward, &x, (Product){x.gx, x.g, f->m, NULL, rows, in, out, out, 1, 1, out, true, ROWS_M, ROWS_N},
            true);
  if (m.gm)
    product(OP_matmul_backward, &m, (Product){m.gm, f->x, m.g, NULL, in, out, rows, 1, in, out, 1, true, 0, WEIGHT_N},
            false);
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
    gemm(&q, 0, q.M, 0, q.N, 0, q.K, q.add);
  }
}

/* Where all products add to one matrix they come one after the other. */
static void products(size_t batch, Product q, size_t c_step, size_t a_step, size_t b_step)
{
  Series s = {q, c_step, a_step, b_step};
  fast_flush();
  if (c_step) fast_for(batch, pieces(4 * LIGHT, at_least_1(q.M * q.N * q.K)), series, &s);
  else series(&s, 0, batch);
}

void f_bmm(const Bmm *q)
{
  size_t M = q->M, N = q->N, K = q->K;
  if (!q->batch || !M || !N || !K) fast_reference(OP_bmm, q);
  else products(q->batch, (Product){q->y, q->a, q->b, NULL, M, N, K, K, 1, N, 1, false, 0, 0}, M * N, q->a_step, q->b_step);
}

void f_bmm_backward(const BmmBackward *q)
{
  const Bmm *f = &q->forward;
  size_t M = f->M, N = f->N, K = f->K, a = f->a_step, b = f->b_step;
  if (!f->batch || !M || !N || !K) return;
  if (q->ga) products(f->batch, (Product){q->ga, q->g, f->b, NULL, M, K, N, N, 1, 1, N, true, 0, 0}, a, M * N, b);
  if (q->gb) products(f->batch, (Product){q->gb, f->a, q->g, NULL, K, N, M, 1, K, N, 1, true, 0, 0}, b, a, M * N);
}
