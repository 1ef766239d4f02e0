#include "k_bounds.h"

#include <math.h>

void k_bounds(const Bounds *op)
{
  size_t i = 0;
  while (i < op->n && isfinite(op->x[i]) && (acc)op->x[i] >= op->low && (acc)op->x[i] <= op->high) i++;
  op->found[0] = i < op->n ? (acc)i : -1;
  op->found[1] = i < op->n ? (acc)op->x[i] : 0;
}
