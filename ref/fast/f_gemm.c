/* Products of matrices: all of them through one C (+)= A B, cut into tiles of C, each of them multiplied in one thread
   (f_multiply.c). The tiles, and the pieces of long sums, depend on the sizes alone: so does the result, not on the
   threads. */
#include "f_gemm.h"

#include <string.h>

/* Rows i0 .. and columns j0 .. of C, the part of the sums from k0 on. */
static Gemm part_of(const Product *q, size_t i0, size_t m, size_t j0, size_t n, size_t k0, size_t k, bool add)
{
  Gemm g = {.c = q->c + i0 * q->N + j0,
            .a = q->a + i0 * q->a_row + k0 * q->a_col,
            .b = q->b + j0 * q->b_col + k0 * q->b_row,
            .m = m,
            .n = n,
            .k = k,
            .c_step = q->N,
            .add = add,
            .a_turned = q->a_col != 1,
            .b_turned = q->b_col != 1,
            .factors = q->factors};
  /* of a single row or column the distance to the next means nothing, but BLAS wants one that could be */
  g.a_step = larger(g.a_turned ? q->a_col : q->a_row, g.a_turned ? m : k);
  g.b_step = larger(g.b_turned ? q->b_col : q->b_row, g.b_turned ? k : n);
  return g;
}

static void gemm(const Product *q, size_t i0, size_t m, size_t j0, size_t n, size_t k0, size_t k, bool add)
{
  Gemm g = part_of(q, i0, m, j0, n, k0, k, add);
  if (n == q->N && k == q->K) g.b_laid_out = q->b_laid_out;
  fast_multiply(&g);
}

enum { STRIPE = 128, INNER = 128, THIN = 48 };

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

void fast_product(OpId id, const void *op, Product q)
{
  if (!q.M || !q.N || (q.add && !q.K)) return;
  if (q.add && fast_overwrite(q.c)) q.add = false;
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = q.M, q.tile_n = q.N; /* too small to share */
  bool thin = q.M < THIN * fast_tile_count(); /* in a tile: all of B would be read for hardly any rows */
  When when = thin ? fast_when_whole(id, op) : fast_when(id, op);
  if (when == TILED) { /* nothing that waits writes B, as it is read as a whole */
    Gemm all = part_of(&q, 0, q.M, 0, q.N, 0, q.K, false);
    q.b_laid_out = fast_lay_out(&all);
    fast_put(when, q.M, 1, some_rows, &q, sizeof q);
  } else fast_put(when, pieces(q.M, q.tile_m) * pieces(q.N, q.tile_n), 1, tiles, &q, sizeof q);
}

/* ---- gradients of weights ---- */

typedef struct {
  Product q;
  real *part; /* [tiles,M,N] */
  size_t tiles;
} Parts;

/* A tile's part of the sum, over its rows of the batch. */
static void part_of_sum(const void *arg, size_t from, size_t to)
{
  Product q = ((const Parts *)arg)->q;
  q.c = ((const Parts *)arg)->part + from / (to - from) * q.M * q.N;
  gemm(&q, 0, q.M, 0, q.N, from, to - from, false);
}

JOB static void add_parts(const void *arg, size_t from, size_t to)
{
  enum { AT_ONCE = 256 };
  const Parts *p = arg;
  for (size_t j0 = from; j0 < to; j0 += AT_ONCE) {
    acc sum[AT_ONCE] = {0};
    size_t n = smaller(AT_ONCE, to - j0);
    for (size_t i = 0; i < p->tiles; i++)
      for (size_t j = 0; j < n; j++) sum[j] += (acc)p->part[i * p->q.M * p->q.N + j0 + j];
    for (size_t j = 0; j < n; j++) p->q.c[j0 + j] += (real)sum[j];
  }
}

/* Tile by tile, where what is multiplied is in the cache, if the parts of the sum are much less than that. */
static bool pays_by_tiles(const Product *q) { return 4 * fast_tile_count() * q->M * q->N <= q->K * (q->M + q->N); }

void fast_weight_product(OpId id, const void *op, Product q)
{
  if (!q.M || !q.N || !q.K) return;
  q.tile_m = smaller(q.M, larger(STRIPE, smaller(pieces(q.M, 4), 4 * STRIPE)));
  if (q.M * q.N * q.K < 4 * LIGHT) q.tile_m = q.M, q.tile_n = q.N; /* too small to share */
  When when = pays_by_tiles(&q) ? fast_when(id, op) : fast_when_whole(id, op);
  if (when != TILED) {
    fast_put(when, pieces(q.M, q.tile_m), 1, stripes, &q, sizeof q);
    return;
  }
  Parts parts = {q, fast_memory(fast_tile_count() * q.M * q.N * sizeof(real)), fast_tile_count()};
  fast_put(TILED, q.K, 1, part_of_sum, &parts, sizeof parts);
  fast_put(AFTER, q.M * q.N, HEAVY, add_parts, &parts, sizeof parts);
}

void fast_product_here(const Product *q) { gemm(q, 0, q->M, 0, q->N, 0, q->K, q->add); }
