/* Tape op of the token shift. */
#include "err.h"
#include "node.h"
#include "ops.h"

static void shift_backward(Node *nd)
{
  Tensor *x = nd->in[0], *carry = nd->in[1];
  ops.shift_backward(node_grad(nd, x), node_grad(nd, carry), node_flow(nd->out[0]), nd->size[0], nd->size[1],
                     nd->size[2]);
}

Tensor *t_shift(Tape *tp, Tensor *x, Tensor **carry)
{
  if (x->axes != 3 || x->n == 0) rwkv_fail("shift: x is %s, expected [B,T,C], none of them 0", tensor_shape(x));
  int B = x->shape[0], T = x->shape[1], C = x->shape[2];
  if ((*carry)->axes != 2 || (*carry)->shape[0] != B || (*carry)->shape[1] != C)
    rwkv_fail("shift: carry is %s, expected [%d,%d]", tensor_shape(*carry), B, C);
  Tensor *prev = tape_tensor(tp, 3, x->shape);
  ops.shift(prev->data, x->data, (*carry)->data, (size_t)B, (size_t)T, (size_t)C);
  Node *nd = NODE(tp, shift_backward, 2, 1, x, *carry, prev);
  if (nd) nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)C;
  *carry = t_reshape(tp, t_slice(tp, x, 1, T - 1, 1), 2, (int[]){B, C});
  return prev;
}
