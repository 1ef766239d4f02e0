/* The functions of pointwise ops and their derivatives, for kernels: the formulas of k_unary_functions and
   k_binary_functions in the precision of `real`. Where the kind is known when a kernel is compiled, nothing is left of
   the switches. */
#ifndef AVIARY_CUDA_FUNCTIONS_H
#define AVIARY_CUDA_FUNCTIONS_H

#include "device.h"

DEVICE real sigmoid(real x) { return 1 / (1 + exp(-x)); }
DEVICE real softplus(real x) { return log1p(exp(-fabs(x))) + fmax(x, (real)0); }

DEVICE real mish_slope(real x)
{
  real t = tanh(softplus(x));
  return t + x * (1 - t * t) * sigmoid(x);
}

/* kind, y = f(x), dy/dx */
/* clang-format off */
#define UNARY_FUNCTIONS(F)                                             \
  F(U_NEG,      -x,                    -1)                             \
  F(U_EXP,      exp(x),                exp(x))                         \
  F(U_LOG,      log(x),                1 / x)                          \
  F(U_SQRT,     sqrt(x),               (real)0.5 / sqrt(x))            \
  F(U_SQUARE,   x * x,                 2 * x)                          \
  F(U_ABS,      fabs(x),               x > 0 ? 1 : x < 0 ? -1 : 0)     \
  F(U_TANH,     tanh(x),               1 - y * y)                      \
  F(U_SIGMOID,  sigmoid(x),            y * (1 - y))                    \
  F(U_SILU,     x * sigmoid(x),        sigmoid(x) + y * (1 - sigmoid(x))) \
  F(U_RELU,     x < 0 ? 0 : x,         x > 0 ? 1 : 0)                  \
  F(U_RELU2,    x < 0 ? 0 : x * x,     x > 0 ? 2 * x : 0)              \
  F(U_SOFTPLUS, softplus(x),           sigmoid(x))                     \
  F(U_MISH,     x * tanh(softplus(x)), mish_slope(x))                  \
  F(U_SIN,      sin(x),                cos(x))                         \
  F(U_COS,      cos(x),                -sin(x))

/* kind, y = f(a, b), dy/da, dy/db */
#define BINARY_FUNCTIONS(F)                                            \
  F(B_ADD, a + b,                     1,         1)                    \
  F(B_SUB, a - b,                     1,         -1)                   \
  F(B_MUL, a * b,                     b,         a)                    \
  F(B_DIV, a / b,                     1 / b,     -(a / b) / b)         \
  F(B_MAX, a >= b || a != a ? a : b,  a >= b,    !(a >= b))            \
  F(B_MIN, a <= b || a != a ? a : b,  a <= b,    !(a <= b))

/* kind, whether y = 1 */
#define COMPARE_FUNCTIONS(F) \
  F(C_GT, a > b) F(C_GE, a >= b) F(C_LT, a < b) F(C_LE, a <= b) F(C_EQ, a == b) F(C_NE, a != b)
/* clang-format on */

DEVICE real unary_value(int kind, real x)
{
  switch (kind) {
#define CASE(kind, f, slope) \
  case kind: return f;
    UNARY_FUNCTIONS(CASE)
#undef CASE
  default: return x;
  }
}

DEVICE real unary_slope(int kind, real x, real y)
{
  (void)y;
  switch (kind) {
#define CASE(kind, f, slope) \
  case kind: return slope;
    UNARY_FUNCTIONS(CASE)
#undef CASE
  default: return 0;
  }
}

DEVICE real binary_value(int kind, real a, real b)
{
  switch (kind) {
#define CASE(kind, f, slope_a, slope_b) \
  case kind: return f;
    BINARY_FUNCTIONS(CASE)
#undef CASE
  default: return 0;
  }
}

DEVICE real binary_slope_a(int kind, real a, real b)
{
  switch (kind) {
#define CASE(kind, f, slope_a, slope_b) \
  case kind: return slope_a;
    BINARY_FUNCTIONS(CASE)
#undef CASE
  default: return 0;
  }
}

DEVICE real binary_slope_b(int kind, real a, real b)
{
  switch (kind) {
#define CASE(kind, f, slope_a, slope_b) \
  case kind: return slope_b;
    BINARY_FUNCTIONS(CASE)
#undef CASE
  default: return 0;
  }
}

DEVICE real compare_value(CompareKind kind, real a, real b)
{
  switch (kind) {
#define CASE(kind, holds) \
  case kind: return holds;
    COMPARE_FUNCTIONS(CASE)
#undef CASE
  default: return 0;
  }
}

#endif
