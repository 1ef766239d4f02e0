/* Pointwise ops of operands of one size. A thread has some numbers of the result (each.h). */
#include "each.h"
#include "functions.h"
#include "reduce.h"
#include "walk.h"

/* ---- y = f(x); gx += g df(x, y): a kernel for each function ---- */

template <UnaryKind kind> struct UnaryValue {
  Unary op;
  __device__ real operator()(size_t i) const { return unary_value(kind, op.x[i]); }
};

template <UnaryKind kind> struct UnarySlope {
  UnaryBackward op;
  __device__ real operator()(size_t i) const { return op.g[i] * unary_slope(kind, op.forward.x[i], op.forward.y[i]); }
};

void c_unary(const Unary *op)
{
  switch (op->kind) {
#define CASE(kind, f, slope) \
  case kind: return write_each(op->y, UnaryValue<kind>{*op}, op->n);
    UNARY_FUNCTIONS(CASE)
#undef CASE
  default: device_fail("there is no function %d of one operand", (int)op->kind);
  }
}

void c_unary_backward(const UnaryBackward *op)
{
  if (!op->gx) return;
  switch (op->forward.kind) {
#define CASE(kind, f, slope) \
  case kind: return add_each(op->gx, UnarySlope<kind>{*op}, op->forward.n);
    UNARY_FUNCTIONS(CASE)
#undef CASE
  default: device_fail("there is no function %d of one operand", (int)op->forward.kind);
  }
}

/* ---- y = a where mask is not 0, otherwise b ---- */

struct Chosen {
  Choose op;
  __device__ real operator()(size_t i) const { return op.mask[i] != 0 ? op.a[i] : op.b[i]; }
};

struct ChosenGradients { /* nothing is added where the other one was taken, whatever g is */
  ChooseBackward op;
  __device__ Pair operator()(size_t i) const
  {
    bool first = op.forward.mask[i] != 0;
    return {first ? op.g[i] : 0, first ? 0 : op.g[i]};
  }
};

void c_choose(const Choose *op) { write_each(op->y, Chosen{*op}, op->n); }
void c_choose_backward(const ChooseBackward *op) { add_pairs(op->ga, op->gb, ChosenGradients{*op}, op->forward.n); }

/* ---- y = scale x + offset ---- */

struct Scaled {
  const real *x;
  real scale, offset;
  __device__ real operator()(size_t i) const { return scale * x[i] + offset; }
};

void c_affine(const Affine *op) { write_each(op->y, Scaled{op->x, (real)op->scale, (real)op->offset}, op->n); }

void c_affine_backward(const AffineBackward *op)
{
  if (op->gx) add_each(op->gx, Scaled{op->g, (real)op->forward.scale, 0}, op->forward.n);
}

/* ---- z = x + (p - x) mu; number i of z, in [rows,C], has number i mod (mu_rows C) of mu ---- */

struct Mixed {
  Lerp op;
  Divisor mus;
  __device__ real operator()(size_t i) const
  {
    real x = op.x[i];
    return x + (op.p[i] - x) * op.mu[remainder_of(i, mus)];
  }
};

struct MixedGradients {
  LerpBackward op;
  Divisor mus;
  __device__ Pair operator()(size_t i) const
  {
    real g = op.g[i], mu = op.forward.mu[remainder_of(i, mus)];
    return {g * (1 - mu), g * mu};
  }
};

struct MixGradient { /* gmu(k) += sum of g (p - x) over the rows that share it */
  typedef real Value;
  LerpBackward op;
  size_t mus;
  __device__ real term(size_t k, size_t r) const
  {
    size_t i = r * mus + k;
    return op.g[i] * (op.forward.p[i] - op.forward.x[i]);
  }
  __device__ void store(size_t k, real v) const { op.gmu[k] += v; }
};

void c_lerp(const Lerp *op)
{
  size_t n = op->rows * op->C;
  if (n) write_each(op->z, Mixed{*op, divisor(op->mu_rows * op->C)}, n);
}

void c_lerp_backward(const LerpBackward *op)
{
  const Lerp *f = &op->forward;
  size_t n = f->rows * f->C, mus = f->mu_rows * f->C;
  if (!n) return;
  add_pairs(op->gx, op->gp, MixedGradients{*op, divisor(mus)}, n);
  if (op->gmu) reduce(MixGradient{*op, mus}, mus, n / mus, false);
}
