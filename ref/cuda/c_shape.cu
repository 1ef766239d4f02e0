/* Slices and sums along one axis; a shape is seen as [outer, size, inner] around that axis. Running sums stand in
   c_shape_cumsum.cu. */
#include "each.h"
#include "reduce.h"
#include "walk.h"

/* ---- slices: a thread has some numbers of the part ---- */

/* Number i of part [outer,count,inner] in whole [outer,size,inner]. */
struct SlicePlace {
  Divisor row; /* count inner */
  size_t skipped, from;
  __device__ size_t of(size_t i) const { return i + quotient(i, row) * skipped + from; }
};

struct FromWhole {
  const real *whole;
  SlicePlace place;
  __device__ real operator()(size_t i) const { return whole[place.of(i)]; }
};

struct FromPart {
  const real *part;
  __device__ real operator()(size_t i) const { return part[i]; }
};

struct ToWhole {
  real *whole;
  SlicePlace place;
  __device__ real *operator()(size_t i) const { return whole + place.of(i); }
};

/* op: a Slice or an Unslice; not of an empty part */
template <class Op> static SlicePlace slice_place(const Op *op)
{
  return {divisor(op->count * op->inner), (op->size - op->count) * op->inner, op->from * op->inner};
}
template <class Op> static size_t part_size(const Op *op) { return op->outer * op->count * op->inner; }

void c_slice(const Slice *op)
{
  size_t n = part_size(op);
  if (n) write_each(op->part, FromWhole{op->whole, slice_place(op)}, n);
}

void c_slice_add(const Slice *op)
{
  size_t n = part_size(op);
  if (n) add_each(op->part, FromWhole{op->whole, slice_place(op)}, n);
}

void c_unslice(const Unslice *op)
{
  size_t n = part_size(op);
  if (n) write_each(ToWhole{op->whole, slice_place(op)}, FromPart{op->part}, n);
}

void c_unslice_add(const Unslice *op)
{
  size_t n = part_size(op);
  if (n) add_each(ToWhole{op->whole, slice_place(op)}, FromPart{op->part}, n);
}

/* ---- y[o,i] = scale sum over s of x[o,s,i]; k counts o and i ---- */

struct ScaledSum {
  typedef real Value;
  Sum op;
  Divisor inner;
  __device__ real term(size_t k, size_t s) const
  {
    size_t o = quotient(k, inner);
    return op.x[k + (o * (op.size - 1) + s) * op.inner];
  }
  __device__ void store(size_t k, real v) const { op.y[k] = (real)op.scale * v; }
};

struct SumGradient { /* the same for every s */
  SumBackward op;
  Divisor row, inner; /* size inner, inner */
  __device__ real operator()(size_t i) const
  {
    size_t k = quotient(i, row) * op.forward.inner + remainder_of(i, inner);
    return (real)op.forward.scale * op.g[k];
  }
};

void c_sum(const Sum *op)
{
  size_t n = op->outer * op->inner;
  if (n) reduce(ScaledSum{*op, divisor(op->inner)}, n, op->size, op->inner == 1);
}

void c_sum_backward(const SumBackward *op)
{
  const Sum *f = &op->forward;
  size_t row = f->size * f->inner, n = f->outer * row;
  if (n && op->gx) add_each(op->gx, SumGradient{*op, divisor(row), divisor(f->inner)}, n);
}
