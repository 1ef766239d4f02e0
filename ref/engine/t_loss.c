/* The loss, and the largest entry of a row. */
#include "backend.h"
#include "err.h"
#include "node.h"

static void cross_entropy_backward(Node *nd)
{
  CrossEntropyBackward op = *(const CrossEntropyBackward *)nd->op;
  op.glogits = node_grad(nd, nd->in[0]), op.g = node_flow(nd->out[0]);
  if (op.glogits) run_cross_entropy_backward(&op);
}

static void check_targets(const char *op, const int *target, size_t rows, int V)
{
  for (size_t i = 0; i < rows; i++)
    if (target[i] >= V) rwkv_fail("%s: target %d at row %zu, expected at most %d", op, target[i], i + 1, V - 1);
}

/* The op on checked arguments; its loss is a new tensor. */
static CrossEntropy cross_entropy(Tape *tp, const Tensor *logits, const int *target, Tensor **loss)
{
  if (logits->axes < 1 || logits->shape[logits->axes - 1] < 1)
    rwkv_fail("cross_entropy: logits are [..,V], not %s", tensor_shape(logits));
  int V = logits->shape[logits->axes - 1];
  size_t rows = logits->n / (size_t)V;
  check_targets("cross_entropy", target, rows, V);
  *loss = tape_tensor(tp, 0, NULL);
  acc *log_sum = node_numbers(tp, rows, sizeof *log_sum);
  CrossEntropy op = {(*loss)->data, log_sum, logits->data, target, rows, (size_t)V};
  run_cross_entropy(&op);
  return op;
}

Tensor *t_cross_entropy(Tape *tp, Tensor *logits, const int *target, double l2wrap)
{
  Tensor *loss;
  CrossEntropyBackward saved = {.l2wrap = l2wrap, .forward = cross_entropy(tp, logits, target, &loss)};
  Node *nd = NODE(tp, cross_entropy_backward, 1, 1, logits, loss);
  if (nd) saved.forward.target = node_keep(tp, target, saved.forward.rows * sizeof *target);
  NODE_SAVE(nd, saved);
  return loss;
}

static void head_loss_backward(Node *nd)
{
  HeadLossBackward op = *(const HeadLossBackward *)nd->op;
  op.gx = node_grad(nd, nd->in[0]), op.gw = node_grad(nd, nd->in[1]), op.g = node_flow(nd->out[0]);
  run_head_loss_backward(&op);
}

/* Where a gradient will be asked for, room for it. */
static real *gradient_room(Tape *tp, const Tensor *t)
{
  return tp->recording && t->needs_grad ? node_numbers(tp, t->n, sizeof(real)) : NULL;
}

Tensor *t_head_loss(Tape *tp, Tensor *x, Tensor *w, const int *target, double l2wrap, int *best)
{
  if (w->axes != 2 || w->packed.bits || w->shape[0] < 1 || x->axes < 1 || x->shape[x->axes - 1] != w->shape[1])
    rwkv_fail("head_loss: x %s does not fit a head %s [V,C]", tensor_shape(x), tensor_shape(w));
  size_t C = (size_t)w->shape[1], V = (size_t)w->shape[0], rows = shape_count(x->axes - 1, x->shape);
  check_targets("head_loss", target, rows, w->shape[0]);
  Tensor *loss = tape_tensor(tp, 0, NULL);
  HeadLoss op = {.loss = loss->data,
                 .x = x->data,
                 .w = w->data,
                 .target = target,
                 .rows = rows,
                 .C = C,
                 .V = V,
                 .factors = backend_factors()};
  op.best = node_numbers(tp, rows, sizeof *op.best), op.largest = node_numbers(tp, rows, sizeof *op.largest);
  op.gx = gradient_room(tp, x), op.gw = gradient_room(tp, w);
  run_head_loss(&op);
  if (best) backend_read(best, op.best, rows * sizeof *best);
  HeadLossBackward saved = {.l2wrap = l2wrap, .forward = op};
  Node *nd = NODE(tp, head_loss_backward, 2, 1, x, w, loss);
  if (nd) saved.forward.target = node_keep(tp, target, rows * sizeof *target);
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
