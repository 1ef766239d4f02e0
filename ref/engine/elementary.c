#include "elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts; the first has 32 digits, so that its product with an exponent is exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33, log2_e = 0x1.71547652b82fep+0;

static double power_of_2(int64_t e) /* -1022 <= e <= 1023 */
{
  uint64_t bits = (uint64_t)(e + 1023) << 52;
  double x;
  return memcpy(&x, &bits, sizeof x), x;
}

/* e^r - 1 and n, x = n ln 2 + r, |r| <= (ln 2)/2; |x| < 800. The series of e^r up to r^13/13!, whose rest is below
   2^-57. */
static double split_exp(double x, int64_t *n)
{
  double nearest = x * log2_e + 0x1.8p52 - 0x1.8p52; /* to the nearest integer */
  double high = x - nearest * ln2_high, low = nearest * ln2_low, r = high - low;
  double r2 = r * r, r4 = r2 * r2;
  double a = 1.0 / 2 + r * (1.0 / 6), b = 1.0 / 24 + r * (1.0 / 120), c = 1.0 / 720 + r * (1.0 / 5040);
  double d = 1.0 / 40320 + r * (1.0 / 362880), e = 1.0 / 3628800 + r * (1.0 / 39916800);
  double f = 1.0 / 479001600 + r * (1.0 / 6227020800);
  double sum = (a + r2 * b) + r4 * ((c + r2 * d) + r4 * (e + r2 * f));
  *n = (int64_t)nearest;
  return high + (r2 * sum - low);
}

double m_exp(double x)
{
  if (x != x) return x;
  if (x > 709.8) return (double)INFINITY;
  if (x < -745.2) return 0;
  int64_t n;
  double y = 1 + split_exp(x, &n);
  if (n > 1022) return y * 2 * power_of_2(n - 1);
  return n < -1021 ? y * power_of_2(n + 64) * 0x1p-64 : y * power_of_2(n);
}

/* log(1+f) = 2 artanh s = f - s (f - R), s = f/(2+f), R = 2 s^2/3 + 2 s^4/5 + ..; for |s| < 0.1716 up to s^24. */
double m_log(double x)
{
  if (!(x > 0)) return x == 0 ? -(double)INFINITY : (double)NAN;
  if (x > 0x1.fffffffffffffp1023) return x;
  double scale = 0;
  if (x < 0x1p-1022) x *= 0x1p54, scale = -54;
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int64_t e = (int64_t)(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffff) | (uint64_t)1023 << 52;
  memcpy(&x, &bits, sizeof x);
  if (x > 0x1.6a09e667f3bcdp0) x /= 2, e++; /* within a factor of the root of 2 */
  double f = x - 1, s = f / (2 + f), s2 = s * s, R = 0, n = (double)e + scale;
  for (int k = 25; k >= 3; k -= 2) R = s2 * (2.0 / k + R);
  return n * ln2_high + (f - (s * (f - R) - n * ln2_low));
}

double m_log1p(double x)
{
  double u = 1 + x;
  if (!(x > -1) || u > 0x1p54) return m_log(u);
  return m_log(u) + (x - (u - 1)) / u; /* with what rounding took away */
}

double m_tanh(double x)
{
  double size = fabs(x);
  if (x != x) return x;
  if (size > 22) return copysign(1, x);
  int64_t n;
  double part = split_exp(2 * size, &n), y = (power_of_2(n) - 1) + power_of_2(n) * part; /* e^{2 size} - 1 */
  return copysign(y / (y + 2), x);
}

double m_cos_turn(double turns)
{
  double quarter = turns * 4 + 0x1.8p52 - 0x1.8p52;                        /* nearest */
  double x = (turns - quarter / 4) * 6.283185307179586, x2 = x * x, y = 0; /* |x| <= pi/4 */
  int q = (int)quarter & 3, odd = q & 1;
  for (int k = odd ? 17 : 18; k >= 2; k -= 2) y = (1 - y) * x2 / (k * (k - 1)); /* 1 - y: the series from the end */
  y = odd ? x * (1 - y) : 1 - y;
  return q == 1 || q == 2 ? -y : y;
}

void m_log_lanes(double *y, const double *x)
{
  double f[LANES], s[LANES], s2[LANES], R[LANES] = {0}, n[LANES];
  for (int l = 0; l < LANES; l++) {
    uint64_t bits;
    memcpy(&bits, x + l, sizeof bits);
    uint64_t digits = bits & 0xfffffffffffff, above = digits > 0x6a09e667f3bcd; /* as in m_log */
    n[l] = (double)((int64_t)(bits >> 52) - 1023 + (int64_t)above);
    bits = digits | (1023 - above) << 52;
    memcpy(f + l, &bits, sizeof bits);
  }
  for (int l = 0; l < LANES; l++) {
    f[l] -= 1;
    s[l] = f[l] / (2 + f[l]);
    s2[l] = s[l] * s[l];
  }
  for (int k = 25; k >= 3; k -= 2)
    for (int l = 0; l < LANES; l++) R[l] = s2[l] * (2.0 / k + R[l]);
  for (int l = 0; l < LANES; l++) y[l] = n[l] * ln2_high + (f[l] - (s[l] * (f[l] - R[l]) - n[l] * ln2_low));
}

void m_cos_turn_lanes(double *y, const double *turns)
{
  double x[LANES], x2[LANES], sum[LANES], odd[LANES];
  int q[LANES];
  for (int l = 0; l < LANES; l++) {
    double quarter = turns[l] * 4 + 0x1.8p52 - 0x1.8p52;
    x[l] = (turns[l] - quarter / 4) * 6.283185307179586;
    x2[l] = x[l] * x[l];
    q[l] = (int)quarter & 3;
    odd[l] = q[l] & 1;
  }
  for (int l = 0; l < LANES; l++) sum[l] = x2[l] * (1 - odd[l]) / (18 * 17); /* the odd ones have a term less */
  for (int k = 16; k >= 2; k -= 2)
    for (int l = 0; l < LANES; l++) sum[l] = (1 - sum[l]) * x2[l] / ((k + odd[l]) * (k - 1 + odd[l]));
  for (int l = 0; l < LANES; l++) {
    double value = q[l] & 1 ? x[l] * (1 - sum[l]) : 1 - sum[l];
    y[l] = q[l] == 1 || q[l] == 2 ? -value : value;
  }
}
