/* Slices. */
#include "f_job.h"

#include <string.h>

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
  for (size_t o = from; !q->over && o < to; o++) fast_add(q->out + o * q->out_step, q->in + o * q->in_step, q->n);
}

static void move(OpId id, const void *op, Job *job, Copy q, size_t outer)
{
  if (q.n) fast_put(fast_when(id, op), outer, pieces(LIGHT, q.n), job, &q, sizeof q);
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
