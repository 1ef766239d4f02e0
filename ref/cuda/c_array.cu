/* What one does with arrays: the largest along an axis, picking, axes in another order. Softmax stands in
   c_array_softmax.cu, products of matrices with the linear maps. */
#include "each.h"
#include "reduce.h"
#include "walk.h"

/* ---- the largest over the middle axis of [outer,size,inner]; k counts outer and inner ---- */

struct LargestAlong {
  typedef Largest Value;
  Max op;
  Divisor inner;
  __device__ Largest term(size_t k, size_t s) const
  {
    size_t o = quotient(k, inner);
    return {op.x[k + (o * (op.size - 1) + s) * op.inner], (int)s};
  }
  __device__ void store(size_t k, Largest v) const { op.y[k] = v.x, op.at[k] = v.at; }
};

/* Each k adds to one number of gx, and no two to the same. */
struct FromLargest {
  const real *g;
  __device__ real operator()(size_t k) const { return g[k]; }
};

struct ToLargest {
  MaxBackward op;
  Divisor inner;
  __device__ real *operator()(size_t k) const
  {
    const Max *f = &op.forward;
    size_t o = quotient(k, inner);
    return op.gx + k + (o * (f->size - 1) + (size_t)f->at[k]) * f->inner;
  }
};

void c_max(const Max *op)
{
  size_t n = op->outer * op->inner;
  if (n && op->size) reduce(LargestAlong{*op, divisor(op->inner)}, n, op->size, op->inner == 1);
}

void c_max_backward(const MaxBackward *op)
{
  size_t n = op->forward.outer * op->forward.inner;
  if (n && op->gx) add_each(ToLargest{*op, divisor(op->forward.inner)}, FromLargest{op->g}, n);
}

/* ---- y[r,c] = x[r,index[r,c]] ---- */

struct Picked {
  const real *x;
  const int *index; /* the device's */
  Divisor count;
  size_t n;
  __device__ real operator()(size_t i) const { return x[quotient(i, count) * n + (size_t)index[i]]; }
};

void c_gather(const Gather *op)
{
  size_t n = op->rows * op->count;
  if (n) write_each(op->y, Picked{op->x, device_index(op->index, n), divisor(op->count), op->n}, n);
}

/* A thread for each pick. The first one of a number of x in its row adds what flows to all picks of it; the others have
   nothing to do. */
KERNEL gather_backward(GatherBackward op, const int *index, Divisor count, size_t picks)
{
  EACH(i, picks) {
    size_t row = quotient(i, count), last = (row + 1) * count.by, earlier = row * count.by;
    int picked = index[i];
    while (earlier < i && index[earlier] != picked) earlier++;
    if (earlier < i) continue;
    real sum = 0;
    for (size_t j = i; j < last; j++)
      if (index[j] == picked) sum += op.g[j];
    op.gx[row * op.forward.n + (size_t)picked] += sum;
  }
}

void c_gather_backward(const GatherBackward *op)
{
  const Gather *f = &op->forward;
  size_t picks = f->rows * f->count;
  if (!picks || !op->gx) return;
  LAUNCH(gather_backward, BLOCKS_FOR(picks), BLOCK, 0, *op, device_index(f->index, picks), divisor(f->count), picks);
}
