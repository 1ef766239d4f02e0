/* Normalising tape ops. */
#include "err.h"
#include "node.h"
#include "ops.h"

static void norm_backward(Node *nd)
{
  Tensor *x = nd->in[0], *weight = nd->in[1], *bias = nd->in[2];
  ops.norm_backward(node_grad(nd, x), node_grad(nd, weight), node_grad(nd, bias), node_flow(nd->out[0]),
                    nd->saved, x->data, weight->data, nd->size[0], nd->size[1], nd->size[2]);
}

Tensor *t_group_norm(Tape *tp, Tensor *x, int H, Tensor *weight, Tensor *bias, double eps)
{
  int C = x->axes ? x->shape[x->axes - 1] : 0;
  if (H < 1 || C < 1 || C % H) rwkv_fail("norm: %s cannot be split into %d heads", tensor_shape(x), H);
  if (weight->n != (size_t)C || bias->n != (size_t)C)
    rwkv_fail("norm: weight %s and bias %s must have the %d channels of x %s", tensor_shape(weight),
              tensor_shape(bias), C, tensor_shape(x));
  size_t rows = x->n / (size_t)C, heads = (size_t)H, N = (size_t)(C / H);
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  acc *stats = arena_alloc(&tp->arena, rows * heads * 2 * sizeof *stats);
  ops.norm(y->data, stats, x->data, weight->data, bias->data, eps, rows, heads, N);
  Node *nd = NODE(tp, norm_backward, 3, 1, x, weight, bias, y);
  if (nd) nd->saved = stats, nd->size[0] = rows, nd->size[1] = heads, nd->size[2] = N;
  return y;
}

Tensor *t_layer_norm(Tape *tp, Tensor *x, Tensor *weight, Tensor *bias, double eps)
{
  return t_group_norm(tp, x, 1, weight, bias, eps);
}

static void l2norm_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx)
    ops.l2norm_backward(gx, node_flow(nd->out[0]), nd->in[0]->data, nd->number[0], nd->size[0], nd->size[1]);
}

Tensor *t_l2norm(Tape *tp, Tensor *x, int H, double eps)
{
  int C = x->axes ? x->shape[x->axes - 1] : 0;
  if (H < 1 || C < 1 || C % H) rwkv_fail("l2norm: %s cannot be split into %d heads", tensor_shape(x), H);
  size_t N = (size_t)(C / H), groups = x->n / N;
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  ops.l2norm(y->data, x->data, eps, groups, N);
  Node *nd = NODE(tp, l2norm_backward, 1, 1, x, y);
  if (nd) nd->number[0] = eps, nd->size[0] = groups, nd->size[1] = N;
  return y;
}
