/* Linear maps, all through one matrix product C (+)= A B.

   Why not a BLAS: Debian's serial OpenBLAS hands the same buffer to two threads that call it at once and
   then gives wrong numbers (36 of 100 products in a test with two threads), and with the small matrices
   here it is no faster. As in BLIS (Van Zee & van de Geijn 2015): a panel of B, 2 vectors wide, is packed
   into the first-level cache; MR rows of A run along it and keep MR x 2 vectors of C in registers. */
#include "f_inside.h"

#include <string.h>

typedef real Vec __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));

enum {
  LANES = 32 / sizeof(real),
  MR = 6,         /* 6 x 2 sums, 2 of B and 1 of A: what 16 registers hold */
  NR = 2 * LANES,
  KC = 256        /* numbers of the inner axis at a time: a panel is 16 KiB */
};

typedef struct {
  real *c;             /* [M,N], rows ldc apart */
  const real *a, *b;   /* element (i,k) of A at a[i a_row + k a_col], (k,j) of B at b[k b_row + j b_col] */
  const real *bias;    /* [N] or NULL: what C starts from when add is false */
  size_t M, N, K, ldc, a_row, a_col, b_row, b_col;
  bool add;
  size_t tile_m, tile_n;
} Product;

/* panel [K,NR] from columns j0.. of B, with zeros beyond its last column */
INLINE void pack(real *restrict panel, const Product *q, size_t k0, size_t K, size_t j0, size_t columns)
{
  const real *b = q->b + k0 * q->b_row + j0 * q->b_col;
  if (columns < NR) memset(panel, 0, K * NR * sizeof *panel);
  if (q->b_col == 1 && columns == NR)
    for (size_t k = 0; k < K; k++) memcpy(panel + k * NR, b + k * q->b_row, NR * sizeof *panel);
  else if (q->b_row == 1 && columns == NR)
    for (size_t k = 0; k < K; k++)
      for (size_t j = 0; j < NR; j++) panel[k * NR + j] = b[k + j * q->b_col];
  else
    for (size_t k = 0; k < K; k++)
      for (size_t j = 0; j < columns; j++) panel[k * NR + j] = b[k * q->b_row + j * q->b_col];
}

#define SPLAT(x) ((x) - (Vec){0}) /* a function could not return a Vec on every processor */

/* m <= MR rows of C, NR columns (of which `columns` exist), over K */
INLINE void micro(real *restrict c, size_t ldc, const real *restrict a, size_t a_row, size_t a_col,
                  const real *restrict panel, size_t K, size_t m, size_t columns)
{
  Vec sum[MR][2];
  for (size_t i = 0; i < m; i++) sum[i][0] = sum[i][1] = (Vec){0};
  for (size_t k = 0; k < K; k++) {
    const Vec *b = (const Vec *)(const void *)(panel + k * NR);
    Vec b0 = b[0], b1 = b[1];
#pragma GCC unroll 6
    for (size_t i = 0; i < m; i++) {
      Vec x = SPLAT(a[i * a_row + k * a_col]);
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
  for (size_t i = 0; i < m; i++) {
    real *row = c + i * ldc;
    if (columns == NR) {
      Vec *v = (Vec *)(void *)row;
      v[0] += sum[i][0];
      v[1] += sum[i][1];
    } else {
      real all[NR];
      memcpy(all, sum[i], sizeof all);
      for (size_t j = 0; j < columns; j++) row[j] += all[j];
    }
  }
}

INLINE void panel_rows(const Product *q, const real *panel, size_t i0, size_t i1, size_t j0, size_t columns,
                       size_t k0, size_t K)
{
  size_t i = i0;
#define ROWS(m) \
  micro(q->c + i * q->ldc + j0, q->ldc, q->a + i * q->a_row + k0 * q->a_col, q->a_row, q->a_col, panel, K, m, columns)
  for (; i + MR <= i1; i += MR) ROWS(MR);
  for (; i + 2 <= i1; i += 2) ROWS(2);
  for (; i < i1; i++) ROWS(1);
#undef ROWS
}

static void start(const Product *q, size_t i0, size_t i1, size_t j0, size_t j1)
{
  for (size_t i = i0; !q->add && i < i1; i++) {
    if (q->bias) memcpy(q->c + i * q->ldc + j0, q->bias + j0, (j1 - j0) * sizeof(real));
    else memset(q->c + i * q->ldc + j0, 0, (j1 - j0) * sizeof(real));
  }
}

/* A job is a tile of C, with the tiles of a column of tiles side by side. */
JOB static void tiles(const void *arg, size_t from, size_t to)
{
  const Product *q = arg;
  real panel[KC * NR] __attribute__((aligned(64)));
  size_t down = pieces(q->M, q->tile_m);
  for (size_t t = from; t < to; t++) {
    size_t i0 = t % down * q->tile_m, i1 = smaller(q->M, i0 + q->tile_m);
    size_t j0 = t / down * q->tile_n, j1 = smaller(q->N, j0 + q->tile_n);
    start(q, i0, i1, j0, j1);
    for (size_t k0 = 0; k0 < q->K; k0 += KC)
      for (size_t j = j0; j < j1; j += NR) {
        size_t K = smaller(KC, q->K - k0), columns = smaller(NR, j1 - j);
        pack(panel, q, k0, K, j, columns);
        panel_rows(q, panel, i0, i1, j, columns, k0, K);
      }
  }
}

/* Few rows and B by columns, as a weight [out,in] stands: packing would cost as much as the product. */
JOB static void dots(const void *arg, size_t from, size_t to)
{
  const Product *q = arg;
  for (size_t j = from; j < to; j++)
    for (size_t i = 0; i < q->M; i++) {
      const real *a = q->a + i * q->a_row, *b = q->b + j * q->b_col;
      real sum = 0;
      SIMD_SUM(sum)
      for (size_t k = 0; k < q->K; k++) sum += a[k] * b[k];
      real *c = q->c + i * q->ldc + j;
      *c = (q->add ? *c : q->bias ? q->bias[j] : 0) + sum;
    }
}

static void product(Product q)
{
  if (q.M <= 4 && q.a_col == 1 && q.b_row == 1) {
    fast_for(q.N, pieces(LIGHT, at_least_1(q.K * q.M)), dots, &q);
    return;
  }
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = q.M, q.tile_n = q.N; /* too small to share */
  if (q.M && q.N) fast_for(pieces(q.M, q.tile_m) * pieces(q.N, q.tile_n), 1, tiles, &q);
}

/* Many rows: tiles a multiple of MR that cut the usual powers of two into equal numbers of parts.
   A gradient of weights is small and its inner axis long: the tiles are small, and no sum is split. */
enum { ROWS_M = 258, ROWS_N = 256, WEIGHT_M = 36, WEIGHT_N = 2 * NR };

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
  product((Product){y, x, w, bias, rows, out, in, out, in, 1, 1, in, false, ROWS_M, ROWS_N});
}

void f_linear_backward(real *gx, real *gw, real *gbias, const real *g, const real *x, const real *w, size_t rows,
                       size_t in, size_t out)
{
  if (gx) product((Product){gx, g, w, NULL, rows, in, out, in, out, 1, in, 1, true, ROWS_M, ROWS_N});
  if (gw) product((Product){gw, g, x, NULL, out, in, rows, in, 1, out, in, 1, true, WEIGHT_M, WEIGHT_N});
  if (gbias) fast_columns((real *[SUMS]){gbias}, rows, out, bias_columns, &(Bias){g, out});
}

void f_matmul(real *y, const real *x, const real *m, size_t rows, size_t in, size_t out)
{
  product((Product){y, x, m, NULL, rows, out, in, out, in, 1, out, 1, false, ROWS_M, ROWS_N});
}

void f_matmul_backward(real *gx, real *gm, const real *g, const real *x, const real *m, size_t rows, size_t in,
                       size_t out)
{
  if (gx) product((Product){gx, g, m, NULL, rows, in, out, in, out, 1, 1, out, true, ROWS_M, ROWS_N});
  if (gm) product((Product){gm, x, g, NULL, in, out, rows, out, 1, in, out, 1, true, WEIGHT_M, WEIGHT_N});
}
