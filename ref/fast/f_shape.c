/* What only moves numbers about: table look-up, shift, slices. */
#include "f_inside.h"

#include <string.h>

enum { LINE = 16 }; /* a cache line of floats */

INLINE void add_to(real *restrict out, const real *restrict in, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] += in[i];
}

/* ---- table look-up ---- */

static void rows(const void *arg, size_t from, size_t to)
{
  const Rows *q = arg;
  for (size_t i = from; i < to; i++)
    memcpy(q->y + i * q->C, q->table + (size_t)q->index[i] * q->C, q->C * sizeof(real));
}

/* Index lists are the caller's: work that waits has its own. */
static const int *kept(Place place, const int *index, size_t count)
{
  return place == NOW ? index : fast_keep(index, count * sizeof *index);
}

void f_rows(const Rows *op)
{
  if (!op->C) return;
  Rows q = *op;
  Place place = fast_place(OP_rows, op);
  q.index = kept(place, op->index, op->count);
  fast_put(place, q.count, pieces(LIGHT, q.C), rows, &q, sizeof q);
}

/* Rows may meet in the table, so the work is split over the columns: every sum keeps its order. */
JOB static void rows_back(const void *arg, size_t from, size_t to)
{
  const RowsBackward *q = arg;
  const Rows *f = &q->forward;
  size_t c0 = from * LINE, n = smaller(f->C, to * LINE) - c0;
  for (size_t i = 0; i < f->count; i++)
    add_to(q->gtable + (size_t)f->index[i] * f->C + c0, q->g + i * f->C + c0, n);
}

void f_rows_backward(const RowsBackward *op)
{
  RowsBackward q = *op;
  size_t count = q.forward.count, C = q.forward.C, columns = pieces(C, LINE);
  Place place = fast_place_whole(OP_rows_backward, op);
  q.forward.index = kept(place, op->forward.index, count);
  fast_put(place, columns, count * C < LIGHT ? at_least_1(columns) : pieces(columns, 16), rows_back, &q, sizeof q);
}

/* ---- time shift ---- */

static void shift(const void *arg, size_t from, size_t to)
{
  const Shift *q = arg;
  size_t C = q->C, all = q->T * C;
  for (size_t b = from; b < to; b++) {
    memcpy(q->prev + b * all, q->carry + b * C, C * sizeof(real));
    memcpy(q->prev + b * all + C, q->x + b * all, (all - C) * sizeof(real));
  }
}

static size_t shift_grain(const Shift *q) { return pieces(LIGHT, at_least_1(q->T * q->C)); }

void f_shift(const Shift *q)
{
  if (q->T > 0) RUN(shift, q, q->B, shift_grain(q), shift, *q);
}

JOB static void shift_back(const void *arg, size_t from, size_t to)
{
  const ShiftBackward *q = arg;
  size_t C = q->forward.C, all = q->forward.T * C;
  for (size_t b = from; b < to; b++) {
    if (q->gcarry) add_to(q->gcarry + b * C, q->g + b * all, C);
    if (q->gx) add_to(q->gx + b * all, q->g + b * all + C, all - C);
  }
}

void f_shift_backward(const ShiftBackward *q)
{
  if (q->forward.T > 0) RUN(shift_backward, q, q->forward.B, shift_grain(&q->forward), shift_back, *q);
}

/* ---- slices: n numbers at a time, `out_step` and `in_step` apart ---- */

typedef struct {
  real *out;
  const real *in;
  size_t out_step, in_step, n;
  bool over; /* nothing to be added to */
} Copy;

static void copy(const void *arg, size_t from, size_t to)
{
  const Copy *q = arg;
  for (size_t o = from; o < to; o++) memcpy(q->out + o * q->out_step, q->in + o * q->in_step, q->n * sizeof(real));
}

JOB static void add(const void *arg, size_t from, size_t to)
{
  const Copy *q = arg;
  if (q->over) copy(arg, from, to);
  for (size_t o = from; !q->over && o < to; o++) add_to(q->out + o * q->out_step, q->in + o * q->in_step, q->n);
}

static void move(OpId id, const void *op, Job *job, Copy q, size_t outer)
{
  if (q.n) fast_put(fast_place(id, op), outer, pieces(LIGHT, q.n), job, &q, sizeof q);
}

/* From the whole into the part, and the other way round. */
static Copy out_of(const Slice *q, bool over)
{
  size_t n = q->count * q->inner;
  return (Copy){q->part, q->whole + q->from * q->inner, n, q->size * q->inner, n, over};
}

static Copy into(const Unslice *q)
{
  size_t n = q->count * q->inner;
  return (Copy){q->whole + q->from * q->inner, q->part, q->size * q->inner, n, n, false};
}

void f_slice(const Slice *q) { move(OP_slice, q, copy, out_of(q, false), q->outer); }
void f_unslice(const Unslice *q) { move(OP_unslice, q, copy, into(q), q->outer); }
void f_unslice_add(const Unslice *q) { move(OP_unslice_add, q, add, into(q), q->outer); }

void f_slice_add(const Slice *q)
{
  bool over = q->count && q->inner && fast_overwrite(q->part);
  move(OP_slice_add, q, add, out_of(q, over), q->outer);
}
