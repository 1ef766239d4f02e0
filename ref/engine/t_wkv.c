/* Tape ops of the recurrences. */
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

static void expect_count(const char *op, const char *name, const Tensor *t, int count)
{
  if (t->n != (size_t)count) rwkv_fail("%s: %s is %s, expected %d numbers", op, name, tensor_shape(t), count);
}

/* Of a log-decay w: 1 where it is constant in time (C numbers), B T where every token of k [B,T,C] has its own. */
static size_t decay_rows_of(const char *op, const Tensor *w, const Tensor *k)
{
  if (same_shape(w, k)) return (size_t)k->shape[0] * (size_t)k->shape[1];
  if (w->n != (size_t)k->shape[2])
    rwkv_fail("%s: w is %s, expected %d numbers or %s", op, tensor_shape(w), k->shape[2], tensor_shape(k));
  return 1;
}

typedef struct {
  int B, T, H, N;
} HeadSizes;

/* Of k [B,T,C] and a state [B,H,N,N]. */
static HeadSizes head_sizes(const char *op, const Tensor *k, const Tensor *S)
{
  if (S->axes != 4) rwkv_fail("%s: state S is %s, expected [B,H,N,N]", op, tensor_shape(S));
  HeadSizes z = {k->shape[0], k->shape[1], S->shape[1], S->shape[2]};
  if ((int64_t)z.H * z.N != k->shape[2])
    rwkv_fail("%s: state S is %s, but k is %s", op, tensor_shape(S), tensor_shape(k));
  expect(op, "state S", S, 4, (int[]){z.B, z.H, z.N, z.N});
  return z;
}

/* Room for the state before every segment, and the sizes, for the backward pass. */
static void keep_segments(Node *nd, HeadSizes z, const Tensor *S)
{
  size_t segments = ((size_t)z.T + WKV_SEGMENT - 1) / WKV_SEGMENT;
  nd->saved = arena_alloc(&nd->tape->arena, segments * S->n * sizeof(real));
  nd->size[0] = (size_t)z.B, nd->size[1] = (size_t)z.T, nd->size[2] = (size_t)z.H, nd->size[3] = (size_t)z.N;
}

/* ---- wkv1 ---- */

static void wkv1_backward(Node *nd)
{
  Tensor **in = nd->in;
  const size_t *s = nd->size;
  Wkv1Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4])};
  ops.wkv1_backward(&out, node_flow(nd->out[0]), in[0]->data, in[1]->data, in[2]->data, in[3]->data,
                    in[4]->data, s[0], s[1], s[2], s[3], s[4], s[5]);
}

Tensor *t_wkv1(Tape *tp, Tensor *w, Tensor *alpha, Tensor *beta, int H, Tensor *k, Tensor *v, Tensor **keys,
               Tensor **values)
{
  expect_btc("wkv1", "k", k);
  same_as("wkv1", "v", v, "k", k);
  int B = k->shape[0], T = k->shape[1], C = k->shape[2];
  if (H < 1 || C % H) rwkv_fail("wkv1: k %s cannot be split into %d heads", tensor_shape(k), H);
  size_t ctx = w->n / (size_t)H;
  if (w->n % (size_t)H || alpha->n != w->n || beta->n != w->n)
    rwkv_fail("wkv1: w %s, alpha %s and beta %s must all hold [%d heads, ctx]", tensor_shape(w),
              tensor_shape(alpha), tensor_shape(beta), H);
  int U = T + ((*keys)->n ? (*keys)->shape[1] : 0);
  if ((size_t)U > ctx)
    rwkv_fail("v1 cannot see further than its ctx_len of %zu tokens; this would be token %d", ctx, U);
  k = t_append(tp, *keys, k), v = t_append(tp, *values, v);
  same_as("wkv1", "values", v, "keys", k);
  Tensor *y = tape_tensor(tp, 3, (int[]){B, T, C});
  size_t s[] = {(size_t)B, (size_t)T, (size_t)U, (size_t)H, (size_t)(C / H), ctx};
  ops.wkv1(y->data, w->data, alpha->data, beta->data, k->data, v->data, s[0], s[1], s[2], s[3], s[4], s[5]);
  Node *nd = NODE(tp, wkv1_backward, 5, 1, w, alpha, beta, k, v, y);
  if (nd) memcpy(nd->size, s, sizeof s);
  *keys = k, *values = v;
  return y;
}

/* ---- wkv2 ---- */

static void wkv2_backward(Node *nd)
{
  Tensor **in = nd->in;
  Wkv2Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5])};
  ops.wkv2_backward(&out, node_flow(nd->out[0]), node_flow(nd->out[1]), node_flow(nd->out[2]), nd->saved,
                    in[0]->data, in[1]->data, in[2]->data, in[3]->data, nd->number[0], nd->size[0], nd->size[1],
                    nd->size[2]);
}

Tensor *t_wkv2(Tape *tp, Tensor *w, Tensor *u, Tensor *e, Tensor *v, double eps, Tensor **a, Tensor **b)
{
  expect_btc("wkv2", "e", e);
  int B = e->shape[0], T = e->shape[1], C = e->shape[2];
  same_as("wkv2", "v", v, "e", e);
  expect_count("wkv2", "w", w, C);
  expect_count("wkv2", "u", u, C);
  expect("wkv2", "state a", *a, 2, (int[]){B, C});
  expect("wkv2", "state b", *b, 2, (int[]){B, C});
  Tensor *y = tape_tensor(tp, 3, e->shape), *a1 = tape_tensor(tp, 2, (*a)->shape),
         *b1 = tape_tensor(tp, 2, (*b)->shape);
  Node *nd = NODE(tp, wkv2_backward, 6, 3, w, u, e, v, *a, *b, y, a1, b1);
  if (nd) {
    nd->saved = arena_alloc(&tp->arena, 2 * e->n * sizeof(real));
    nd->number[0] = eps;
    nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)C;
  }
  ops.wkv2(y->data, a1->data, b1->data, nd ? nd->saved : NULL, w->data, u->data, e->data, v->data, (*a)->data,
           (*b)->data, eps, (size_t)B, (size_t)T, (size_t)C);
  *a = a1, *b = b1;
  return y;
}

/* ---- wkv4 ---- */

static void wkv4_backward(Node *nd)
{
  Tensor **in = nd->in;
  Wkv4Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5]), node_grad(nd, in[6])};
  ops.wkv4_backward(&out, node_flow(nd->out[0]), node_flow(nd->out[1]), node_flow(nd->out[2]),
                    node_flow(nd->out[3]), nd->saved, in[0]->data, in[1]->data, in[2]->data, in[3]->data,
                    nd->size[0], nd->size[1], nd->size[2], nd->size[3]);
}

Tensor *t_wkv4(Tape *tp, Tensor *w, Tensor *u, Tensor *k, Tensor *v, Tensor **a, Tensor **b, Tensor **p)
{
  expect_btc("wkv4", "k", k);
  int B = k->shape[0], T = k->shape[1], C = k->shape[2];
  same_as("wkv4", "v", v, "k", k);
  size_t decay_rows = decay_rows_of("wkv4", w, k);
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
    nd->size[0] = (size_t)B, nd->size[1] = (size_t)T, nd->size[2] = (size_t)C, nd->size[3] = decay_rows;
  }
  ops.wkv4(y->data, a1->data, b1->data, p1->data, nd ? nd->saved : NULL, w->data, u->data, k->data, v->data,
           (*a)->data, (*b)->data, (*p)->data, (size_t)B, (size_t)T, (size_t)C, decay_rows);
  *a = a1, *b = b1, *p = p1;
  return y;
}

/* ---- wkv6 ---- */

static void wkv6_backward(Node *nd)
{
  Tensor **in = nd->in;
  const size_t *s = nd->size;
  Wkv6Grads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5])};
  ArenaMark mark = arena_mark(&nd->tape->arena);
  real *scratch = arena_alloc(&nd->tape->arena, s[0] * s[2] * k_wkv6_scratch(s[3]) * sizeof(real));
  ops.wkv6_backward(&out, scratch, node_flow(nd->out[0]), node_flow(nd->out[1]), nd->saved, in[0]->data,
                    in[1]->data, in[2]->data, in[3]->data, in[4]->data, s[0], s[1], s[2], s[3], s[4]);
  arena_rewind(&nd->tape->arena, mark);
}

Tensor *t_wkv6(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *u, Tensor **S)
{
  expect_btc("wkv6", "k", k);
  HeadSizes z = head_sizes("wkv6", k, *S);
  same_as("wkv6", "r", r, "k", k);
  same_as("wkv6", "v", v, "k", k);
  expect_count("wkv6", "u", u, z.H * z.N);
  size_t decay_rows = decay_rows_of("wkv6", w, k);
  Tensor *y = tape_tensor(tp, 3, k->shape), *S1 = tape_tensor(tp, 4, (*S)->shape);
  Node *nd = NODE(tp, wkv6_backward, 6, 2, r, w, k, v, u, *S, y, S1);
  if (nd) {
    keep_segments(nd, z, S1);
    nd->size[4] = decay_rows;
  }
  ops.wkv6(y->data, S1->data, nd ? nd->saved : NULL, r->data, w->data, k->data, v->data, u->data, (*S)->data,
           (size_t)z.B, (size_t)z.T, (size_t)z.H, (size_t)z.N, decay_rows);
  *S = S1;
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
  HeadSizes z = head_sizes("wkv7", k, *S);
  same_as("wkv7", "r", r, "k", k);
  same_as("wkv7", "w", w, "k", k);
  same_as("wkv7", "v", v, "k", k);
  same_as("wkv7", "a", a, "k", k);
  same_as("wkv7", "b", b, "k", k);
  Tensor *y = tape_tensor(tp, 3, k->shape), *S1 = tape_tensor(tp, 4, (*S)->shape);
  Node *nd = NODE(tp, wkv7_backward, 7, 2, r, w, k, v, a, b, *S, y, S1);
  if (nd) keep_segments(nd, z, S1);
  ops.wkv7(y->data, S1->data, nd ? nd->saved : NULL, r->data, w->data, k->data, v->data, a->data, b->data,
           (*S)->data, (size_t)z.B, (size_t)z.T, (size_t)z.H, (size_t)z.N);
  *S = S1;
  return y;
}

/* ---- the selective scan ---- */

static void selective_scan_backward(Node *nd)
{
  Tensor **in = nd->in;
  const size_t *s = nd->size;
  ScanGrads out = {node_grad(nd, in[0]), node_grad(nd, in[1]), node_grad(nd, in[2]), node_grad(nd, in[3]),
                   node_grad(nd, in[4]), node_grad(nd, in[5])};
  ArenaMark mark = arena_mark(&nd->tape->arena);
  real *scratch = arena_alloc(&nd->tape->arena, s[0] * k_selective_scan_scratch(s[2], s[3]) * sizeof(real));
  ops.selective_scan_backward(&out, scratch, node_flow(nd->out[0]), node_flow(nd->out[1]), nd->saved, in[0]->data,
                              in[1]->data, in[2]->data, in[3]->data, in[4]->data, s[0], s[1], s[2], s[3]);
  arena_rewind(&nd->tape->arena, mark);
}

Tensor *t_selective_scan(Tape *tp, Tensor *x, Tensor *delta, Tensor *A, Tensor *Bm, Tensor *Cm, Tensor **h)
{
  expect_btc("selective_scan", "x", x);
  same_as("selective_scan", "delta", delta, "x", x);
  int B = x->shape[0], T = x->shape[1], D = x->shape[2], N = A->axes == 2 ? A->shape[1] : 0;
  if (A->axes != 2 || A->shape[0] != D || N < 1)
    rwkv_fail("selective_scan: A is %s, expected [%d,N], N at least 1", tensor_shape(A), D);
  expect("selective_scan", "B", Bm, 3, (int[]){B, T, N});
  expect("selective_scan", "C", Cm, 3, (int[]){B, T, N});
  expect("selective_scan", "state h", *h, 3, (int[]){B, D, N});
  Tensor *y = tape_tensor(tp, 3, x->shape), *h1 = tape_tensor(tp, 3, (*h)->shape);
  size_t s[] = {(size_t)B, (size_t)T, (size_t)D, (size_t)N};
  Node *nd = NODE(tp, selective_scan_backward, 6, 2, x, delta, A, Bm, Cm, *h, y, h1);
  if (nd) {
    nd->saved = arena_alloc(&tp->arena, (s[1] + WKV_SEGMENT - 1) / WKV_SEGMENT * h1->n * sizeof(real));
    memcpy(nd->size, s, sizeof s);
  }
  ops.selective_scan(y->data, h1->data, nd ? nd->saved : NULL, x->data, delta->data, A->data, Bm->data, Cm->data,
                     (*h)->data, s[0], s[1], s[2], s[3]);
  *h = h1;
  return y;
}
