#include "packed.h"

#include <math.h>
#include <string.h>

const char *const storage_names[STORAGE_COUNT] = {"f32", "bf16", "f16"};

/* The digits of a significand (with the first one), the exponents of the smallest normal and of the largest number. */
static const struct {
  size_t size;
  int digits, lowest, highest;
} formats[STORAGE_COUNT] = {
    [STORED_F32] = {4, 24, -126, 127}, [STORED_BF16] = {2, 8, -126, 127}, [STORED_F16] = {2, 11, -14, 15}};

size_t storage_size(Storage storage) { return formats[storage].size; }

static float float_of(uint32_t bits)
{
  float x;
  return memcpy(&x, &bits, sizeof x), x;
}

static uint32_t bits_of(float x)
{
  uint32_t bits;
  return memcpy(&bits, &x, sizeof bits), bits;
}

acc packed_half(uint16_t h)
{
  int exponent = h >> 10 & 31;
  acc mantissa = h & 1023, sign = h >> 15 ? -1 : 1;
  if (exponent == 31) return mantissa > 0 ? (acc)NAN : sign * (acc)INFINITY;
  return exponent ? sign * ldexp(mantissa + 1024, exponent - 25) : sign * ldexp(mantissa, -24);
}

acc packed_number(Packed p, size_t i)
{
  switch (p.storage) {
  case STORED_F32: return (acc)((const float *)p.bits)[i];
  case STORED_BF16: return (acc)float_of((uint32_t)((const uint16_t *)p.bits)[i] << 16);
  default: return packed_half(((const uint16_t *)p.bits)[i]);
  }
}

static double power_of_2(int e) /* -1022 <= e <= 1023 */
{
  uint64_t bits = (uint64_t)(e + 1023) << 52;
  double x;
  return memcpy(&x, &bits, sizeof x), x;
}

/* To the nearest multiple of 2^(e - digits + 1), e the exponent of x: what is added and taken away again leaves no bits
   below that in a double. Among the subnormal numbers all steps are equal; what is too large stays as it is. */
static double rounded(double x, Storage storage)
{
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int e = (int)(bits >> 52 & 2047) - 1023;
  if (e > formats[storage].highest) return x;
  if (e < formats[storage].lowest) e = formats[storage].lowest;
  double shift = 1.5 * power_of_2(52 + e - formats[storage].digits + 1);
  return (x + shift) - shift;
}

acc packed_bf16(acc x)
{
  double y = rounded((double)x, STORED_BF16);
  return (acc)(fabs(y) >= 2 * power_of_2(formats[STORED_BF16].highest) ? copysign(INFINITY, y) : y);
}

static uint16_t half_bits(float x) /* a number that float16 has, or one that is not finite */
{
  uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (size == 0x7f800000) return (uint16_t)(sign | 0x7c00);
  if (size < (uint32_t)(127 - 14) << 23) return (uint16_t)(sign | (uint32_t)(float_of(size) * 16777216.0f)); /* 2^24 */
  return (uint16_t)(sign | (size - ((uint32_t)(127 - 15) << 23)) >> 13);
}

/* The i-th number; false: it is finite, and too large. */
static bool put(void *out, Storage storage, size_t i, double x)
{
  double y = rounded(x, storage);
  float f = (float)y; /* exact, or infinite */
  if (storage == STORED_F32) ((float *)out)[i] = f;
  else if (storage == STORED_F16) ((uint16_t *)out)[i] = half_bits(f);
  else ((uint16_t *)out)[i] = (uint16_t)(bits_of(f) >> 16 | (f != f ? 0x40 : 0)); /* a NaN stays one */
  return !isfinite(y) || fabs(y) < 2 * power_of_2(formats[storage].highest);
}

size_t packed_write(void *out, Storage storage, const real *x, size_t n)
{
  size_t bad = n;
  for (size_t i = 0; i < n; i++)
    if (!put(out, storage, i, (double)x[i]) && bad == n) bad = i;
  return bad;
}

size_t packed_write_doubles(void *out, Storage storage, const double *x, size_t n)
{
  size_t bad = n;
  for (size_t i = 0; i < n; i++)
    if (!put(out, storage, i, x[i]) && bad == n) bad = i;
  return bad;
}

void packed_round(real *x, Storage storage, size_t n)
{
  double limit = 2 * power_of_2(formats[storage].highest);
  for (size_t i = 0; i < n; i++) {
    double y = rounded((double)x[i], storage);
    x[i] = (real)(fabs(y) >= limit ? copysign(INFINITY, y) : y);
  }
}
