/* Tape op of softmax attention. */
#include "err.h"
#include "node.h"
#include "ops.h"

#include <string.h>

static void attention_backward(Node *nd)
{
  Tensor *q = nd->in[0], *k = nd->in[1], *v = nd->in[2];
  real *gq = node_grad(nd, q), *gk = node_grad(nd, k), *gv = node_grad(nd, v);
  const size_t *s = nd->size;
  ArenaMark mark = arena_mark(&nd->tape->arena);
  acc *scratch = arena_alloc(&nd->tape->arena, s[0] * s[3] * k_attention_scratch(s[2]) * sizeof *scratch);
  ops.attention_backward(gq, gk, gv, scratch, node_flow(nd->out[0]), nd->saved, q->data, k->data, v->data, s[0], s[1],
                         s[2], s[3], s[4]);
  arena_rewind(&nd->tape->arena, mark);
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
  if (q->axes != 3 || !q->n || !same_shape(q, k) || !same_shape(q, v))
    rwkv_fail("attention: q %s, k %s and v %s must all be [B,T,C], none of them 0", tensor_shape(q), tensor_shape(k),
              tensor_shape(v));
  int B = q->shape[0], T = q->shape[1], C = q->shape[2];
  if (H < 1 || C % H) rwkv_fail("attention: q %s cannot be split into %d heads", tensor_shape(q), H);
  if (history_length("keys", *keys, q) != history_length("values", *values, q))
    rwkv_fail("attention: keys %s and values %s hold different numbers of positions", tensor_shape(*keys),
              tensor_shape(*values));
  k = t_append(tp, *keys, k), v = t_append(tp, *values, v);
  Tensor *y = tape_tensor(tp, 3, q->shape);
  size_t s[] = {(size_t)B, (size_t)T, (size_t)k->shape[1], (size_t)H, (size_t)(C / H)};
  Node *nd = NODE(tp, attention_backward, 3, 1, q, k, v, y);
  if (nd) {
    nd->saved = arena_alloc(&tp->arena, s[0] * s[1] * s[3] * sizeof(acc));
    memcpy(nd->size, s, sizeof s);
  }
  ArenaMark mark = arena_mark(&tp->arena);
  acc *scratch = arena_alloc(&tp->arena, s[0] * s[3] * k_attention_scratch(s[2]) * sizeof *scratch);
  ops.attention(y->data, nd ? nd->saved : NULL, scratch, q->data, k->data, v->data, s[0], s[1], s[2], s[3], s[4]);
  arena_rewind(&tp->arena, mark);
  *keys = k, *values = v;
  return y;
}
