/* Pointwise functions of one operand. */
#include "f_math.h"

typedef struct {
  real *out;
  const real *x, *y, *g;
  UnaryKind kind;
  bool add;
} Args;

/* y[i] = f(x[i]); gx[i] += g[i] df(x[i], y[i]): one loop for each function */
#define MAP(f)                             \
  for (size_t i = from; i < to; i++) {     \
    real x = q->x[i];                      \
    q->out[i] = (f);                       \
  }                                        \
  break
#define MAP_BACK(g_df)                             \
  for (size_t i = from; i < to; i++) {             \
    real x = q->x[i], y = q->y[i], g = q->g[i];    \
    (void)x, (void)y;                              \
    q->out[i] = OLD(q->add, q->out[i]) + (g_df);   \
  }                                                \
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
  const Args *q = arg;
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
  default: k_unary(q->out + from, q->x + from, to - from, q->kind); /* rare ones: the reference, in parallel */
  }
}

JOB static void unary_back(const void *arg, size_t from, size_t to)
{
  const Args *q = arg;
  switch (q->kind) {
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
  default: k_unary_backward(q->out + from, q->g + from, q->x + from, q->y + from, to - from, q->kind);
  }
}

static size_t grain(UnaryKind kind)
{
  bool light = kind == U_NEG || kind == U_SQUARE || kind == U_ABS || kind == U_RELU || kind == U_RELU2;
  return light ? LIGHT : HEAVY;
}

void f_unary(real *y, const real *x, size_t n, UnaryKind kind)
{
  Args q = {.out = y, .x = x, .kind = kind};
  RUN(n, grain(kind), unary_map, q, READS(x, n), WRITES(y, n));
}

void f_unary_backward(real *gx, const real *g, const real *x, const real *y, size_t n, UnaryKind kind)
{
  bool rare = kind == U_LOG || kind == U_SQRT || (kind >= U_SOFTPLUS && kind != U_MISH); /* the reference adds */
  Args q = {gx, x, y, g, kind, rare || !fast_overwrite(gx)};
  RUN(n, grain(kind), unary_back, q, READS(g, n), READS(x, n), READS(y, n), WRITES(gx, n));
}
