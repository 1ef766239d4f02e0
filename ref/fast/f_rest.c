/* Ops that show in no profile: the reference, once what waits has run. */
#include "f_inside.h"

void f_compare(real *y, const real *a, const real *b, const Broadcast *s, CompareKind kind)
{
  fast_settle();
  k_compare(y, a, b, s, kind);
}

void f_where(real *y, const real *mask, const real *a, const real *b, size_t n)
{
  fast_settle();
  k_where(y, mask, a, b, n);
}

void f_where_backward(real *ga, real *gb, const real *g, const real *mask, size_t n)
{
  fast_settle();
  k_where_backward(ga, gb, g, mask, n);
}

void f_cumsum(real *y, const real *x, size_t outer, size_t size, size_t inner)
{
  fast_settle();
  k_cumsum(y, x, outer, size, inner);
}

void f_cumsum_backward(real *gx, const real *g, size_t outer, size_t size, size_t inner)
{
  fast_settle();
  k_cumsum_backward(gx, g, outer, size, inner);
}

void f_permute(real *y, const real *x, const Strides *s)
{
  fast_settle();
  k_permute(y, x, s);
}

void f_permute_backward(real *gx, const real *g, const Strides *s)
{
  fast_settle();
  k_permute_backward(gx, g, s);
}

void f_max(real *y, int *at, const real *x, size_t outer, size_t size, size_t inner)
{
  fast_settle();
  k_max(y, at, x, outer, size, inner);
}

void f_max_backward(real *gx, const real *g, const int *at, size_t outer, size_t size, size_t inner)
{
  fast_settle();
  k_max_backward(gx, g, at, outer, size, inner);
}

void f_gather(real *y, const real *x, const int *index, size_t rows, size_t n, size_t count)
{
  fast_settle();
  k_gather(y, x, index, rows, n, count);
}

void f_gather_backward(real *gx, const real *g, const int *index, size_t rows, size_t n, size_t count)
{
  fast_settle();
  k_gather_backward(gx, g, index, rows, n, count);
}

void f_softmax(real *y, const real *x, size_t rows, size_t n)
{
  fast_settle();
  k_softmax(y, x, rows, n);
}

void f_softmax_backward(real *gx, const real *g, const real *y, size_t rows, size_t n)
{
  fast_settle();
  k_softmax_backward(gx, g, y, rows, n);
}
