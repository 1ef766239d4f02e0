/* Tape ops of ROSA. */
/* clang-format off */
#include "backend.h"
#include "err.h"
#include "expect.h"
#include "node.h"

static void rosa_backward(Node *nd, bool self)
{
  run_rosa_backward(&(RosaBackward){
      .gq = node_grad(nd, nd->in[0]), .gk = self ? NULL : node_grad(nd, nd->in[1]),
      .gv = self ? NULL : node_grad(nd, nd->in[2]), .glow = node_grad(nd, nd->in[3]), .ghigh = node_grad(nd, nd->in[4]),
      .g = node_flow(nd->out[0]), .self = self, .forward = *(const Rosa *)nd->op});
}

static void rosa_qkv_backward(Node *nd) { rosa_backward(nd, false); }
static void rosa_self_backward(Node *nd) { rosa_backward(nd, true); }

static void expect_levels(const char *name, const Tensor *t, int C) { expect_count("rosa", name, t, C); }

static int positions_before(const char *name, const Tensor *history, const Tensor *x)
{
  if (!history->n) return 0;
  if (history->axes != 3 || history->shape[0] != x->shape[0] || history->shape[2] != x->shape[2])
    rwkv_fail("rosa: %s are %s, expected [%d,before,%d]", name, tensor_shape(history), x->shape[0], x->shape[2]);
  return history->shape[1];
}

static void check_state(const Tensor *q, const RosaState *s, int groups)
{
  int before = positions_before("keys", *s->keys, q);
  if (positions_before("queries", *s->queries, q) != before || positions_before("values", *s->values, q) != before)
    rwkv_fail("rosa: queries %s, keys %s and values %s hold different numbers of positions", tensor_shape(*s->queries),
              tensor_shape(*s->keys), tensor_shape(*s->values));
  if (before) expect_shape("rosa", "runs", *s->runs, 3, (int[]){q->shape[0], before, groups});
}

static Tensor *rosa(Tape *tp, Tensor *q, Tensor *k, Tensor *v, const RosaLevels *l, RosaState *s, bool self)
{
  expect_btc("rosa", "q", q);
  expect_same("rosa", "k", k, "q", q);
  expect_same("rosa", "v", v, "q", q);
  int B = q->shape[0], T = q->shape[1], C = q->shape[2];
  if (l->bits < 1 || l->bits > 16 || C % l->bits)
    rwkv_fail("rosa: %d channels in symbols of %d bits, expected a divisor of %d from 1 to 16", C, l->bits, C);
  expect_levels("low", l->low, C);
  expect_levels("high", l->high, C);
  check_state(q, s, C / l->bits);
  Tensor *before = *s->runs, *keys = t_append(tp, *s->keys, k), *queries = self ? keys : t_append(tp, *s->queries, q);
  Tensor *values = self ? keys : t_append(tp, *s->values, v);
  int U = keys->shape[1];
  Tensor *y = tape_tensor(tp, 3, q->shape), *runs = tape_tensor(tp, 3, (int[]){B, U, C / l->bits});
  Rosa op = {.y = y->data, .runs = runs->data, .before = U > T ? before->data : NULL, .q = queries->data,
             .k = keys->data, .v = values->data, .low = l->low->data, .high = l->high->data, .B = (size_t)B,
             .T = (size_t)T, .U = (size_t)U, .G = (size_t)(C / l->bits), .bits = (size_t)l->bits,
             .none_low = l->none_low};
  run_rosa(&op);
  Node *nd = NODE(tp, self ? rosa_self_backward : rosa_qkv_backward, 5, 1, queries, keys, values, l->low, l->high, y);
  NODE_SAVE(nd, op);
  *s->queries = queries, *s->keys = keys, *s->values = values, *s->runs = runs;
  return y;
}

Tensor *t_rosa(Tape *tp, Tensor *q, Tensor *k, Tensor *v, const RosaLevels *l, RosaState *s)
{
  return rosa(tp, q, k, v, l, s, false);
}

Tensor *t_rosa_self(Tape *tp, Tensor *x, const RosaLevels *l, RosaState *s)
{
  Tensor *queries = *s->keys, *values = *s->keys;
  return rosa(tp, x, x, x, l, &(RosaState){&queries, s->keys, &values, s->runs}, true);
}
