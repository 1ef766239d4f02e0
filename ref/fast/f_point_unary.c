/* Pointwise functions of one operand. */
#include "f_math.h"

typedef struct {
  UnaryBackward op;
  bool add; /* otherwise there is nothing to be added to */
} Backward;

/* y[i] = f(x[i]); gx[i] += g[i] df(x[i], y[i]): one loop for each function */
#define MAP(f)                         \
  for (size_t i = from; i < to; i++) { \
    real x = q->x[i];                  \
    q->y[i] = (f);                     \
  }                                    \
  break
#define MAP_BACK(g_df)                               \
  for (size_t i = from; i < to; i++) {               \
    real x = f->x[i], y = f->y[i], g = q->op.g[i];   \
    (void)x, (void)y;                                \
    q->op.gx[i] = OLD(q->add, q->op.gx[i]) + (g_df); \
  }                                                  \
  break

/* x tanh(softplus(x)): with e = e^x and n = e (e + 2) the tanh is n / (n + 2). Beyond 30 it is 1. */
INLINE real mish(real x)
{
  real e = fast_exp(x > 30 ? 30 : x), n = e * (e + 2);
  return x * (n / (n + 2));
}

INLINE real mish_slope(real x)
{
  real e = fast_exp(x > 30 ? 30 : x), n = e * (e + 2), d = 1 / (n + 2);
  return n * d + 4 * x * e * d * ((1 + e) * d);
}

JOB static void unary_map(const void *arg, size_t from, size_t to)
{
  const Unary *q = arg;
  switch (q->kind) {
  case U_NEG: MAP(-x);
  case U_EXP: MAP(fast_exp(x));
  case U_SQUARE: MAP(x * x);
  case U_ABS: MAP(fast_abs(x));
  case U_TANH: MAP(fast_tanh(x));
  case U_SIGMOID: MAP(fast_sigmoid(x));
  case U_SILU: MAP(x * fast_sigmoid(x));
  case U_RELU: MAP(x < 0 ? 0 : x);
  case U_RELU2: MAP(x < 0 ? 0 : x * x);
  case U_MISH: MAP(mish(x));
  default: k_unary(&(Unary){q->y + from, q->x + from, to - from, q->kind}); /* rare ones: the reference, in parallel */
  }
}

JOB static void unary_back(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  const Unary *f = &q->op.forward;
  switch (f->kind) {
  case U_NEG: MAP_BACK(-g);
  case U_EXP: MAP_BACK(g * y);
  case U_SQUARE: MAP_BACK(g * 2 * x);
  case U_ABS: MAP_BACK(x > 0 ? g : x < 0 ? -g : zero_like(g));
  case U_TANH: MAP_BACK(g * (1 - y * y));
  case U_SIGMOID: MAP_BACK(g * (y * (1 - y)));
  case U_SILU: MAP_BACK(g * (fast_sigmoid(x) + y * (1 - fast_sigmoid(x))));
  case U_RELU: MAP_BACK(x > 0 ? g : zero_like(g));
  case U_RELU2: MAP_BACK(x > 0 ? g * 2 * x : zero_like(g));
  case U_MISH: MAP_BACK(g * mish_slope(x));
  default:
    k_unary_backward(&(UnaryBackward){q->op.gx + from, q->op.g + from, {f->y + from, f->x + from, to - from, f->kind}});
  }
}

static size_t grain(UnaryKind kind)
{
  bool light = kind == U_NEG || kind == U_SQUARE || kind == U_ABS || kind == U_RELU || kind == U_RELU2;
  return light ? LIGHT : HEAVY;
}

void f_unary(const Unary *q) { RUN(unary, q, q->n, grain(q->kind), unary_map, *q); }

void f_unary_backward(const UnaryBackward *op)
{
  UnaryKind kind = op->forward.kind;
  bool rare = kind == U_LOG || kind == U_SQRT || (kind >= U_SOFTPLUS && kind != U_MISH); /* the reference adds */
  Backward q = {*op, rare || !fast_overwrite(op->gx)};
  RUN(unary_backward, op, op->forward.n, grain(kind), unary_back, q);
}
