/* Tape ops of the recurrences. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "expect.h"
#include "node.h"

#include <string.h>

/* Of a log-decay w: 1 where it is constant in time (C numbers), B T where every token of k [B,T,C] has its own. */
static size_t decay_rows_of(const char *op, const Tensor *w, const Tensor *k)
{
  if (tensor_same_shape(w, k)) return (size_t)k->shape[0] * (size_t)k->shape[1];
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
  expect_shape(op, "state S", S, 4, (int[]){z.B, z.H, z.N, z.N});
  return z;
}

/* ---- wkv1 ---- */

static void wkv1_backward(Node *nd)
{
  Tensor **in = nd->in;
  run_wkv1_backward(&(Wkv1Backward){
      .gw = node_grad(nd, in[0]), .galpha = node_grad(nd, in[1]), .gbeta = node_grad(nd, in[2]),
      .gk = node_grad(nd, in[3]), .gv = node_grad(nd, in[4]),
      .gy = node_flow(nd->out[0]), .forward = *(const Wkv1 *)nd->op});
}

Tensor *t_wkv1(Tape *tp, Tensor *w, Tensor *alpha, Tensor *beta, int H, Tensor *k, Tensor *v, Tensor **keys,
               Tensor **values)
{
  expect_btc("wkv1", "k", k);
  expect_same("wkv1", "v", v, "k", k);
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
  expect_same("wkv1", "values", v, "keys", k);
  Tensor *y = tape_tensor(tp, 3, (int[]){B, T, C});
  Wkv1 op = {.y = y->data, .w = w->data, .alpha = alpha->data, .beta = beta->data, .k = k->data, .v = v->data,
             .B = (size_t)B, .T = (size_t)T, .U = (size_t)U, .H = (size_t)H, .N = (size_t)(C / H), .ctx = ctx};
  run_wkv1(&op);
  Node *nd = NODE(tp, wkv1_backward, 5, 1, w, alpha, beta, k, v, y);
  NODE_SAVE(nd, op);
  *keys = k, *values = v;
  return y;
}

/* ---- wkv2 ---- */

static void wkv2_backward(Node *nd)
{
  Tensor **in = nd->in, **out = nd->out;
  run_wkv2_backward(&(Wkv2Backward){
      .gw = node_grad(nd, in[0]), .gu = node_grad(nd, in[1]), .ge = node_grad(nd, in[2]), .gv = node_grad(nd, in[3]),
      .ga0 = node_grad(nd, in[4]), .gb0 = node_grad(nd, in[5]),
      .gy = node_flow(out[0]), .ga1 = node_flow(out[1]), .gb1 = node_flow(out[2]), .forward = *(const Wkv2 *)nd->op});
}

Tensor *t_wkv2(Tape *tp, Tensor *w, Tensor *u, Tensor *e, Tensor *v, double eps, Tensor **a, Tensor **b)
{
  expect_btc("wkv2", "e", e);
  int B = e->shape[0], T = e->shape[1], C = e->shape[2];
  expect_same("wkv2", "v", v, "e", e);
  expect_count("wkv2", "w", w, C);
  expect_count("wkv2", "u", u, C);
  expect_shape("wkv2", "state a", *a, 2, (int[]){B, C});
  expect_shape("wkv2", "state b", *b, 2, (int[]){B, C});
  Tensor *y = tape_tensor(tp, 3, e->shape), *a1 = tape_tensor(tp, 2, (*a)->shape),
         *b1 = tape_tensor(tp, 2, (*b)->shape);
  Wkv2 op = {.y = y->data, .a1 = a1->data, .b1 = b1->data, .w = w->data, .u = u->data, .e = e->data, .v = v->data,
             .a0 = (*a)->data, .b0 = (*b)->data, .eps = eps, .B = (size_t)B, .T = (size_t)T, .C = (size_t)C};
  Node *nd = NODE(tp, wkv2_backward, 6, 3, w, u, e, v, *a, *b, y, a1, b1);
  if (nd) op.trace = node_numbers(tp, 2 * e->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_wkv2(&op);
  *a = a1, *b = b1;
  return y;
}

/* ---- wkv4 ---- */

static void wkv4_backward(Node *nd)
{
  Tensor **in = nd->in, **out = nd->out;
  run_wkv4_backward(&(Wkv4Backward){
      .gw = node_grad(nd, in[0]), .gu = node_grad(nd, in[1]), .gk = node_grad(nd, in[2]), .gv = node_grad(nd, in[3]),
      .ga0 = node_grad(nd, in[4]), .gb0 = node_grad(nd, in[5]), .gp0 = node_grad(nd, in[6]),
      .gy = node_flow(out[0]), .ga1 = node_flow(out[1]), .gb1 = node_flow(out[2]), .gp1 = node_flow(out[3]),
      .forward = *(const Wkv4 *)nd->op});
}

Tensor *t_wkv4(Tape *tp, Tensor *w, Tensor *u, Tensor *k, Tensor *v, Tensor **a, Tensor **b, Tensor **p)
{
  expect_btc("wkv4", "k", k);
  int B = k->shape[0], T = k->shape[1], C = k->shape[2];
  expect_same("wkv4", "v", v, "k", k);
  size_t decay_rows = decay_rows_of("wkv4", w, k);
  expect_shape("wkv4", "u", u, 1, &C);
  expect_shape("wkv4", "state a", *a, 2, (int[]){B, C});
  expect_shape("wkv4", "state b", *b, 2, (int[]){B, C});
  expect_shape("wkv4", "state p", *p, 2, (int[]){B, C});
  Tensor *y = tape_tensor(tp, 3, k->shape);
  Tensor *a1 = tape_tensor(tp, 2, (*a)->shape), *b1 = tape_tensor(tp, 2, (*b)->shape),
         *p1 = tape_tensor(tp, 2, (*p)->shape);
  Wkv4 op = {.y = y->data, .a1 = a1->data, .b1 = b1->data, .p1 = p1->data, .w = w->data, .u = u->data, .k = k->data,
             .v = v->data, .a0 = (*a)->data, .b0 = (*b)->data, .p0 = (*p)->data,
             .B = (size_t)B, .T = (size_t)T, .C = (size_t)C, .decay_rows = decay_rows};
  Node *nd = NODE(tp, wkv4_backward, 7, 4, w, u, k, v, *a, *b, *p, y, a1, b1, p1);
  if (nd) op.trace = node_numbers(tp, 3 * k->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_wkv4(&op);
  *a = a1, *b = b1, *p = p1;
  return y;
}

/* ---- wkv6 ---- */

static void wkv6_backward(Node *nd)
{
  Tensor **in = nd->in, **out = nd->out;
  run_wkv6_backward(&(Wkv6Backward){
      .gr = node_grad(nd, in[0]), .gw = node_grad(nd, in[1]), .gk = node_grad(nd, in[2]), .gv = node_grad(nd, in[3]),
      .gu = node_grad(nd, in[4]), .gS0 = node_grad(nd, in[5]),
      .gy = node_flow(out[0]), .gS1 = node_flow(out[1]), .forward = *(const Wkv6 *)nd->op});
}

Tensor *t_wkv6(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *u, Tensor **S)
{
  expect_btc("wkv6", "k", k);
  HeadSizes z = head_sizes("wkv6", k, *S);
  expect_same("wkv6", "r", r, "k", k);
  expect_same("wkv6", "v", v, "k", k);
  expect_count("wkv6", "u", u, z.H * z.N);
  size_t decay_rows = decay_rows_of("wkv6", w, k);
  Tensor *y = tape_tensor(tp, 3, k->shape), *S1 = node_state_after(tp, *S);
  Wkv6 op = {.y = y->data, .S1 = S1->data, .r = r->data, .w = w->data, .k = k->data, .v = v->data, .u = u->data,
             .S0 = (*S)->data, .B = (size_t)z.B, .T = (size_t)z.T, .H = (size_t)z.H, .N = (size_t)z.N,
             .decay_rows = decay_rows};
  Node *nd = NODE(tp, wkv6_backward, 6, 2, r, w, k, v, u, *S, y, S1);
  if (nd) op.segments = node_numbers(tp, k_segments(op.T) * S1->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_wkv6(&op);
  *S = S1;
  return y;
}

/* ---- wkv7 ---- */

static void wkv7_backward(Node *nd)
{
  Tensor **in = nd->in, **out = nd->out;
  run_wkv7_backward(&(Wkv7Backward){
      .gr = node_grad(nd, in[0]), .gw = node_grad(nd, in[1]), .gk = node_grad(nd, in[2]), .gv = node_grad(nd, in[3]),
      .ga = node_grad(nd, in[4]), .gb = node_grad(nd, in[5]), .gS0 = node_grad(nd, in[6]),
      .gy = node_flow(out[0]), .gS1 = node_flow(out[1]), .forward = *(const Wkv7 *)nd->op});
}

Tensor *t_wkv7(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *a, Tensor *b, Tensor **S)
{
  expect_btc("wkv7", "k", k);
  HeadSizes z = head_sizes("wkv7", k, *S);
  expect_same("wkv7", "r", r, "k", k);
  expect_same("wkv7", "w", w, "k", k);
  expect_same("wkv7", "v", v, "k", k);
  expect_same("wkv7", "a", a, "k", k);
  expect_same("wkv7", "b", b, "k", k);
  Tensor *y = tape_tensor(tp, 3, k->shape), *S1 = node_state_after(tp, *S);
  Wkv7 op = {.y = y->data, .S1 = S1->data, .r = r->data, .w = w->data, .k = k->data, .v = v->data, .a = a->data,
             .b = b->data, .S0 = (*S)->data, .B = (size_t)z.B, .T = (size_t)z.T, .H = (size_t)z.H, .N = (size_t)z.N};
  Node *nd = NODE(tp, wkv7_backward, 7, 2, r, w, k, v, a, b, *S, y, S1);
  if (nd) op.segments = node_numbers(tp, k_segments(op.T) * S1->n, sizeof(real));
  NODE_SAVE(nd, op);
  run_wkv7(&op);
  *S = S1;
  return y;
}
