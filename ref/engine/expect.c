#include "expect.h"

#include "err.h"

#include <string.h>

void expect_same(const char *op, const char *name, const Tensor *t, const char *like, const Tensor *want)
{
  if (!tensor_same_shape(t, want))
    rwkv_fail("%s: %s is %s, expected %s like %s", op, name, tensor_shape(t), tensor_shape(want), like);
}

void expect_shape(const char *op, const char *name, const Tensor *t, int axes, const int *shape)
{
  if (t->axes != axes || memcmp(t->shape, shape, (size_t)axes * sizeof *shape))
    rwkv_fail("%s: %s is %s, expected %s", op, name, tensor_shape(t), shape_text(axes, shape));
}

void expect_btc(const char *op, const char *name, const Tensor *t)
{
  if (t->axes != 3 || t->n == 0) rwkv_fail("%s: %s is %s, expected [B,T,C], none of them 0", op, name, tensor_shape(t));
}

void expect_count(const char *op, const char *name, const Tensor *t, int count)
{
  if (t->n != (size_t)count) rwkv_fail("%s: %s is %s, expected %d numbers", op, name, tensor_shape(t), count);
}
