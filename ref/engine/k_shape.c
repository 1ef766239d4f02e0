/* Slices, sums and running sums along one axis; a shape is seen as [outer, size, inner] around that axis. */
#include "k_shape.h"

void k_slice(const Slice *op)
{
  size_t inner = op->inner, count = op->count;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      op->part[o * count * inner + i] = op->whole[(o * op->size + op->from) * inner + i];
}

void k_slice_add(const Slice *op)
{
  size_t inner = op->inner, count = op->count;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      op->part[o * count * inner + i] += op->whole[(o * op->size + op->from) * inner + i];
}

void k_unslice(const Unslice *op)
{
  size_t inner = op->inner, count = op->count;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      op->whole[(o * op->size + op->from) * inner + i] = op->part[o * count * inner + i];
}

void k_unslice_add(const Unslice *op)
{
  size_t inner = op->inner, count = op->count;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      op->whole[(o * op->size + op->from) * inner + i] += op->part[o * count * inner + i];
}

void k_sum(const Sum *op)
{
  size_t size = op->size, inner = op->inner;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = 0; s < size; s++) sum += (acc)op->x[(o * size + s) * inner + i];
      op->y[o * inner + i] = (real)(op->scale * sum);
    }
}

void k_sum_backward(const SumBackward *op)
{
  const Sum *f = &op->forward;
  size_t size = f->size, inner = f->inner;
  for (size_t o = 0; o < f->outer; o++)
    for (size_t s = 0; s < size; s++)
      for (size_t i = 0; i < inner; i++)
        op->gx[(o * size + s) * inner + i] += (real)(f->scale * (acc)op->g[o * inner + i]);
}

void k_cumsum(const Cumsum *op)
{
  size_t size = op->size, inner = op->inner;
  for (size_t o = 0; o < op->outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = 0; s < size; s++) {
        sum += (acc)op->x[(o * size + s) * inner + i];
        op->y[(o * size + s) * inner + i] = (real)sum;
      }
    }
}

void k_cumsum_backward(const CumsumBackward *op)
{
  const Cumsum *f = &op->forward;
  size_t size = f->size, inner = f->inner;
  for (size_t o = 0; o < f->outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = size; s-- > 0;) {
        sum += (acc)op->g[(o * size + s) * inner + i];
        op->gx[(o * size + s) * inner + i] += (real)sum;
      }
    }
}
