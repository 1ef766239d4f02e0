/* Linear maps and table look-up. A few rows: the matrix is read once (f_gemv.c); otherwise a product of matrices
   (f_gemm.c). */
/* clang-format off */
#include "f_gemm.h"
#include "f_gemv.h"

#include <string.h>

JOB static void bias_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0, size_t col1)
{
  const LinearBackward *q = arg;
  for (size_t i = row0; i < row1; i++)
    for (size_t c = col0; c < col1; c++) sum[0][c - col0] += (acc)q->g[i * q->forward.out + c];
}

void f_linear(const Linear *q)
{
  Gemv gemv = {q->y, q->x, q->bias, {q->w, STORED_F32}, q->rows, q->in, q->out, q->factors};
  Product y = {.c = q->y, .a = q->x, .b = q->w, .bias = q->bias, .M = q->rows, .N = q->out, .K = q->in,
               .a_row = q->in, .a_col = 1, .b_row = 1, .b_col = q->in,
               .factors = q->factors, .tile_m = ROWS_M, .tile_n = ROWS_N};
  if (is_gemv(q->rows, q->in)) fast_gemv_linear(OP_linear, q, &gemv);
  else fast_product(OP_linear, q, y);
}

void f_linear_backward(const LinearBackward *op)
{
  const Linear *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  Product gx = {.c = op->gx, .a = op->g, .b = f->w, .M = rows, .N = in, .K = out, .a_row = out, .a_col = 1,
                .b_row = in, .b_col = 1, .add = true, .factors = f->factors, .tile_m = ROWS_M, .tile_n = ROWS_N};
  Product gw = {.c = op->gw, .a = op->g, .b = f->x, .M = out, .N = in, .K = rows, .a_row = 1, .a_col = out,
                .b_row = in, .b_col = 1, .add = true, .factors = f->factors, .tile_n = WEIGHT_N};
  LinearBackward x = *op, w = *op, bias = *op; /* each with one of the gradients */
  x.gw = x.gbias = w.gx = w.gbias = bias.gx = bias.gw = NULL;
  if (op->gx) fast_product(OP_linear_backward, &x, gx);
  if (op->gw) fast_weight_product(OP_linear_backward, &w, gw);
  if (op->gbias)
    fast_columns(OP_linear_backward, &bias, (real *[SUMS]){op->gbias}, rows, out, bias_columns, &bias, sizeof bias);
}

void f_matmul(const Matmul *q)
{
  Gemv gemv = {q->y, q->x, NULL, {q->m, STORED_F32}, q->rows, q->in, q->out, q->factors};
  Product y = {.c = q->y, .a = q->x, .b = q->m, .M = q->rows, .N = q->out, .K = q->in, .a_row = q->in, .a_col = 1,
               .b_row = q->out, .b_col = 1, .factors = q->factors, .tile_m = ROWS_M, .tile_n = ROWS_N};
  if (is_gemv(q->rows, q->in)) fast_gemv_matmul(OP_matmul, q, &gemv);
  else fast_product(OP_matmul, q, y);
}

void f_matmul_backward(const MatmulBackward *op)
{
  const Matmul *f = &op->forward;
  size_t rows = f->rows, in = f->in, out = f->out;
  Product gx = {.c = op->gx, .a = op->g, .b = f->m, .M = rows, .N = in, .K = out, .a_row = out, .a_col = 1,
                .b_row = 1, .b_col = out, .add = true, .factors = f->factors, .tile_m = ROWS_M, .tile_n = ROWS_N};
  Product gm = {.c = op->gm, .a = f->x, .b = op->g, .M = in, .N = out, .K = rows, .a_row = 1, .a_col = in,
                .b_row = out, .b_col = 1, .add = true, .factors = f->factors, .tile_n = WEIGHT_N};
  MatmulBackward x = *op, m = *op; /* each with one of the gradients */
  x.gm = m.gx = NULL;
  if (op->gx) fast_product(OP_matmul_backward, &x, gx);
  if (op->gm) fast_weight_product(OP_matmul_backward, &m, gm);
}

/* ---- table look-up ---- */

enum { LINE = 16 }; /* a cache line of floats */

static void rows(const void *arg, size_t from, size_t to)
{
  const Rows *q = arg;
  for (size_t i = from; i < to; i++)
    memcpy(q->y + i * q->C, q->table + (size_t)q->index[i] * q->C, q->C * sizeof(real));
}

/* Index lists are the caller's: work that waits has its own. */
static const int *kept(When when, const int *index, size_t count)
{
  return when == NOW ? index : fast_keep(index, count * sizeof *index);
}

void f_rows(const Rows *op)
{
  if (!op->C) return;
  Rows q = *op;
  When when = fast_when(OP_rows, op);
  q.index = kept(when, op->index, op->count);
  fast_put(when, q.count, pieces(LIGHT, q.C), rows, &q, sizeof q);
}

/* Rows may meet in the table, so the work is split over the columns: every sum keeps its order. */
JOB static void rows_back(const void *arg, size_t from, size_t to)
{
  const RowsBackward *q = arg;
  const Rows *f = &q->forward;
  size_t c0 = from * LINE, n = smaller(f->C, to * LINE) - c0;
  for (size_t i = 0; i < f->count; i++)
    fast_add(q->gtable + (size_t)f->index[i] * f->C + c0, q->g + i * f->C + c0, n);
}

void f_rows_backward(const RowsBackward *op)
{
  RowsBackward q = *op;
  size_t count = q.forward.count, C = q.forward.C, columns = pieces(C, LINE);
  When when = fast_when_whole(OP_rows_backward, op);
  q.forward.index = kept(when, op->forward.index, count);
  fast_put(when, columns, count * C < LIGHT ? at_least_1(columns) : pieces(columns, 16), rows_back, &q, sizeof q);
}
