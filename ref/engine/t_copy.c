/* Tape ops of attention without a softmax. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

static void copy_scores_backward(Node *nd)
{
  run_copy_scores_backward(&(CopyScoresBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]),
                                                 node_flow(nd->out[0]), *(const CopyScores *)nd->op});
}

Tensor *t_copy_scores(Tape *tp, Tensor *q, Tensor *k, const Tensor *tokens, const int *now, int T, const int *row,
                      int count, int V)
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
    if (at < 0 || at >= B * T) rwkv_fail("copy_scores: row %d, expected 1 to %d", at + 1, B * T);
    batch[i] = at / T;
    limit[i] = U - T + at % T + 1;
  }
  bool known = now && U == T;
  real *id = arena_alloc(&tp->arena, places * sizeof *id);
  if (!known) tensor_read(tokens, 0, places, id);
  for (size_t i = 0; i < places; i++) {
    if (known) id[i] = (real)now[i];
    if (!(id[i] >= 0 && id[i] < (real)V)) rwkv_fail("copy_scores: token %g, expected 0 to %d", (double)id[i], V - 1);
    token[i] = (int)id[i];
  }
  Tensor *y = tape_tensor(tp, 2, (int[]){count, V});
  CopyScores op = {.y = y->data, .q = q->data, .k = k->data, .token = token, .batch = batch, .limit = limit,
                   .rows = rows, .B = (size_t)B, .U = (size_t)U, .D = (size_t)D, .V = (size_t)V};
  run_copy_scores(&op);
  Node *nd = NODE(tp, copy_scores_backward, 2, 1, q, k, y);
  NODE_SAVE(nd, op);
  return y;
}

static void linear_attention_backward(Node *nd)
{
  run_linear_attention_backward(&(LinearAttentionBackward){
      .gq = node_grad(nd, nd->in[0]), .gk = node_grad(nd, nd->in[1]), .gv = node_grad(nd, nd->in[2]),
      .g = node_flow(nd->out[0]), .forward = *(const LinearAttention *)nd->op});
}

Tensor *t_linear_attention(Tape *tp, Tensor *q, Tensor *k, Tensor *v, Tensor **keys, Tensor **values)
{
  if (q->axes != 3 || !tensor_same_shape(q, k) || v->axes != 3 || v->shape[0] != q->shape[0] ||
      v->shape[1] != q->shape[1])
    rwkv_fail("linear_attention: q %s, k %s and v %s must be [B,T,D], [B,T,D], [B,T,C]", tensor_shape(q),
              tensor_shape(k), tensor_shape(v));
  k = t_append(tp, *keys, k), v = t_append(tp, *values, v);
  if (k->shape[1] != v->shape[1])
    rwkv_fail("linear_attention: keys %s and values %s are not of the same positions", tensor_shape(k),
              tensor_shape(v));
  Tensor *y = tape_tensor(tp, 3, (int[]){q->shape[0], q->shape[1], v->shape[2]});
  LinearAttention op = {.y = y->data, .q = q->data, .k = k->data, .v = v->data, .B = (size_t)q->shape[0],
                        .T = (size_t)q->shape[1], .U = (size_t)k->shape[1], .D = (size_t)q->shape[2],
                        .C = (size_t)v->shape[2]};
  run_linear_attention(&op);
  Node *nd = NODE(tp, linear_attention_backward, 3, 1, q, k, v, y);
  NODE_SAVE(nd, op);
  *keys = k, *values = v;
  return y;
}
