/* The functions of one and two numbers that pointwise ops and programs of steps are made of, and their slopes: the
   formulas of ref/engine/k_point.c, in the precision of the numbers. */
#ifndef AVIARY_CUDA_FUNCTIONS_H
#define AVIARY_CUDA_FUNCTIONS_H

#include "device.h"

DEVICE real sigmoid(real x) { return 1 / (1 + exp(-x)); }
DEVICE real softplus(real x) { return log1p(exp(-fabs(x))) + (x > 0 ? x : 0); }

/* f(x) */
DEVICE real unary_value(int kind, real x)
{
  switch (kind) {
  case U_NEG: return -x;
  case U_EXP: return exp(x);
  case U_LOG: return log(x);
  case U_SQRT: return sqrt(x);
  case U_SQUARE: return x * x;
  case U_ABS: return fabs(x);
  case U_TANH: return tanh(x);
  case U_SIGMOID: return sigmoid(x);
  case U_SILU: return x * sigmoid(x);
  case U_RELU: return x < 0 ? 0 : x; /* NaN stays NaN */
  case U_RELU2: return x < 0 ? 0 : x * x;
  case U_SOFTPLUS: return softplus(x);
  case U_MISH: return x * tanh(softplus(x));
  case U_SIN: return sin(x);
  default: return cos(x);
  }
}

DEVICE real mish_slope(real x)
{
  real t = tanh(softplus(x));
  return t + x * (1 - t * t) * sigmoid(x);
}

/* df/dx at x, where y = f(x) */
DEVICE real unary_slope(int kind, real x, real y)
{
  switch (kind) {
  case U_NEG: return -1;
  case U_EXP: return exp(x);
  case U_LOG: return 1 / x;
  case U_SQRT: return (real)0.5 / sqrt(x);
  case U_SQUARE: return 2 * x;
  case U_ABS: return x > 0 ? 1 : x < 0 ? -1 : 0;
  case U_TANH: return 1 - y * y;
  case U_SIGMOID: return y * (1 - y);
  case U_SILU: return sigmoid(x) + y * (1 - sigmoid(x));
  case U_RELU: return x > 0 ? 1 : 0;
  case U_RELU2: return x > 0 ? 2 * x : 0;
  case U_SOFTPLUS: return sigmoid(x);
  case U_MISH: return mish_slope(x);
  case U_SIN: return cos(x);
  default: return -sin(x);
  }
}

/* f(a, b) */
DEVICE real binary_value(int kind, real a, real b)
{
  switch (kind) {
  case B_ADD: return a + b;
  case B_SUB: return a - b;
  case B_MUL: return a * b;
  case B_DIV: return a / b;
  case B_MAX: return a >= b || a != a ? a : b;
  default: return a <= b || a != a ? a : b;
  }
}

/* df/da and df/db */
DEVICE real binary_slope_a(int kind, real a, real b)
{
  switch (kind) {
  case B_ADD: return 1;
  case B_SUB: return 1;
  case B_MUL: return b;
  case B_DIV: return 1 / b;
  case B_MAX: return a >= b;
  default: return a <= b;
  }
}

DEVICE real binary_slope_b(int kind, real a, real b)
{
  switch (kind) {
  case B_ADD: return 1;
  case B_SUB: return -1;
  case B_MUL: return a;
  case B_DIV: return -(a / b) / b; /* b b may be too large, or nothing */
  case B_MAX: return !(a >= b);
  default: return !(a <= b);
  }
}

#endif
