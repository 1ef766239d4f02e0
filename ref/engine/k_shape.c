/* Slices, sums and running sums along one axis; a shape is seen as [outer, size, inner] around that axis. */
#include "kernels.h"

void k_slice(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      part[o * count * inner + i] = whole[(o * size + from) * inner + i];
}

void k_slice_add(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from,
                 size_t count)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      part[o * count * inner + i] += whole[(o * size + from) * inner + i];
}

void k_unslice(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from, size_t count)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      whole[(o * size + from) * inner + i] = part[o * count * inner + i];
}

void k_unslice_add(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from,
                   size_t count)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < count * inner; i++)
      whole[(o * size + from) * inner + i] += part[o * count * inner + i];
}

void k_sum(real *y, const real *x, acc scale, size_t outer, size_t size, size_t inner)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = 0; s < size; s++) sum += (acc)x[(o * size + s) * inner + i];
      y[o * inner + i] = (real)(scale * sum);
    }
}

void k_sum_backward(real *gx, const real *g, acc scale, size_t outer, size_t size, size_t inner)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t s = 0; s < size; s++)
      for (size_t i = 0; i < inner; i++)
        gx[(o * size + s) * inner + i] += (real)(scale * (acc)g[o * inner + i]);
}

void k_cumsum(real *y, const real *x, size_t outer, size_t size, size_t inner)
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = 0; s < size; s++) {
        sum += (acc)x[(o * size + s) * inner + i];
        y[(o * size + s) * inner + i] = (real)sum;
      }
    }
}

void k_cumsum_backward(real *gx, const real *g, size_t outer, size_t size, size_t inner) /* sums from the end */
{
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < inner; i++) {
      acc sum = 0;
      for (size_t s = size; s-- > 0;) {
        sum += (acc)g[(o * size + s) * inner + i];
        gx[(o * size + s) * inner + i] += (real)sum;
      }
    }
}
