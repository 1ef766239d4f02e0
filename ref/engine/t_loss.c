/* The loss, and the largest entry of a row. */
#include "backend.h"
#include "err.h"
#include "node.h"

typedef struct {
  CrossEntropy op;
  acc l2wrap;
} Loss;

static void cross_entropy_backward(Node *nd)
{
  const Loss *loss = nd->op;
  real *g = node_grad(nd, nd->in[0]);
  if (g) run_cross_entropy_backward(&(CrossEntropyBackward){g, node_flow(nd->out[0]), loss->l2wrap, loss->op});
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
  acc *log_sum = node_numbers(tp, rows, sizeof *log_sum);
  Loss saved = {{loss->data, log_sum, logits->data, target, rows, (size_t)V}, l2wrap};
  run_cross_entropy(&saved.op);
  Node *nd = NODE(tp, cross_entropy_backward, 1, 1, logits, loss);
  if (nd) saved.op.target = node_keep(tp, target, rows * sizeof *target);
  NODE_SAVE(nd, saved);
  return loss;
}

void t_argmax(Tape *tp, const Tensor *x, int *best)
{
  size_t n = x->axes ? (size_t)x->shape[x->axes - 1] : 0;
  if (n < 1) rwkv_fail("argmax: %s has nothing along its last axis", tensor_shape(x));
  size_t rows = x->n / n;
  int *at = node_numbers(tp, rows, sizeof *at);
  run_argmax(&(Argmax){at, x->data, rows, n});
  backend_read(best, at, rows * sizeof *best);
}
