/* Tape op of softmax attention. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

static void attention_backward(Node *nd)
{
  run_attention_backward(&(AttentionBackward){
      .gq = node_grad(nd, nd->in[0]), .gk = node_grad(nd, nd->in[1]), .gv = node_grad(nd, nd->in[2]),
      .g = node_flow(nd->out[0]), .forward = *(const Attention *)nd->op});
}

/* How many positions a history [B,before,C] holds; it may be empty. */
static int history_length(const char *name, const Tensor *history, const Tensor *x)
{
  if (!history->n) return 0;
  if (history->axes != 3 || history->shape[0] != x->shape[0] || history->shape[2] != x->shape[2])
    rwkv_fail("attention: %s are %s, expected [%d,before,%d]", name, tensor_shape(history), x->shape[0], x->shape[2]);
  return history->shape[1];
}

Tensor *t_attention(Tape *tp, Tensor *q, Tensor *k, Tensor *v, int H, Tensor **keys, Tensor **values)
{
  if (q->axes != 3 || !q->n || !tensor_same_shape(q, k) || !tensor_same_shape(q, v))
    rwkv_fail("attention: q %s, k %s and v %s must all be [B,T,C], none of them 0", tensor_shape(q), tensor_shape(k),
              tensor_shape(v));
  int B = q->shape[0], T = q->shape[1], C = q->shape[2];
  if (H < 1 || C % H) rwkv_fail("attention: q %s cannot be split into %d heads", tensor_shape(q), H);
  if (history_length("keys", *keys, q) != history_length("values", *values, q))
    rwkv_fail("attention: keys %s and values %s hold different numbers of positions", tensor_shape(*keys),
              tensor_shape(*values));
  k = t_append(tp, *keys, k), v = t_append(tp, *values, v);
  Tensor *y = tape_tensor(tp, 3, q->shape);
  Attention op = {.y = y->data, .q = q->data, .k = k->data, .v = v->data, .B = (size_t)B, .T = (size_t)T,
                  .U = (size_t)k->shape[1], .H = (size_t)H, .N = (size_t)(C / H)};
  Node *nd = NODE(tp, attention_backward, 3, 1, q, k, v, y);
  if (nd) op.log_sum = node_numbers(tp, op.B * op.T * op.H, sizeof(acc));
  NODE_SAVE(nd, op);
  run_attention(&op);
  *keys = k, *values = v;
  return y;
}
