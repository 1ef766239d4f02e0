/* Pointwise tape ops. */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

static void unary_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_unary_backward(&(UnaryBackward){gx, node_flow(nd->out[0]), *(const Unary *)nd->op});
}

Tensor *t_unary(Tape *tp, UnaryKind kind, Tensor *x)
{
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  Unary op = {y->data, x->data, x->n, kind};
  run_unary(&op);
  Node *nd = NODE(tp, unary_backward, 1, 1, x, y);
  NODE_SAVE(nd, op);
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
      rwkv_fail("%s: shapes %s and %s do not fit: sizes must be equal or 1, from the last axis on", op, tensor_shape(a),
                tensor_shape(b));
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
  run_binary_backward(&(BinaryBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]), node_flow(nd->out[0]),
                                        *(const Binary *)nd->op});
}

Tensor *t_binary(Tape *tp, BinaryKind kind, Tensor *a, Tensor *b)
{
  Binary op = {.a = a->data, .b = b->data, .kind = kind};
  int axes, shape[4];
  broadcast(&op.shape, &axes, shape, k_binary_functions[kind].name, a, b);
  Tensor *y = tape_tensor(tp, axes, shape);
  op.y = y->data;
  if (y->n) run_binary(&op);
  Node *nd = NODE(tp, binary_backward, 2, 1, a, b, y);
  if (kind == B_ADD || kind == B_SUB) node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

/* x - 0, where the 0 has the sizes: so that -0, NaN and infinities stay what they are. */
Tensor *t_expand(Tape *tp, Tensor *x, int axes, const int *shape)
{
  Tensor sizes = {.axes = axes}, *zero = tape_number(tp, 0);
  bool fits = axes >= x->axes && axes <= MAX_AXES;
  for (int d = 0; fits && d < axes; d++) {
    int own = d < axes - x->axes ? 1 : x->shape[d - axes + x->axes];
    sizes.shape[d] = shape[d] == -1 && d >= axes - x->axes ? own : shape[d];
    fits = own == 1 || own == sizes.shape[d];
  }
  if (!fits)
    rwkv_fail("expand: %s cannot become %s: sizes must be equal, or 1 to be repeated, from the last axis on",
              tensor_shape(x), axes <= MAX_AXES ? shape_text(axes, shape) : "a tensor of so many axes");
  if (tensor_same_shape(x, &sizes)) return x;
  Binary op = {.a = x->data, .b = zero->data, .kind = B_SUB};
  broadcast(&op.shape, &axes, sizes.shape, "expand", x, &sizes);
  memset(op.shape.step_b, 0, sizeof op.shape.step_b);
  Tensor *y = tape_tensor(tp, axes, sizes.shape);
  op.y = y->data;
  if (y->n) run_binary(&op);
  Node *nd = NODE(tp, binary_backward, 2, 1, x, zero, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

Tensor *t_compare(Tape *tp, CompareKind kind, Tensor *a, Tensor *b)
{
  Compare op = {.a = a->data, .b = b->data, .kind = kind};
  int axes, shape[4];
  broadcast(&op.shape, &axes, shape, k_compare_names[kind], a, b);
  Tensor *y = tape_tensor(tp, axes, shape);
  op.y = y->data;
  if (y->n) run_compare(&op);
  return y;
}

static void choose_backward(Node *nd)
{
  run_choose_backward(&(ChooseBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]), node_flow(nd->out[0]),
                                        *(const Choose *)nd->op});
}

Tensor *t_where(Tape *tp, Tensor *mask, Tensor *a, Tensor *b)
{
  Broadcast s;
  Tensor both = {0}, all = {0};
  broadcast(&s, &both.axes, both.shape, "where", a, b);
  broadcast(&s, &all.axes, all.shape, "where", mask, &both);
  mask = t_expand(tp, mask, all.axes, all.shape);
  a = t_expand(tp, a, all.axes, all.shape), b = t_expand(tp, b, all.axes, all.shape);
  Tensor *y = tape_tensor(tp, all.axes, all.shape);
  Choose op = {y->data, mask->data, a->data, b->data, y->n};
  run_choose(&op);
  Node *nd = NODE(tp, choose_backward, 2, 1, a, b, y);
  if (nd) nd->in[2] = mask; /* needs no gradient, but is read */
  NODE_SAVE(nd, op);
  return y;
}

static void affine_backward(Node *nd)
{
  real *gx = node_grad(nd, nd->in[0]);
  if (gx) run_affine_backward(&(AffineBackward){gx, node_flow(nd->out[0]), *(const Affine *)nd->op});
}

Tensor *t_affine(Tape *tp, Tensor *x, double scale, double offset)
{
  Tensor *y = tape_tensor(tp, x->axes, x->shape);
  Affine op = {y->data, x->data, scale, offset, x->n};
  run_affine(&op);
  Node *nd = NODE(tp, affine_backward, 1, 1, x, y);
  node_linear(nd);
  NODE_SAVE(nd, op);
  return y;
}

Tensor *t_clamp(Tape *tp, Tensor *x, double low, double high)
{
  return t_binary(tp, B_MIN, t_binary(tp, B_MAX, x, tape_number(tp, low)), tape_number(tp, high));
}

static void lerp_backward(Node *nd)
{
  /* clang-format off */
  run_lerp_backward(&(LerpBackward){.gx = node_grad(nd, nd->in[0]), .gp = node_grad(nd, nd->in[1]),
                                    .gmu = node_grad(nd, nd->in[2]), .g = node_flow(nd->out[0]),
                                    .forward = *(const Lerp *)nd->op});
  /* clang-format on */
}

Tensor *t_lerp(Tape *tp, Tensor *x, Tensor *p, Tensor *mu)
{
  int C = x->axes ? x->shape[x->axes - 1] : 1;
  if (!tensor_same_shape(x, p)) rwkv_fail("lerp: x %s and p %s differ", tensor_shape(x), tensor_shape(p));
  if (mu->n != (size_t)C && mu->n != x->n)
    rwkv_fail("lerp: mu %s fits neither the last axis of x %s nor all of it", tensor_shape(mu), tensor_shape(x));
  Tensor *z = tape_tensor(tp, x->axes, x->shape);
  size_t rows = C ? x->n / (size_t)C : 0, mu_rows = C ? mu->n / (size_t)C : 0;
  Lerp op = {z->data, x->data, p->data, mu->data, rows, mu_rows, (size_t)C};
  run_lerp(&op);
  Node *nd = NODE(tp, lerp_backward, 3, 1, x, p, mu, z);
  NODE_SAVE(nd, op);
  return z;
}
