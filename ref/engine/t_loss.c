/* The loss, and the largest entry of a row. */
#include "err.h"
#include "node.h"
#include "ops.h"

static void cross_entropy_backward(Node *nd)
{
  Tensor *logits = nd->in[0];
  ops.settle(); /* the gradient that flows in is read here */
  real *g = node_grad(nd, logits);
  if (g)
    ops.cross_entropy_backward(g, node_flow(nd->out[0])[0], nd->saved, logits->data, nd->index, nd->number[0],
                               nd->size[0], nd->size[1]);
}

Tensor *t_cross_entropy(Tape *tp, Tensor *logits, const int *target, double l2wrap)
{
  if (logits->axes < 1 || logits->shape[logits->axes - 1] < 1)
    rwkv_fail("cross_entropy: logits are [..,V], not %s", tensor_shape(logits));
  int V = logits->shape[logits->axes - 1];
  size_t rows = logits->n / (size_t)V;
  for (size_t i = 0; i < rows; i++)
    if (target[i] >= V) rwkv_fail("cross_entropy: target %d at row %zu is not below V=%d", target[i], i, V);
  Tensor *loss = tape_tensor(tp, 0, NULL);
  acc *log_sum = arena_alloc(&tp->arena, rows * sizeof *log_sum);
  ops.cross_entropy(loss->data, log_sum, logits->data, target, rows, (size_t)V);
  Node *nd = NODE(tp, cross_entropy_backward, 1, 1, logits, loss);
  if (nd) {
    nd->index = node_keep(tp, target, rows * sizeof *target);
    nd->saved = log_sum;
    nd->number[0] = l2wrap;
    nd->size[0] = rows, nd->size[1] = (size_t)V;
  }
  return loss;
}

void t_argmax(Tape *tp, const Tensor *x, int *best)
{
  size_t n = x->axes ? (size_t)x->shape[x->axes - 1] : 0;
  if (n < 1) rwkv_fail("argmax: %s has nothing along its last axis", tensor_shape(x));
  (void)tp;
  ops.argmax(best, x->data, x->n / n, n);
}
