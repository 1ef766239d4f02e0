/* Tape ops of linear maps and table look-up. */
#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

static Tensor *new_last_axis(Tape *tp, const Tensor *x, int size)
{
  int shape[MAX_AXES];
  memcpy(shape, x->shape, sizeof shape);
  shape[x->axes - 1] = size;
  return tape_tensor(tp, x->axes, shape);
}

/* What no gradient can flow through: fails if one would. */
static void values_only(Tape *tp, const char *op, const Tensor *x, const Tensor *w)
{
  if (tp->recording && x->needs_grad)
    rwkv_fail("%s: the matrix %s is kept as %s, for inference only: no gradient flows through it", op, tensor_shape(w),
              storage_names[w->packed.storage]);
}

static void linear_backward(Node *nd)
{
  /* clang-format off */
  run_linear_backward(&(LinearBackward){
      .gx = node_grad(nd, nd->in[0]), .gw = node_grad(nd, nd->in[1]), .gbias = node_grad(nd, nd->in[2]),
      .g = node_flow(nd->out[0]), .forward = *(const Linear *)nd->op});
  /* clang-format on */
}

static Tensor *linear(Tape *tp, Tensor *x, Tensor *w, Tensor *bias)
{
  if (w->axes != 2 || x->axes < 1 || x->shape[x->axes - 1] != w->shape[1])
    rwkv_fail("linear: x %s does not fit a weight %s [out,in]", tensor_shape(x), tensor_shape(w));
  if (bias && bias->n != (size_t)w->shape[0])
    rwkv_fail("linear: bias %s does not fit a weight %s [out,in]", tensor_shape(bias), tensor_shape(w));
  size_t in = (size_t)w->shape[1], out = (size_t)w->shape[0], rows = shape_count(x->axes - 1, x->shape);
  if (w->packed.bits) values_only(tp, "linear", bias && bias->needs_grad ? bias : x, w);
  Tensor *y = new_last_axis(tp, x, w->shape[0]);
  Linear op = {y->data, x->data, w->data, bias ? bias->data : NULL, rows, in, out, backend_factors()};
  if (y->n && w->packed.bits)
    run_linear_packed(&(LinearPacked){op.y, op.x, w->packed, op.bias, rows, in, out, op.factors});
  else if (y->n) run_linear(&op);
  if (w->packed.bits) return y;
  Node *nd = bias ? NODE(tp, linear_backward, 3, 1, x, w, bias, y) : NODE(tp, linear_backward, 2, 1, x, w, y);
  NODE_SAVE(nd, op);
  return y;
}

Tensor *t_linear(Tape *tp, Tensor *x, Tensor *w) { return linear(tp, x, w, NULL); }
Tensor *t_linear_bias(Tape *tp, Tensor *x, Tensor *w, Tensor *bias) { return linear(tp, x, w, bias); }

static void matmul_backward(Node *nd)
{
  run_matmul_backward(&(MatmulBackward){node_grad(nd, nd->in[0]), node_grad(nd, nd->in[1]), node_flow(nd->out[0]),
                                        *(const Matmul *)nd->op});
}

Tensor *t_matmul(Tape *tp, Tensor *x, Tensor *m)
{
  if (m->axes != 2 || x->axes < 1 || x->shape[x->axes - 1] != m->shape[0])
    rwkv_fail("matmul: x %s does not fit a matrix %s [in,out]", tensor_shape(x), tensor_shape(m));
  size_t in = (size_t)m->shape[0], out = (size_t)m->shape[1], rows = shape_count(x->axes - 1, x->shape);
  if (m->packed.bits) values_only(tp, "matmul", x, m);
  Tensor *y = new_last_axis(tp, x, m->shape[1]);
  Matmul op = {y->data, x->data, m->data, rows, in, out, backend_factors()};
  if (y->n && m->packed.bits) run_matmul_packed(&(MatmulPacked){op.y, op.x, m->packed, rows, in, out, op.factors});
  else if (y->n) run_matmul(&op);
  if (m->packed.bits) return y;
  Node *nd = NODE(tp, matmul_backward, 2, 1, x, m, y);
  NODE_SAVE(nd, op);
  return y;
}

static void rows_backward(Node *nd)
{
  real *gtable = node_grad(nd, nd->in[0]);
  if (gtable) run_rows_backward(&(RowsBackward){gtable, node_flow(nd->out[0]), *(const Rows *)nd->op});
}

Tensor *t_rows(Tape *tp, Tensor *table, const int *index, int axes, const int *shape)
{
  if (table->axes != 2) rwkv_fail("rows: the table is [rows,C], not %s", tensor_shape(table));
  if (axes + 1 > MAX_AXES) rwkv_fail("rows: an index of shape %s has too many axes", shape_text(axes, shape));
  size_t count = shape_count(axes, shape), C = (size_t)table->shape[1];
  for (size_t i = 0; i < count; i++)
    if (index[i] < 0 || index[i] >= table->shape[0])
      rwkv_fail("rows: index %d at %s, expected 0 to %d", index[i], shape_place(axes, shape, i), table->shape[0] - 1);
  int full[MAX_AXES];
  if (axes) memcpy(full, shape, (size_t)axes * sizeof *full);
  full[axes] = table->shape[1];
  Tensor *y = tape_tensor(tp, axes + 1, full);
  Rows op = {y->data, table->data, index, count, (size_t)table->shape[0], C};
  if (y->n && table->packed.bits) run_rows_packed(&(RowsPacked){op.y, table->packed, index, count, op.rows, C});
  else if (y->n) run_rows(&op);
  if (table->packed.bits) return y;
  Node *nd = NODE(tp, rows_backward, 1, 1, table, y);
  node_linear(nd);
  if (nd) op.index = node_keep(tp, index, count * sizeof *index);
  NODE_SAVE(nd, op);
  return y;
}
