/* Pointwise ops of two operands that are broadcast against each other: y = f(a, b), gradients, and comparing. */
#include "each.h"
#include "functions.h"
#include "reduce.h"
#include "walk.h"

/* ---- forward: a thread has some numbers of y, and finds those of a and b by the axes ---- */

enum { A, B }; /* what a walk over the axes of the result moves, */
enum { Y = B + 1 };

static Walk<2> walk_operands(const Broadcast *s)
{
  Walk<2> w = {};
  for (int d = 3; d >= 0; d--) walk_axis(&w, (size_t)s->n[d], {s->step_a[d], s->step_b[d]});
  return w;
}

struct BinaryValue {
  Binary op;
  Walk<2> walk;
  __device__ real operator()(size_t i) const
  {
    Place<2> p = place_of(walk, i);
    return binary_value(op.kind, op.a[p.at[A]], op.b[p.at[B]]);
  }
};

struct CompareValue {
  Compare op;
  Walk<2> walk;
  __device__ real operator()(size_t i) const
  {
    Place<2> p = place_of(walk, i);
    return compare_value(op.kind, op.a[p.at[A]], op.b[p.at[B]]);
  }
};

void c_binary(const Binary *op)
{
  size_t n = k_broadcast_size(&op->shape);
  if (n) write_each(op->y, BinaryValue{*op, walk_operands(&op->shape)}, n);
}

void c_compare(const Compare *op)
{
  size_t n = k_broadcast_size(&op->shape);
  if (n) write_each(op->y, CompareValue{*op, walk_operands(&op->shape)}, n);
}

/* ---- backward, where neither is repeated: both gradients at once ---- */

DEVICE bool slope_reads(BinaryKind kind) { return kind > B_SUB; } /* the operands; those of sums are 1 and -1 */

struct BinaryGradients {
  BinaryBackward op;
  __device__ Pair operator()(size_t i) const
  {
    bool reads = slope_reads(op.forward.kind);
    real g = op.g[i], a = reads ? op.forward.a[i] : 0, b = reads ? op.forward.b[i] : 0;
    return {g * binary_slope_a(op.forward.kind, a, b), g * binary_slope_b(op.forward.kind, a, b)};
  }
};

/* ---- backward of one operand: at each of its numbers k, the sum over the r for which it was repeated ---- */

template <int WHICH> struct OperandGradient {
  typedef real Value;
  BinaryBackward op;
  Walk<3> own, repeated;
  __device__ real term(size_t k, size_t r) const
  {
    const Binary *f = &op.forward;
    Place<3> p = place_of(own, k), q = place_of(repeated, r);
    bool reads = slope_reads(f->kind);
    real a = reads ? f->a[p.at[A] + q.at[A]] : 0, b = reads ? f->b[p.at[B] + q.at[B]] : 0;
    real slope = WHICH == A ? binary_slope_a(f->kind, a, b) : binary_slope_b(f->kind, a, b);
    return op.g[p.at[Y] + q.at[Y]] * slope;
  }
  __device__ void store(size_t k, real v) const { (WHICH == A ? op.ga : op.gb)[place_of(own, k).at[WHICH]] += v; }
};

template <int WHICH> static void add_gradient(const BinaryBackward *op)
{
  const Broadcast *s = &op->forward.shape;
  const size_t *step = WHICH == A ? s->step_a : s->step_b;
  OperandGradient<WHICH> sum = {*op, {}, {}};
  size_t step_y = 1;
  int innermost = 3;
  for (int d = 3; d >= 0; step_y *= (size_t)s->n[d--])
    walk_axis(step[d] ? &sum.own : &sum.repeated, (size_t)s->n[d], {s->step_a[d], s->step_b[d], step_y});
  while (innermost > 0 && s->n[innermost] == 1) innermost--;
  reduce(sum, walk_size(&sum.own), walk_size(&sum.repeated), step[innermost] == 0);
}

void c_binary_backward(const BinaryBackward *op)
{
  const Broadcast *s = &op->forward.shape;
  size_t n = k_broadcast_size(s);
  if (!n) return;
  if (n == k_broadcast_held(s, s->step_a) && n == k_broadcast_held(s, s->step_b))
    return add_pairs(op->ga, op->gb, BinaryGradients{*op}, n);
  if (op->ga) add_gradient<A>(op);
  if (op->gb) add_gradient<B>(op);
}
