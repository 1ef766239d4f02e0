#include "k_bounds.h"

#include <math.h>

static bool is_right(const Bounds *op, acc x)
{
  if (isnan(x)) return op->rule & ALSO_NAN;
  if (!(x >= op->low && x <= op->high)) return false;
  if (isinf(x) && !(op->rule & ALSO_INFINITE)) return false;
  return !(op->rule & ONLY_ENDS) || x == op->low || x == op->high;
}

/* Nearly always all are right, and finite: without a call each. */
static bool is_inside(const Bounds *op, acc x) { return x > op->low && x < op->high && !(op->rule & ONLY_ENDS); }

void k_bounds(const Bounds *op)
{
  size_t i = 0;
  while (i < op->n && (is_inside(op, (acc)op->x[i]) || is_right(op, (acc)op->x[i]))) i++;
  op->found[0] = i < op->n ? (acc)i : -1;
  op->found[1] = i < op->n ? (acc)op->x[i] : 0;
}
