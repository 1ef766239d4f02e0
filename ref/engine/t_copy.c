/* Tape ops of attention without a softmax. */
#include "err.h"
#include "node.h"
#include "ops.h"

#include <string.h>

static void copy_scores_backward(Node *nd)
{
  Tensor *q = nd->in[0], *k = nd->in[1];
  const size_t *s = nd->size;
  const int *batch = nd->index, *limit = batch + s[0], *token = limit + s[0];
  ops.copy_scores_backward(node_grad(nd, q), node_grad(nd, k), node_flow(nd->out[0]), q->data, k->data, token,
                           batch, limit, s[0], s[1], s[2], s[3]);
}

Tensor *t_copy_scores(Tape *tp, Tensor *q, Tensor *k, const Tensor *tokens, int T, const int *row, int count, int V)
{
  int B = k->axes == 3 ? k->shape[0] : 0, U = k->axes == 3 ? k->shape[1] : 0, D = k->axes == 3 ? k->shape[2] : 0;
  if (B < 1 || D < 1 || U < T || tokens->n != (size_t)B * (size_t)U || q->n != (size_t)count * (size_t)D)
    rwkv_fail("copy_scores: q %s, k %s and tokens %s do not fit %d rows and %d new positions", tensor_shape(q),
              tensor_shape(k), tensor_shape(tokens), count, T);
  size_t rows = (size_t)count, places = (size_t)B * (size_t)U;
  int *batch = arena_alloc(&tp->arena, (2 * rows + places) * sizeof *batch), *limit = batch + rows,
      *token = limit + rows;
  for (size_t i = 0; i < rows; i++) {
    int at = row ? row[i] : (int)i;
    if (at < 0 || at >= B * T) rwkv_fail("copy_scores: row %d is outside 0..%d", at, B * T - 1);
    batch[i] = at / T;
    limit[i] = U - T + at % T + 1;
  }
  for (size_t i = 0; i < places; i++) {
    real id;
    tensor_read(tokens, i, 1, &id);
    if (!(id >= 0 && id < (real)V)) rwkv_fail("copy_scores: token %g is outside 0..%d", (double)id, V - 1);
    token[i] = (int)id;
  }
  Tensor *y = tape_tensor(tp, 2, (int[]){count, V});
  ops.copy_scores(y->data, q->data, k->data, token, batch, limit, rows, (size_t)U, (size_t)D, (size_t)V);
  Node *nd = NODE(tp, copy_scores_backward, 2, 1, q, k, y);
  if (nd) {
    nd->index = batch;
    nd->size[0] = rows, nd->size[1] = (size_t)U, nd->size[2] = (size_t)D, nd->size[3] = (size_t)V;
  }
  return y;
}

static void linear_attention_backward(Node *nd)
{
  Tensor *q = nd->in[0], *k = nd->in[1], *v = nd->in[2];
  const size_t *s = nd->size;
  ops.linear_attention_backward(node_grad(nd, q), node_grad(nd, k), node_grad(nd, v), node_flow(nd->out[0]),
                                q->data, k->data, v->data, s[0], s[1], s[2], s[3], s[4]);
}

Tensor *t_linear_attention(Tape *tp, Tensor *q, Tensor *k, Tensor *v, Tensor **keys, Tensor **values)
{
  if (q->axes != 3 || !same_shape(q, k) || v->axes != 3 || v->shape[0] != q->shape[0] || v->shape[1] != q->shape[1])
    rwkv_fail("linear_attention: q %s, k %s and v %s must be [B,T,D], [B,T,D], [B,T,C]", tensor_shape(q),
              tensor_shape(k), tensor_shape(v));
  k = t_append(tp, *keys, k), v = t_append(tp, *values, v);
  if (k->shape[1] != v->shape[1])
    rwkv_fail("linear_attention: keys %s and values %s are not of the same positions", tensor_shape(k),
              tensor_shape(v));
  Tensor *y = tape_tensor(tp, 3, (int[]){q->shape[0], q->shape[1], v->shape[2]});
  size_t s[] = {(size_t)q->shape[0], (size_t)q->shape[1], (size_t)k->shape[1], (size_t)q->shape[2],
                (size_t)v->shape[2]};
  ops.linear_attention(y->data, q->data, k->data, v->data, s[0], s[1], s[2], s[3], s[4]);
  Node *nd = NODE(tp, linear_attention_backward, 3, 1, q, k, v, y);
  if (nd) memcpy(nd->size, s, sizeof s);
  *keys = k, *values = v;
  return y;
}
