/* What only moves numbers about: table look-up, shift, slices. */
#include "f_inside.h"

#include <string.h>

enum { LINE = 16 }; /* a cache line of floats */

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
  if (!C) return;
  Use use[] = {READS_ALL(table), READS(index, count), WRITES(y, count * C)};
  Place place = fast_place(count, use, 3);
  Rows q = {y, table, place == NOW ? index : fast_keep(index, count * sizeof *index), count, C};
  fast_put(place, count, pieces(LIGHT, C), rows, &q, sizeof q);
}

/* Rows may meet in the table, so the work is split over the columns: every sum keeps its order. */
JOB static void rows_back(const void *arg, size_t from, size_t to)
{
  const Rows *q = arg;
  size_t c0 = from * LINE, n = smaller(q->C, to * LINE) - c0;
  for (size_t i = 0; i < q->count; i++)
    add_to(q->out + (size_t)q->index[i] * q->C + c0, q->in + i * q->C + c0, n);
}

void f_rows_backward(real *gtable, const real *g, const int *index, size_t count, size_t C)
{
  size_t columns = pieces(C, LINE);
  Use use[] = {READS_ALL(g), WRITES_ALL(gtable)};
  Place place = fast_place(columns, use, 2);
  Rows q = {gtable, g, place == NOW ? index : fast_keep(index, count * sizeof *index), count, C};
  fast_put(place, columns, count * C < LIGHT ? at_least_1(columns) : pieces(columns, 16), rows_back, &q, sizeof q);
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
  if (T > 0)
    RUN(B, pieces(LIGHT, at_least_1(T * C)), shift, q, READS(x, B * T * C), READS(carry, B * C),
        WRITES(prev, B * T * C));
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
  if (T > 0)
    RUN(B, pieces(LIGHT, at_least_1(T * C)), shift_back, q, READS(g, B * T * C), WRITES(gx, B * T * C),
        WRITES(gcarry, B * C));
}

/* ---- slices: n numbers at a time, `out_step` and `in_step` apart ---- */

typedef struct {
  real *out;
  const real *in;
  size_t out_step, in_step, n, from; /* from: where the part begins in what is longer */
  bool back;                         /* the part goes into the whole */
  bool over;                         /* nothing to be added to */
} Slice;

INLINE real *slice_out(const Slice *q, size_t o) { return q->out + o * q->out_step + (q->back ? q->from : 0); }
INLINE const real *slice_in(const Slice *q, size_t o) { return q->in + o * q->in_step + (q->back ? 0 : q->from); }

static void copy(const void *arg, size_t from, size_t to)
{
  const Slice *q = arg;
  for (size_t o = from; o < to; o++) memcpy(slice_out(q, o), slice_in(q, o), q->n * sizeof(real));
}

JOB static void add(const void *arg, size_t from, size_t to)
{
  const Slice *q = arg;
  for (size_t o = from; o < to; o++)
    if (q->over) memcpy(slice_out(q, o), slice_in(q, o), q->n * sizeof(real));
    else add_to(slice_out(q, o), slice_in(q, o), q->n);
}

static void slice(Job *job, Slice q, size_t outer)
{
  if (q.n)
    RUN(outer, pieces(LIGHT, q.n), job, q, READS(q.in, outer * q.in_step), WRITES(q.out, outer * q.out_step));
}

void f_slice(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  slice(copy, (Slice){part, whole, count * inner, size * inner, count * inner, from * inner, false, false}, outer);
}

void f_slice_add(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  bool over = count && inner && fast_overwrite(part);
  slice(add, (Slice){part, whole, count * inner, size * inner, count * inner, from * inner, false, over}, outer);
}

void f_unslice(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  slice(copy, (Slice){whole, part, size * inner, count * inner, count * inner, from * inner, true, false}, outer);
}

void f_unslice_add(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from,
                   size_t count)
{
  slice(add, (Slice){whole, part, size * inner, count * inner, count * inner, from * inner, true, false}, outer);
}
