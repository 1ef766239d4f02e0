/* Tape ops that move numbers about: reshape, slice, concat, sums. */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <limits.h>
#include <string.h>

/* A shape seen around one axis: [outer, size, inner]. Negative axes count from the end. */
typedef struct {
  int axis;
  size_t outer, size, inner;
} Around;

static Around around(const char *op, const Tensor *x, int axis)
{
  Around a = {axis < 0 ? axis + x->axes : axis, 1, 1, 1};
  if (a.axis < 0 || a.axis >= x->axes) rwkv_fail("%s: %s has no axis %d", op, tensor_shape(x), axis);
  for (int d = 0; d < x->axes; d++) *(d < a.axis ? &a.outer : d == a.axis ? &a.size : &a.inner) *= (size_t)x->shape[d];
  return a;
}

Tensor *t_reshape(Tape *tp, Tensor *x, int axes, const int *shape)
{
  int full[MAX_AXES] = {0}, free_axis = -1;
  if (axes < 0 || axes > MAX_AXES) rwkv_fail("reshape: a tensor has 0 to %d axes, not %d", MAX_AXES, axes);
  if (axes) memcpy(full, shape, (size_t)axes * sizeof *full);
  for (int d = 0; d < axes; d++)
    if (full[d] == -1) {
      if (free_axis >= 0) rwkv_fail("reshape: only one size may be left open");
      free_axis = d;
      full[d] = 1;
    }
  size_t n = shape_count(axes, full);
  if (free_axis >= 0 && n > 0 && x->n % n == 0) full[free_axis] = (int)(x->n / n);
  if (shape_count(axes, full) != x->n)
    rwkv_fail("reshape: %s has %zu elements, %s does not", tensor_shape(x), x->n, shape_text(axes, shape));
  Tensor *y = arena_alloc(&tp->arena, sizeof *y);
  *y = *x;
  y->grad = NULL;
  y->heir = NULL;
  y->base = x;
  y->axes = axes;
  memcpy(y->shape, full, sizeof full);
  return y;
}

static void slice_backward(Node *nd)
{
  const Slice *op = nd->op;
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_unslice_add(&(Unslice){gx, node_flow(nd->out[0]), op->outer, op->size, op->inner, op->from, op->count});
}

Tensor *t_slice(Tape *tp, Tensor *x, int axis, int from, int count)
{
  Around a = around("slice", x, axis);
  if (from < 0 || count < 0 || from > x->shape[a.axis] - count)
    rwkv_fail("slice: %d elements from %d are not within axis %d of %s", count, from, axis, tensor_shape(x));
  int shape[MAX_AXES];
  memcpy(shape, x->shape, sizeof shape);
  shape[a.axis] = count;
  Tensor *y = tape_tensor(tp, x->axes, shape);
  Slice op = {y->data, x->data, a.outer, a.size, a.inner, (size_t)from, (size_t)count};
  if (y->n) run_slice(&op);
  Node *nd = NODE(tp, slice_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

static void concat_backward(Node *nd) /* one node for each part */
{
  const Unslice *op = nd->op;
  real *gpart = node_grad(nd, nd->in[0]);
  if (gpart) run_slice_add(&(Slice){gpart, node_flow(nd->out[0]), op->outer, op->size, op->inner, op->from, op->count});
}

Tensor *t_concat(Tape *tp, Tensor **parts, int count, int axis)
{
  if (count < 1) rwkv_fail("concat: nothing to put together");
  Around a = around("concat", parts[0], axis);
  int shape[MAX_AXES];
  memcpy(shape, parts[0]->shape, sizeof shape);
  for (int i = 1; i < count; i++) {
    if (parts[i]->axes != parts[0]->axes)
      rwkv_fail("concat: %s and %s have different numbers of axes", tensor_shape(parts[0]), tensor_shape(parts[i]));
    for (int d = 0; d < parts[0]->axes; d++)
      if (d != a.axis && parts[i]->shape[d] != shape[d])
        rwkv_fail("concat: %s and %s differ outside axis %d", tensor_shape(parts[0]), tensor_shape(parts[i]),
                  a.axis + 1);
    if (parts[i]->shape[a.axis] > INT_MAX - shape[a.axis]) rwkv_fail("concat: axis %d becomes too long", a.axis + 1);
    shape[a.axis] += parts[i]->shape[a.axis];
  }
  Tensor *y = tape_tensor(tp, parts[0]->axes, shape);
  size_t from = 0, size = (size_t)shape[a.axis];
  for (int i = 0; i < count; i++) {
    size_t part = (size_t)parts[i]->shape[a.axis];
    Unslice op = {y->data, parts[i]->data, a.outer, size, a.inner, from, part};
    if (parts[i]->n) run_unslice(&op);
    Node *nd = NODE(tp, concat_backward, 1, 1, parts[i], y);
    node_linear(nd);
    NODE_SAVE(nd, op);
    from += part;
  }
  return y;
}

Tensor *t_append(Tape *tp, Tensor *history, Tensor *x)
{
  return history->n ? t_concat(tp, (Tensor *[]){history, x}, 2, 1) : x;
}

static void sum_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_sum_backward(&(SumBackward){gx, node_flow(nd->out[0]), *(const Sum *)nd->op});
}

static Tensor *sum(Tape *tp, Tensor *x, double scale, Around a, int axes, const int *shape)
{
  Tensor *y = tape_tensor(tp, axes, shape);
  Sum op = {y->data, x->data, scale, a.outer, a.size, a.inner};
  if (y->n) run_sum(&op);
  Node *nd = NODE(tp, sum_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

static Tensor *sum_axis(Tape *tp, Tensor *x, Around a, double scale, bool keep)
{
  int shape[MAX_AXES], axes = 0;
  for (int d = 0; d < x->axes; d++) {
    if (d != a.axis) shape[axes++] = x->shape[d];
    else if (keep) shape[axes++] = 1;
  }
  return sum(tp, x, scale, a, axes, shape);
}

Tensor *t_sum(Tape *tp, Tensor *x, int axis, bool keep) { return sum_axis(tp, x, around("sum", x, axis), 1, keep); }

Tensor *t_mean(Tape *tp, Tensor *x, int axis, bool keep)
{
  Around a = around("mean", x, axis);
  return sum_axis(tp, x, a, 1.0 / (double)a.size, keep);
}

Tensor *t_sum_all(Tape *tp, Tensor *x) { return sum(tp, x, 1, (Around){0, 1, x->n, 1}, 0, NULL); }

static void cumsum_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_cumsum_backward(&(CumsumBackward){gx, node_flow(nd->out[0]), *(const Cumsum *)nd->op});
}

Tensor *t_cumsum(Tape *tp, Tensor *x, int axis)
{
  Around a = around("cumsum", x, axis);
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  Cumsum op = {y->data, x->data, a.outer, a.size, a.inner};
  if (y->n) run_cumsum(&op);
  Node *nd = NODE(tp, cumsum_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}
