/* Numbers in 16 and 32 bits: every pattern, the nearest number, ties to even, what is too large. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include <math.h>
#include <string.h>

enum { PATTERNS = 1 << 16 };

static const Storage halves[] = {STORED_BF16, STORED_F16};

/* sign, exponent and digits of a pattern, as IEEE 754 has them */
static double number_of(uint16_t bits, Storage storage)
{
  int digits = storage == STORED_F16 ? 10 : 7, bias = storage == STORED_F16 ? 15 : 127;
  int exponent = (bits & 0x7FFF) >> digits, most = 2 * bias + 1;
  double fraction = ldexp(bits & ((1 << digits) - 1), -digits), sign = bits >> 15 ? -1 : 1;
  if (exponent == most) return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
  return exponent ? sign * ldexp(1 + fraction, exponent - bias) : sign * ldexp(fraction, 1 - bias);
}

static void every_pattern(void **state)
{
  (void)state;
  for (size_t s = 0; s < 2; s++)
    for (int i = 0; i < PATTERNS; i++) {
      uint16_t bits = (uint16_t)i, again;
      double want = number_of(bits, halves[s]), found = packed_number((Packed){&bits, halves[s]}, 0);
      real x = (real)found;
      size_t bad = packed_write(&again, halves[s], &x, 1);
      assert_int_equal(bad, 1);
      if (isnan(want)) {
        assert_true(isnan(found) && isnan(number_of(again, halves[s])));
        continue;
      }
      assert_memory_equal(&found, &want, sizeof want);
      if (halves[s] == STORED_F16) assert_true(packed_half(bits) == want);
      if (want < 0 || want > 0) assert_int_equal(again, bits);
      else assert_int_equal(again & 0x7FFF, 0); /* a zero may lose its sign */
    }
}

/* Between two neighbours: to the nearer one, and from the middle to the one whose last bit is 0. */
static void the_nearest_and_ties_to_even(void **state)
{
  (void)state;
  for (size_t s = 0; s < 2; s++)
    for (int i = 0; i < 0x7FFF; i += 3) {
      double low = number_of((uint16_t)i, halves[s]), high = number_of((uint16_t)(i + 1), halves[s]);
      if (!isfinite(low) || !isfinite(high)) break;
      const real x[] = {(real)(low + 0.25 * (high - low)), (real)(low + 0.5 * (high - low)),
                        (real)(low + 0.75 * (high - low))};
      uint16_t bits[3];
      assert_int_equal(packed_write(bits, halves[s], x, 3), 3);
      assert_int_equal(bits[0], i);
      assert_int_equal(bits[1], i + i % 2);
      assert_int_equal(bits[2], i + 1);
    }
}

/* packed_round does in place what packing and unpacking does. */
static void rounding_is_packing(void **state)
{
  (void)state;
  enum { N = 1000 };
  Rng rng = rng_new(1, 2);
  for (int storage = 0; storage < STORAGE_COUNT; storage++) {
    real x[N], rounded[N];
    uint32_t bits[N];
    for (int i = 0; i < N; i++) x[i] = (real)ldexp(rng_normal(&rng), (int)rng_below(&rng, 30) - 20);
    memcpy(rounded, x, sizeof x);
    packed_round(rounded, (Storage)storage, N);
    assert_int_equal(packed_write(bits, (Storage)storage, x, N), N);
    for (int i = 0; i < N; i++)
      assert_true((acc)rounded[i] == packed_number((Packed){bits, (Storage)storage}, (size_t)i));
  }
}

/* The largest float16 is 65504; from 65520 on the nearest would be 65536. The first one is named. */
static void too_large(void **state)
{
  (void)state;
  const real x[] = {(real)65504, (real)-INFINITY, (real)65519, (real)-65520, (real)1e6};
  real rounded[5];
  uint16_t bits[5];
  assert_int_equal(packed_write(bits, STORED_F16, x, 3), 3);
  assert_int_equal(packed_write(bits, STORED_F16, x, 5), 3);
  assert_int_equal(bits[0], 0x7BFF);
  assert_int_equal(bits[1], 0xFC00);
  assert_int_equal(bits[2], 0x7BFF);
  assert_int_equal(packed_write(bits, STORED_BF16, x, 5), 5);
  memcpy(rounded, x, sizeof x);
  packed_round(rounded, STORED_F16, 5);
  assert_true(rounded[0] == 65504 && rounded[2] == 65504);
  assert_true(isinf(rounded[1]) && isinf(rounded[3]) && isinf(rounded[4]));
  assert_true(rounded[3] < 0 && rounded[4] > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_pattern),
      cmocka_unit_test(the_nearest_and_ties_to_even),
      cmocka_unit_test(rounding_is_packing),
      cmocka_unit_test(too_large),
  };
  return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
