/* Normalising tape ops. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "node.h"

static void norm_backward(Node *nd)
{
  run_norm_backward(&(NormBackward){
      .gx = node_grad(nd, nd->in[0]), .gweight = node_grad(nd, nd->in[1]), .gbias = node_grad(nd, nd->in[2]),
      .g = node_flow(nd->out[0]), .forward = *(const Norm *)nd->op});
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
  Norm op = {.y = y->data, .stats = node_numbers(tp, rows * heads * 2, sizeof(acc)), .x = x->data,
             .weight = weight->data, .bias = bias->data, .eps = eps, .rows = rows, .H = heads, .N = N};
  run_norm(&op);
  Node *nd = NODE(tp, norm_backward, 3, 1, x, weight, bias, y);
  NODE_SAVE(nd, op);
  return y;
}

Tensor *t_layer_norm(Tape *tp, Tensor *x, Tensor *weight, Tensor *bias, double eps)
{
  return t_group_norm(tp, x, 1, weight, bias, eps);
}

static void l2norm_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_l2norm_backward(&(L2NormBackward){gx, node_flow(nd->out[0]), *(const L2Norm *)nd->op});
}

Tensor *t_l2norm(Tape *tp, Tensor *x, int H, double eps)
{
  int C = x->axes ? x->shape[x->axes - 1] : 0;
  if (H < 1 || C < 1 || C % H) rwkv_fail("l2norm: %s cannot be split into %d heads", tensor_shape(x), H);
  size_t N = (size_t)(C / H), groups = x->n / N;
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  L2Norm op = {y->data, x->data, eps, groups, N};
  run_l2norm(&op);
  Node *nd = NODE(tp, l2norm_backward, 1, 1, x, y);
  NODE_SAVE(nd, op);
  return y;
}
