/* Pointwise tape ops. */
#include "err.h"
#include "node.h"
#include "ops.h"

#include <string.h>

static void unary_backward(Node *nd)
{
  Tensor *x = nd->in[0], *y = nd->out[0];
  real *gx = node_grad(nd, x);
  if (gx) ops.unary_backward(gx, node_flow(y), x->data, y->data, x->n, (UnaryKind)nd->kind);
}

Tensor *t_unary(Tape *tp, UnaryKind kind, Tensor *x)
{
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  ops.unary(y->data, x->data, x->n, kind);
  Node *nd = NODE(tp, unary_backward, 1, 1, x, y);
  if (nd) nd->kind = kind;
  return y;
}

/* The shape of a against b, and how both are walked; fails where neither 1 nor equal sizes meet. */
static void broadcast(Broadcast *s, int *axes, int shape[4], const char *op, const Tensor *a, const Tensor *b)
{
  *axes = a->axes > b->axes ? a->axes : b->axes;
  size_t step_a = 1, step_b = 1;
  for (int d = 3; d >= 0; d--) {
    int ia = d - 4 + a->axes, ib = d - 4 + b->axes;
    int na = ia >= 0 ? a->shape[ia] : 1, nb = ib >= 0 ? b->shape[ib] : 1;
    if (na != nb && na != 1 && nb != 1)
      rwkv_fail("%s: shapes %s and %s do not fit: sizes must be equal or 1, from the last axis on", op,
                tensor_shape(a), tensor_shape(b));
    s->n[d] = na == 1 ? nb : na;
    s->step_a[d] = na == 1 ? 0 : step_a;
    s->step_b[d] = nb == 1 ? 0 : step_b;
    step_a *= (size_t)na;
    step_b *= (size_t)nb;
  }
  memcpy(shape, s->n + 4 - *axes, (size_t)*axes * sizeof *shape);
}

static void binary_backward(Node *nd)
{
  Tensor *a = nd->in[0], *b = nd->in[1];
  ops.binary_backward(node_grad(nd, a), node_grad(nd, b), node_flow(nd->out[0]), a->data, b->data,
                      nd->saved, (BinaryKind)nd->kind);
}

Tensor *t_binary(Tape *tp, BinaryKind kind, Tensor *a, Tensor *b)
{
  Broadcast s;
  int axes, shape[4];
  broadcast(&s, &axes, shape, binary_table[kind].name, a, b);
  Tensor *y = tape_tensor(tp, axes, shape);
  if (y->n) ops.binary(y->data, a->data, b->data, &s, kind);
  Node *nd = NODE(tp, binary_backward, 2, 1, a, b, y);
  if (nd) {
    nd->kind = kind;
    nd->saved = node_keep(tp, &s, sizeof s);
  }
  return y;
}

static void affine_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) ops.affine_backward(gx, node_flow(nd->out[0]), nd->number[0], nd->in[0]->n);
}

Tensor *t_affine(Tape *tp, Tensor *x, double scale, double offset)
{
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  ops.affine(y->data, x->data, scale, offset, x->n);
  Node *nd = NODE(tp, affine_backward, 1, 1, x, y);
  if (nd) nd->number[0] = scale;
  return y;
}

Tensor *t_clamp(Tape *tp, Tensor *x, double low, double high)
{
  return t_binary(tp, B_MIN, t_binary(tp, B_MAX, x, tape_number(tp, low)), tape_number(tp, high));
}

static void lerp_backward(Node *nd)
{
  Tensor *x = nd->in[0], *p = nd->in[1], *mu = nd->in[2];
  ops.lerp_backward(node_grad(nd, x), node_grad(nd, p), node_grad(nd, mu), node_flow(nd->out[0]), x->data,
                    p->data, mu->data, nd->size[0], nd->size[1], nd->size[2]);
}

Tensor *t_lerp(Tape *tp, Tensor *x, Tensor *p, Tensor *mu)
{
  int C = x->axes ? x->shape[x->axes - 1] : 1;
  if (!same_shape(x, p)) rwkv_fail("lerp: x %s and p %s differ", tensor_shape(x), tensor_shape(p));
  if (mu->n != (size_t)C && mu->n != x->n)
    rwkv_fail("lerp: mu %s fits neither the last axis of x %s nor all of it", tensor_shape(mu), tensor_shape(x));
  Tensor *z = tape_tensor(tp, x->axes, x->shape);
  size_t rows = C ? x->n / (size_t)C : 0, mu_rows = C ? mu->n / (size_t)C : 0;
  ops.lerp(z->data, x->data, p->data, mu->data, rows, mu_rows, (size_t)C);
  Node *nd = NODE(tp, lerp_backward, 3, 1, x, p, mu, z);
  if (nd) nd->size[0] = rows, nd->size[1] = mu_rows, nd->size[2] = (size_t)C;
  return z;
}
