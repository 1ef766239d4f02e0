/* Tape op of the selective scan. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "expect.h"
#include "node.h"

static void selective_scan_backward(Node *nd)
{
  Tensor **in = nd->in, **out = nd->out;
  run_selective_scan_backward(&(SelectiveScanBackward){
      .gx = node_grad(nd, in[0]), .gdelta = node_grad(nd, in[1]), .gA = node_grad(nd, in[2]),
      .gB = node_grad(nd, in[3]), .gC = node_grad(nd, in[4]), .gh0 = node_grad(nd, in[5]),
      .gy = node_flow(out[0]), .gh1 = node_flow(out[1]), .forward = *(const SelectiveScan *)nd->op});
}

Tensor *t_selective_scan(Tape *tp, Tensor *x, Tensor *delta, Tensor *A, Tensor *Bm, Tensor *Cm, Tensor **h)
{
  expect_btc("selective_scan", "x", x);
  expect_same("selective_scan", "delta", delta, "x", x);
  int B = x->shape[0], T = x->shape[1], D = x->shape[2], N = A->axes == 2 ? A->shape[1] : 0;
  if (A->axes != 2 || A->shape[0] != D || N < 1)
    rwkv_fail("selective_scan: A is %s, expected [%d,N], N at least 1", tensor_shape(A), D);
  expect_shape("selective_scan", "B", Bm, 3, (int[]){B, T, N});
  expect_shape("selective_scan", "C", Cm, 3, (int[]){B, T, N});
  expect_shape("selective_scan", "state h", *h, 3, (int[]){B, D, N});
  Tensor *y = tape_tensor(tp, 3, x->shape), *h1 = tape_tensor(tp, 3, (*h)->shape);
  SelectiveScan op = {.y = y->data, .h1 = h1->data, .x = x->data, .delta = delta->data, .A = A->data, .Bm = Bm->data,
                      .Cm = Cm->data, .h0 = (*h)->data, .B = (size_t)B, .T = (size_t)T, .D = (size_t)D, .N = (size_t)N};
  Node *nd = NODE(tp, selective_scan_backward, 6, 2, x, delta, A, Bm, Cm, *h, y, h1);
  if (nd) op.segments = node_numbers(tp, k_segments(op.T) * h1->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_selective_scan(&op);
  *h = h1;
  return y;
}
