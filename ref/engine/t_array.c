/* Tape ops on arrays: axes in another order, the largest along an axis, picking, softmax, products of
   matrices. */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

static int axis_of(const char *op, const Tensor *x, int axis)
{
  int a = axis < 0 ? axis + x->axes : axis;
  if (a < 0 || a >= x->axes) rwkv_fail("%s: %s has no axis %d", op, tensor_shape(x), axis);
  return a;
}

/* ---- permute ---- */

static void permute_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_permute_backward(&(PermuteBackward){gx, node_flow(nd->out[0]), *(const Permute *)nd->op});
}

Tensor *t_permute(Tape *tp, Tensor *x, const int *order)
{
  int shape[MAX_AXES] = {0};
  size_t step[MAX_AXES];
  bool used[MAX_AXES] = {false};
  Permute op = {.x = x->data, .n = {1, 1, 1, 1}};
  size_t n = 1;
  for (int d = x->axes - 1; d >= 0; n *= (size_t)x->shape[d--]) step[d] = n;
  for (int d = 0; d < x->axes; d++) {
    int from = axis_of("permute", x, order[d]);
    if (used[from]) rwkv_fail("permute: axis %d of %s is named twice", from + 1, tensor_shape(x));
    used[from] = true;
    shape[d] = x->shape[from];
    op.n[4 - x->axes + d] = (size_t)shape[d];
    op.step[4 - x->axes + d] = step[from];
  }
  Tensor *y = tape_tensor(tp, x->axes, shape);
  op.y = y->data;
  if (y->n) run_permute(&op);
  Node *nd = NODE(tp, permute_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

Tensor *t_transpose(Tape *tp, Tensor *x, int axis1, int axis2)
{
  int order[MAX_AXES] = {0, 1, 2, 3}, a = axis_of("transpose", x, axis1), b = axis_of("transpose", x, axis2);
  order[a] = b, order[b] = a;
  return t_permute(tp, x, order);
}

/* ---- max ---- */

static void max_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_max_backward(&(MaxBackward){gx, node_flow(nd->out[0]), *(const Max *)nd->op});
}

Tensor *t_max(Tape *tp, Tensor *x, int axis, bool keep_axis)
{
  int a = axis_of("max", x, axis), shape[MAX_AXES], axes = 0;
  size_t outer = 1, size = (size_t)x->shape[a], inner = 1;
  if (size == 0) rwkv_fail("max: axis %d of %s is empty", a + 1, tensor_shape(x));
  for (int d = 0; d < x->axes; d++) {
    if (d < a) outer *= (size_t)x->shape[d];
    if (d > a) inner *= (size_t)x->shape[d];
    if (d != a) shape[axes++] = x->shape[d];
    else if (keep_axis) shape[axes++] = 1;
  }
  Tensor *y = tape_tensor(tp, axes, shape);
  Max op = {y->data, node_numbers(tp, y->n, sizeof(int)), x->data, outer, size, inner};
  if (y->n) run_max(&op);
  Node *nd = NODE(tp, max_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

/* ---- gather ---- */

static void gather_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_gather_backward(&(GatherBackward){gx, node_flow(nd->out[0]), *(const Gather *)nd->op});
}

Tensor *t_gather(Tape *tp, Tensor *x, const int *index, int count)
{
  if (x->axes < 1 || count < 0) rwkv_fail("gather: %s has no last axis to pick %d from", tensor_shape(x), count);
  int n = x->shape[x->axes - 1], shape[MAX_AXES];
  size_t rows = shape_count(x->axes - 1, x->shape);
  for (size_t i = 0; i < rows * (size_t)count; i++)
    if (index[i] < 0 || index[i] >= n)
      rwkv_fail("gather: index %d at row %zu, place %zu, expected 0 to %d", index[i], i / (size_t)count + 1,
                i % (size_t)count + 1, n - 1);
  memcpy(shape, x->shape, sizeof shape);
  shape[x->axes - 1] = count;
  Tensor *y = tape_tensor(tp, x->axes, shape);
  Gather op = {y->data, x->data, index, rows, (size_t)n, (size_t)count};
  if (y->n) run_gather(&op);
  Node *nd = NODE(tp, gather_backward, 1, 1, x, y);
  node_linear(nd);
  if (nd) op.index = node_keep(tp, index, rows * (size_t)count * sizeof *index);
  NODE_SAVE(nd, op);
  return y;
}

/* ---- softmax ---- */

static void softmax_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_softmax_backward(&(SoftmaxBackward){gx, node_flow(nd->out[0]), *(const Softmax *)nd->op});
}

Tensor *t_softmax(Tape *tp, Tensor *x)
{
  int n = x->axes ? x->shape[x->axes - 1] : 0;
  if (n < 1) rwkv_fail("softmax: %s has nothing along its last axis", tensor_shape(x));
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  Softmax op = {y->data, x->data, x->n / (size_t)n, (size_t)n};
  run_softmax(&op);
  Node *nd = NODE(tp, softmax_backward, 1, 1, x, y);
  NODE_SAVE(nd, op);
  return y;
}

/* ---- products of matrices ---- */

static void bmm_backward(Node *nd)
{
  run_bmm_backward(
      &(BmmBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]), node_flow(nd->out[0]), *(const Bmm *)nd->op});
}

Tensor *t_bmm(Tape *tp, Tensor *a, Tensor *b)
{
  int ka = a->axes >= 2 ? a->shape[a->axes - 1] : -1, kb = b->axes >= 2 ? b->shape[b->axes - 2] : -2;
  const Tensor *many = a->axes > 2 ? a : b; /* which says how many: the other has as many, or one */
  bool fits = ka == kb;
  if (fits && a->axes > 2 && b->axes > 2)
    fits = a->axes == b->axes && memcmp(a->shape, b->shape, (size_t)(a->axes - 2) * sizeof(int)) == 0;
  if (!fits)
    rwkv_fail("bmm: a %s and b %s are not [..,M,K] and [..,K,N] with the same leading axes (or none)", tensor_shape(a),
              tensor_shape(b));
  int shape[MAX_AXES];
  memcpy(shape, many->shape, sizeof shape);
  shape[many->axes - 2] = a->shape[a->axes - 2];
  shape[many->axes - 1] = b->shape[b->axes - 1];
  Tensor *y = tape_tensor(tp, many->axes, shape);
  /* clang-format off */
  Bmm op = {.y = y->data, .a = a->data, .b = b->data, .batch = shape_count(many->axes - 2, shape),
            .M = (size_t)a->shape[a->axes - 2], .K = (size_t)ka, .N = (size_t)b->shape[b->axes - 1]};
  /* clang-format on */
  op.a_step = a->axes > 2 ? op.M * op.K : 0;
  op.b_step = b->axes > 2 ? op.K * op.N : 0;
  if (y->n) run_bmm(&op);
  Node *nd = NODE(tp, bmm_backward, 2, 1, a, b, y);
  NODE_SAVE(nd, op);
  return y;
}
