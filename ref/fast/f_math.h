/* exp and what is made of it, without branches, so that loops over them become vector instructions.
   In float the relative error is about 2e-7 (measured in tests/test_fast.c); infinities and NaN come out
   as from libm. In double these are libm's. */
#ifndef AVIARY_FAST_MATH_H
#define AVIARY_FAST_MATH_H

#include "f_job.h"

#include <math.h>

/* As fmax: a NaN loses. */
INLINE acc fast_max(acc a, acc b) { return b > a || a != a ? b : a; }

/* g times 0: NaN where g is no number. (gcc 12 makes 0 of g * 0 under -fno-signed-zeros.) */
INLINE real zero_like(real g) { return g - g; }

#ifdef AVIARY_DOUBLE
INLINE real fast_abs(real x) { return fabs(x); }
INLINE real fast_exp(real x) { return exp(x); }
INLINE real fast_tanh(real x) { return tanh(x); }
#else

INLINE real fast_abs(real x) { return __builtin_fabsf(x); }

/* The bits of a float, and back. */
INLINE uint32_t bits_of(float x)
{
  /* clang-format off */
  union { float x; uint32_t bits; } u = {x};
  /* clang-format on */
  return u.bits;
}

INLINE float of_bits(uint32_t bits)
{
  /* clang-format off */
  union { uint32_t bits; float x; } u = {bits};
  /* clang-format on */
  return u.x;
}

/* Of float16: the exponent is moved by 127 - 15; what is subnormal there, m 2^-24, is here
   2^-14 (1 + m/1024) - 2^-14. */
INLINE float half_float(uint16_t h)
{
  uint32_t size = (uint32_t)(h & 0x7fff) << 13, exponent = h & 0x7c00;
  uint32_t moved = size + ((exponent == 0 ? 113u : exponent == 0x7c00 ? 224u : 112u) << 23);
  float x = exponent == 0 ? of_bits(moved) - of_bits(113u << 23) : of_bits(moved);
  return h & 0x8000 ? -x : x;
}

/* e^x = 2^n e^r with |r| <= ln(2)/2; coefficients as in Cephes (Moshier). Beyond the bounds the result is
   0 or infinity in any case; a NaN passes them. */
INLINE float fast_exp(float x)
{
  const float shift = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded to an integer */
  float in = x < -104.0f ? -104.0f : x;
  in = in > 89.0f ? 89.0f : in;
  int32_t whole = (int32_t)(bits_of(in * 1.44269504f + shift) - bits_of(shift)), half = whole / 2;
  float n = (float)whole;                   /* and not "- shift": the compiler may cancel that, it reorders sums here */
  float r = EXACTLY(in - n * 0.693359375f); /* ln 2 in two parts, the first with few bits */
  r = EXACTLY(r - n * -2.12194440e-4f);
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = EXACTLY(p * (r * r) + r) + 1.0f;
  /* times 2^n in two steps, as 2^n may be no float: added to the exponent, then multiplied */
  float y = of_bits(bits_of(p) + ((uint32_t)half << 23)) * of_bits((uint32_t)(whole - half + 127) << 23);
  return x != x ? x : y;
}

/* Near 0 a polynomial, elsewhere 1 - 2 / (e^{2|x|} + 1). */
INLINE float fast_tanh(float x)
{
  float a = fast_abs(x), s = x * x;
  float p = -5.70498872745e-3f;
  p = p * s + 2.06390887954e-2f;
  p = p * s - 5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s - 3.33332819422e-1f;
  float near = EXACTLY(p * s * x) + x;
  float far = 1.0f - 2.0f / (fast_exp(2 * a) + 1.0f);
  far = x < 0 ? -far : far;
  return a < 0.625f ? near : far; /* a NaN takes `far`, and comes out */
}
#endif

/* From e^{-|x|}, which cannot overflow. */
INLINE real fast_sigmoid(real x)
{
  real e = fast_exp(-fast_abs(x)), d = 1 / (1 + e);
  return x < 0 ? e * d : d;
}

#endif
