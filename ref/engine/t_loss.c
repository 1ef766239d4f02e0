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

/* The op on checked arguments; its loss is a new tensor. */
static CrossEntropy cross_entropy(Tape *tp, const Tensor *logits, const int *target, Tensor **loss)
{
  if (logits->axes < 1 || logits->shape[logits->axes - 1] < 1)
    rwkv_fail("cross_entropy: logits are [..,V], not %s", tensor_shape(logits));
  int V = logits->shape[logits->axes - 1];
  size_t rows = logits->n / (size_t)V;
  for (size_t i = 0; i < rows; i++)
    if (target[i] >= V) rwkv_fail("cross_entropy: target %d at row %zu, expected at most %d", target[i], i + 1, V - 1);
  *loss = tape_tensor(tp, 0, NULL);
  acc *log_sum = node_numbers(tp, rows, sizeof *log_sum);
  CrossEntropy op = {(*loss)->data, log_sum, logits->data, target, rows, (size_t)V};
  run_cross_entropy(&op);
  return op;
}

Tensor *t_cross_entropy(Tape *tp, Tensor *logits, const int *target, double l2wrap)
{
  Tensor *loss;
  Loss saved = {cross_entropy(tp, logits, target, &loss), l2wrap};
  Node *nd = NODE(tp, cross_entropy_backward, 1, 1, logits, loss);
  if (nd) saved.op.target = node_keep(tp, target, saved.op.rows * sizeof *target);
  NODE_SAVE(nd, saved);
  return loss;
}

void t_log_likelihood(Tape *tp, const Tensor *logits, const int *target, double *log_p)
{
  Tensor *loss;
  CrossEntropy op = cross_entropy(tp, logits, target, &loss);
  backend_read(log_p, op.log_sum, op.rows * sizeof *log_p);
  for (size_t i = 0; i < op.rows; i++) {
    if (target[i] < 0) rwkv_fail("log_likelihood: row %zu has no target", i + 1);
    real x;
    backend_read(&x, op.logits + i * op.V + target[i], sizeof x);
    log_p[i] = (double)x - log_p[i];
  }
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
