/* What only moves numbers about: table look-up, shift, slices. */
#include "f_inside.h"

#include <string.h>

enum { COLUMNS = 16 }; /* a cache line of floats */

INLINE void add_to(real *restrict out, const real *restrict in, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] += in[i];
}

/* ---- table look-up ---- */

typedef struct {
  real *out;
  const real *in;
  const int *index;
  size_t count, C;
} Rows;

static void rows(const void *arg, size_t from, size_t to)
{
  const Rows *q = arg;
  for (size_t i = from; i < to; i++)
    memcpy(q->out + i * q->C, q->in + (size_t)q->index[i] * q->C, q->C * sizeof(real));
}

void f_rows(real *y, const real *table, const int *index, size_t count, size_t C)
{
  if (C) fast_for(count, pieces(LIGHT, C), rows, &(Rows){y, table, index, count, C});
}

/* Rows may meet in the table, so the work is split over the columns: every sum keeps its order. */
JOB static void rows_back(const void *arg, size_t from, size_t to)
{
  const Rows *q = arg;
  size_t c0 = from * COLUMNS, n = smaller(q->C, to * COLUMNS) - c0;
  for (size_t i = 0; i < q->count; i++)
    add_to(q->out + (size_t)q->index[i] * q->C + c0, q->in + i * q->C + c0, n);
}

void f_rows_backward(real *gtable, const real *g, const int *index, size_t count, size_t C)
{
  Rows q = {gtable, g, index, count, C};
  size_t columns = pieces(C, COLUMNS);
  fast_for(columns, count * C < LIGHT ? at_least_1(columns) : pieces(columns, 16), rows_back, &q);
}

/* ---- time shift ---- */

typedef struct {
  real *prev, *gx, *gcarry;
  const real *x, *carry, *g;
  size_t T, C;
} Shift;

static void shift(const void *arg, size_t from, size_t to)
{
  const Shift *q = arg;
  size_t C = q->C, all = q->T * C;
  for (size_t b = from; b < to; b++) {
    memcpy(q->prev + b * all, q->carry + b * C, C * sizeof(real));
    memcpy(q->prev + b * all + C, q->x + b * all, (all - C) * sizeof(real));
  }
}

void f_shift(real *prev, const real *x, const real *carry, size_t B, size_t T, size_t C)
{
  Shift q = {.prev = prev, .x = x, .carry = carry, .T = T, .C = C};
  if (T > 0) fast_for(B, pieces(LIGHT, at_least_1(T * C)), shift, &q);
}

JOB static void shift_back(const void *arg, size_t from, size_t to)
{
  const Shift *q = arg;
  size_t C = q->C, all = q->T * C;
  for (size_t b = from; b < to; b++) {
    if (q->gcarry) add_to(q->gcarry + b * C, q->g + b * all, C);
    if (q->gx) add_to(q->gx + b * all, q->g + b * all + C, all - C);
  }
}

void f_shift_backward(real *gx, real *gcarry, const real *g, size_t B, size_t T, size_t C)
{
  Shift q = {.gx = gx, .gcarry = gcarry, .g = g, .T = T, .C = C};
  if (T > 0) fast_for(B, pieces(LIGHT, at_least_1(T * C)), shift_back, &q);
}

/* ---- slices: n numbers at a time, `out_step` and `in_step` apart ---- */

typedef struct {
  real *out;
  const real *in;
  size_t out_step, in_step, n;
} Slice;

static void copy(const void *arg, size_t from, size_t to)
{
  const Slice *q = arg;
  for (size_t o = from; o < to; o++)
    memcpy(q->out + o * q->out_step, q->in + o * q->in_step, q->n * sizeof(real));
}

JOB static void add(const void *arg, size_t from, size_t to)
{
  const Slice *q = arg;
  for (size_t o = from; o < to; o++) add_to(q->out + o * q->out_step, q->in + o * q->in_step, q->n);
}

static void slice(Job *job, Slice q, size_t outer)
{
  if (q.n) fast_for(outer, pieces(LIGHT, q.n), job, &q);
}

void f_slice(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  slice(copy, (Slice){part, whole + from * inner, count * inner, size * inner, count * inner}, outer);
}

void f_slice_add(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  slice(add, (Slice){part, whole + from * inner, count * inner, size * inner, count * inner}, outer);
}

void f_unslice(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  slice(copy, (Slice){whole + from * inner, part, size * inner, count * inner, count * inner}, outer);
}

void f_unslice_add(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from,
                   size_t count)
{
  slice(add, (Slice){whole + from * inner, part, size * inner, count * inner, count * inner}, outer);
}
