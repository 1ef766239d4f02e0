/* Tape op of the token shift. */
#include "backend.h"
#include "err.h"
#include "node.h"

static void shift_backward(Node *nd)
{
  run_shift_backward(&(ShiftBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]), node_flow(nd->out[0]),
                                      *(const Shift *)nd->op});
}

Tensor *t_shift(Tape *tp, Tensor *x, Tensor **carry)
{
  if (x->axes != 3 || x->n == 0) rwkv_fail("shift: x is %s, expected [B,T,C], none of them 0", tensor_shape(x));
  int B = x->shape[0], T = x->shape[1], C = x->shape[2];
  if ((*carry)->axes != 2 || (*carry)->shape[0] != B || (*carry)->shape[1] != C)
    rwkv_fail("shift: carry is %s, expected [%d,%d]", tensor_shape(*carry), B, C);
  Tensor *prev = tape_tensor(tp, 3, x->shape);
  Shift op = {prev->data, x->data, (*carry)->data, (size_t)B, (size_t)T, (size_t)C};
  run_shift(&op);
  Node *nd = NODE(tp, shift_backward, 2, 1, x, *carry, prev);
  node_linear(nd);
  NODE_SAVE(nd, op);
  *carry = t_reshape(tp, t_slice(tp, x, 1, T - 1, 1), 2, (int[]){B, C});
  return prev;
}
