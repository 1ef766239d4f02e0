/* Tape ops along time: the token shift and the recurrences. */
#include "err.h"
#include "node.h"
#include "ops.h"

#include <string.h>

/* "r" must have the shape of k, and so on: the message names the operand. */
static void same_as(const char *op, const char *name, const Tensor *t, const char *like, const Tensor *want)
{
  if (!same_shape(t, want))
    rwkv_fail("%s: %s is %s, expected %s like %s", op, name, tensor_shape(t), tensor_shape(want), like);
}

static void expect(const char *op, const char *name, const Tensor *t, int axes, const int *shape)
{
  if (t->axes != axes || memcmp(t->shape, shape, (size_t)axes * sizeof *shape))
    rwkv_fail("%s: %s is %s, expected %s", op, name, tensor_shape(t), shape_text(axes, shape));
}

static void expect_btc(const char *op, const char *name, const Tensor *t)
{
  if (t->axes != 3 || t->n == 0)
    rwkv_fail("%s: %s is %s, expected [B,T,C], none of them 0", op, name, tensor_shape(t));
}

/* ---- shift ---- */

static void shift_backward(Node *nd)
{
  Tensor *x = nd->in[0], *carry = nd->in[1];
  ops.shift_backward(node_grad(nd, x), node_grad(nd, carry), node_flow(nd->out[0]), nd->size[0], nd->size[1],
                     nd->size[2]);
}

Tensor *t_shift(Tape *tp, Tensor *x, Tensor **carry)
{
  expect_btc("shift", "x", x);
  int B = x->shape[0], T = x->shape[1], C = x->shape[2];
  expect("shift", "carry", *carry, 2, (int[]){B, C});
  Tensor *prev = tape_tensor(tp, 3, x->shape);
  ops.shift(prev->data, x->data, (*carry)->data, (size_t)B, (size_t)T, (size_t)C);
  Node *nd = NODE(tp, shift_backward, 2, 1, x, *carry, prev);
  if (nd) nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)C;
  *carry = t_reshape(tp, t_slice(tp, x, 1, T - 1, 1), 2, (int[]){B, C});
  return prev;
}

/* ---- wkv4 ---- */

static void wkv4_backward(Node *nd)
{
  Tensor **in = nd->in;
  Wkv4Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5]), node_grad(nd, in[6])};
  ops.wkv4_backward(&out, node_flow(nd->out[0]), node_flow(nd->out[1]), node_flow(nd->out[2]),
                    node_flow(nd->out[3]), nd->saved, in[0]->data, in[1]->data, in[2]->data, in[3]->data,
                    nd->size[0], nd->size[1], nd->size[2]);
}

Tensor *t_wkv4(Tape *tp, Tensor *w, Tensor *u, Tensor *k, Tensor *v, Tensor **a, Tensor **b, Tensor **p)
{
  expect_btc("wkv4", "k", k);
  int B = k->shape[0], T = k->shape[1], C = k->shape[2];
  same_as("wkv4", "v", v, "k", k);
  expect("wkv4", "w", w, 1, &C);
  expect("wkv4", "u", u, 1, &C);
  expect("wkv4", "state a", *a, 2, (int[]){B, C});
  expect("wkv4", "state b", *b, 2, (int[]){B, C});
  expect("wkv4", "state p", *p, 2, (int[]){B, C});
  Tensor *y = tape_tensor(tp, 3, k->shape);
  Tensor *a1 = tape_tensor(tp, 2, (*a)->shape), *b1 = tape_tensor(tp, 2, (*b)->shape),
         *p1 = tape_tensor(tp, 2, (*p)->shape);
  Node *nd = NODE(tp, wkv4_backward, 7, 4, w, u, k, v, *a, *b, *p, y, a1, b1, p1);
  if (nd) {
    nd->saved = arena_alloc(&tp->arena, 3 * k->n * sizeof(real));
    nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)C;
  }
  ops.wkv4(y->data, a1->data, b1->data, p1->data, nd ? nd->saved : NULL, w->data, u->data, k->data, v->data,
           (*a)->data, (*b)->data, (*p)->data, (size_t)B, (size_t)T, (size_t)C);
  *a = a1, *b = b1, *p = p1;
  return y;
}

/* ---- wkv7 ---- */

static void wkv7_backward(Node *nd)
{
  Tensor **in = nd->in;
  const size_t *s = nd->size;
  Wkv7Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5]), node_grad(nd, in[6])};
  ArenaMark mark = arena_mark(&nd->tape->arena);
  real *scratch = arena_alloc(&nd->tape->arena, s[0] * s[2] * k_wkv7_scratch(s[3]) * sizeof(real));
  ops.wkv7_backward(&out, scratch, node_flow(nd->out[0]), node_flow(nd->out[1]), nd->saved, in[0]->data,
                    in[1]->data, in[2]->data, in[3]->data, in[4]->data, in[5]->data, s[0], s[1], s[2], s[3]);
  arena_rewind(&nd->tape->arena, mark);
}

Tensor *t_wkv7(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *a, Tensor *b, Tensor **S)
{
  expect_btc("wkv7", "k", k);
  int B = k->shape[0], T = k->shape[1], C = k->shape[2];
  if ((*S)->axes != 4) rwkv_fail("wkv7: state S is %s, expected [B,H,N,N]", tensor_shape(*S));
  int H = (*S)->shape[1], N = (*S)->shape[2];
  if ((int64_t)H * N != C) rwkv_fail("wkv7: state S is %s, but k is %s", tensor_shape(*S), tensor_shape(k));
  expect("wkv7", "state S", *S, 4, (int[]){B, H, N, N});
  same_as("wkv7", "r", r, "k", k);
  same_as("wkv7", "w", w, "k", k);
  same_as("wkv7", "v", v, "k", k);
  same_as("wkv7", "a", a, "k", k);
  same_as("wkv7", "b", b, "k", k);
  Tensor *y = tape_tensor(tp, 3, k->shape), *S1 = tape_tensor(tp, 4, (*S)->shape);
  Node *nd = NODE(tp, wkv7_backward, 7, 2, r, w, k, v, a, b, *S, y, S1);
  if (nd) {
    size_t segments = ((size_t)T + WKV_SEGMENT - 1) / WKV_SEGMENT;
    nd->saved = arena_alloc(&tp->arena, segments * S1->n * sizeof(real));
    nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)H, nd->size[3] = (size_t)N;
  }
  ops.wkv7(y->data, S1->data, nd ? nd->saved : NULL, r->data, w->data, k->data, v->data, a->data, b->data,
           (*S)->data, (size_t)B, (size_t)T, (size_t)H, (size_t)N);
  *S = S1;
  return y;
}
