/* Linear maps with a matrix that is kept in fewer bits. A few rows: the matrix is read once, as it stands (f_gemv.c).
   Many rows: a panel of it at a time becomes `real` in the cache, and goes through the product of matrices. */
#include "f_gemv.h"
#include "f_multiply.h"

#include <string.h>

enum { ROWS = 512, OUTPUTS = 128, INNER = 512 }; /* a panel is 256 KiB of floats, on the stack of its thread */

typedef struct {
  Gemv gemv;
  bool transposed; /* W [out,in]; otherwise M [in,out] */
} Many;

/* The sums of one tile of y, from inner index k0 on, over K of them. */
static void add_panel(const Many *m, real *panel, size_t i0, size_t rows, size_t j0, size_t n, size_t k0, size_t K)
{
  const Gemv *q = &m->gemv;
  if (m->transposed)
    for (size_t j = 0; j < n; j++) fast_gemv_unpack(panel + j * K, q->w, (j0 + j) * q->in + k0, K);
  else
    for (size_t k = 0; k < K; k++) fast_gemv_unpack(panel + k * n, q->w, (k0 + k) * q->out + j0, n);
  Gemm g = {.c = q->y + i0 * q->out + j0, .a = q->x + i0 * q->in + k0, .b = panel, .m = rows, .n = n, .k = K};
  g.c_step = q->out, g.a_step = q->in, g.b_step = m->transposed ? K : n, g.b_turned = m->transposed;
  g.add = k0 || q->bias, g.factors = q->factors;
  fast_multiply(&g);
}

static void tiles(const void *arg, size_t from, size_t to)
{
  const Many *m = arg;
  const Gemv *q = &m->gemv;
  real panel[OUTPUTS * INNER];
  size_t down = pieces(q->rows, ROWS);
  for (size_t t = from; t < to; t++) {
    size_t i0 = t % down * ROWS, rows = smaller(q->rows - i0, ROWS);
    size_t j0 = t / down * OUTPUTS, n = smaller(q->out - j0, OUTPUTS);
    for (size_t i = i0; q->bias && i < i0 + rows; i++) memcpy(q->y + i * q->out + j0, q->bias + j0, n * sizeof(real));
    for (size_t k0 = 0; k0 < q->in; k0 += INNER) add_panel(m, panel, i0, rows, j0, n, k0, smaller(q->in - k0, INNER));
  }
}

static void many(OpId id, const void *op, const Many *m)
{
  size_t count = pieces(m->gemv.rows, ROWS) * pieces(m->gemv.out, OUTPUTS);
  fast_put(fast_when_whole(id, op), count, 1, tiles, m, sizeof *m);
}

void f_linear_packed(const LinearPacked *q)
{
  Many m = {{q->y, q->x, q->bias, q->w, q->rows, q->in, q->out, q->factors}, true};
  if (!q->in) fast_reference(OP_linear_packed, q);
  else if (is_gemv(q->rows, q->in)) fast_gemv_linear(OP_linear_packed, q, &m.gemv);
  else many(OP_linear_packed, q, &m);
}

void f_matmul_packed(const MatmulPacked *q)
{
  Many m = {{q->y, q->x, NULL, q->m, q->rows, q->in, q->out, q->factors}, false};
  if (!q->in) fast_reference(OP_matmul_packed, q);
  else if (is_gemv(q->rows, q->in)) fast_gemv_matmul(OP_matmul_packed, q, &m.gemv);
  else many(OP_matmul_packed, q, &m);
}

/* ---- table look-up ---- */

static void rows(const void *arg, size_t from, size_t to)
{
  const RowsPacked *q = arg;
  for (size_t i = from; i < to; i++) fast_gemv_unpack(q->y + i * q->C, q->table, (size_t)q->index[i] * q->C, q->C);
}

void f_rows_packed(const RowsPacked *q)
{
  fast_flush();
  if (q->C) fast_for(q->count, pieces(LIGHT, q->C), rows, q);
}
