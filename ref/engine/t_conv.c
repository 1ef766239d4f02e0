/* Tape op of the short convolution. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "expect.h"
#include "node.h"

static void conv_backward(Node *nd)
{
  run_conv_backward(&(ConvBackward){.gx = node_grad(nd, nd->in[0]), .gcarry = node_grad(nd, nd->in[1]),
                                    .gw = node_grad(nd, nd->in[2]), .g = node_flow(nd->out[0]),
                                    .forward = *(const Conv *)nd->op});
}

Tensor *t_conv(Tape *tp, Tensor *x, Tensor *w, Tensor **carry)
{
  expect_btc("conv", "x", x);
  int B = x->shape[0], T = x->shape[1], C = x->shape[2], W = w->axes == 2 ? w->shape[1] : 0;
  if (w->axes != 2 || w->shape[0] != C || W < 2)
    rwkv_fail("conv: w is %s, expected [%d,W], W at least 2", tensor_shape(w), C);
  expect_shape("conv", "carry", *carry, 3, (int[]){B, W - 1, C});
  Tensor *y = tape_tensor(tp, 3, x->shape);
  Conv op = {.y = y->data, .x = x->data, .carry = (*carry)->data, .w = w->data,
             .B = (size_t)B, .T = (size_t)T, .C = (size_t)C, .W = (size_t)W};
  run_conv(&op);
  Node *nd = NODE(tp, conv_backward, 3, 1, x, *carry, w, y);
  NODE_SAVE(nd, op);
  Tensor *all = T < W - 1 ? t_concat(tp, (Tensor *[]){*carry, x}, 2, 1) : x;
  *carry = t_slice(tp, all, 1, all->shape[1] - (W - 1), W - 1);
  return y;
}
