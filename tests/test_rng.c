/* Random numbers: known answers, the layout of streams, and what the numbers are like. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include <math.h>

/* The known answers published with Random123 (rng_philox4x32, 10 rounds). */
static void philox_known_answers(void **state)
{
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    rng_philox4x32(out, known[i].counter, known[i].key);
    assert_memory_equal(out, known[i].out, sizeof out);
  }
}

/* How seed, stream and count are laid out: written down, since saved runs depend on it. */
static void words_come_from_their_place(void **state)
{
  (void)state;
  Rng r = rng_new(0x299f31d0a4093822u, 0x0370734413198a2eu);
  const uint64_t block = 0x05a308d3243f6a88u;
  r.count = 2 * block;
  uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0x13198a2e, 0x03707344}, out[4];
  rng_philox4x32(out, counter, (uint32_t[]){0xa4093822, 0x299f31d0});
  assert_true(rng_bits(&r) == ((uint64_t)out[1] << 32 | out[0]));
  assert_true(rng_bits(&r) == ((uint64_t)out[3] << 32 | out[2]));
  assert_true(r.count / 2 == block + 1);
  Rng zero = rng_new(0, 0);
  assert_true(rng_bits(&zero) == 0xe169c58d6627e8d5u);
  assert_true(rng_bits(&zero) == 0x9b00dbd8bc57ac4cu);
}

static void uniform_numbers(void **state)
{
  (void)state;
  enum { N = 200000, BINS = 50 };
  Rng r = rng_new(1, 2);
  double sum = 0, squares = 0, lag = 0, before = 0.5, chi = 0;
  int bins[BINS] = {0};
  for (int i = 0; i < N; i++) {
    double u = rng_uniform(&r);
    assert_true(u >= 0 && u < 1);
    sum += u, squares += u * u, lag += (u - 0.5) * (before - 0.5), before = u;
    bins[(int)(u * BINS)]++;
  }
  for (int i = 0; i < BINS; i++) chi += pow(bins[i] - N / BINS, 2) / (N / BINS);
  assert_true(fabs(sum / N - 0.5) < 4 * sqrt(1.0 / 12 / N));
  assert_true(fabs(squares / N - 1.0 / 3) < 4 * sqrt(4.0 / 45 / N));
  assert_true(fabs(lag / N) < 4 / 12.0 / sqrt(N));
  assert_true(chi > 25 && chi < 90); /* 49 degrees of freedom */
}

static void normal_numbers(void **state)
{
  (void)state;
  enum { N = 200000 };
  Rng r = rng_new(3, 4);
  double moment[5] = {0};
  int beyond2 = 0;
  for (int i = 0; i < N; i++) {
    double x = rng_normal(&r);
    assert_true(isfinite(x));
    for (int m = 1; m <= 4; m++) moment[m] += pow(x, m) / N;
    beyond2 += fabs(x) > 2;
  }
  assert_true(fabs(moment[1]) < 4 / sqrt(N));
  assert_true(fabs(moment[2] - 1) < 4 * sqrt(2.0 / N));
  assert_true(fabs(moment[3]) < 4 * sqrt(15.0 / N));
  assert_true(fabs(moment[4] - 3) < 4 * sqrt(96.0 / N));
  assert_true(fabs((double)beyond2 / N - 0.0455003) < 4 * sqrt(0.0455 / N));
  assert_true(r.count == 2 * N); /* draws can be counted */
}

static void below_is_in_range_and_even(void **state)
{
  (void)state;
  enum { N = 60000 };
  Rng r = rng_new(5, 6);
  for (uint64_t n = 1; n <= 7; n++) {
    int seen[7] = {0};
    for (int i = 0; i < N; i++) {
      uint64_t x = rng_below(&r, n);
      assert_true(x < n);
      seen[x]++;
    }
    double expected = (double)N / (double)n;
    for (uint64_t x = 0; x < n; x++) assert_true(fabs(seen[x] - expected) <= 4.5 * sqrt(expected));
  }
  /* With n = 3/4 of 2^64 a bare remainder would fall below 2^62 half of the time, not a third. */
  uint64_t n = (uint64_t)3 << 62;
  int low = 0;
  for (int i = 0; i < N; i++) {
    uint64_t x = rng_below(&r, n);
    assert_true(x < n);
    low += x < (uint64_t)1 << 62;
  }
  assert_true(fabs(low - N / 3.0) < 5 * sqrt(N / 3.0));
}

static void streams_are_independent_and_repeatable(void **state)
{
  (void)state;
  enum { N = 20000 };
  Rng one = rng_new(7, 1), other = rng_new(7, 2), seed = rng_new(8, 1), again = rng_new(7, 1);
  double with_other = 0, with_seed = 0;
  for (int i = 0; i < N; i++) {
    double u = rng_uniform(&one) - 0.5;
    with_other += u * (rng_uniform(&other) - 0.5);
    with_seed += u * (rng_uniform(&seed) - 0.5);
    assert_true(rng_uniform(&again) - 0.5 == u);
  }
  assert_true(fabs(with_other / N) < 4 / 12.0 / sqrt(N));
  assert_true(fabs(with_seed / N) < 4 / 12.0 / sqrt(N));
  Rng a = rng_named(7, "blocks.0"), b = rng_named(7, "blocks.1"), c = rng_named(7, "blocks.0");
  assert_true(a.stream != b.stream);
  assert_true(a.stream == c.stream && a.seed == 7 && a.count == 0);
  assert_true(rng_named(0, "").stream == 0xcbf29ce484222325u);
  assert_true(rng_named(0, "foobar").stream == 0x85944171f73967e8u); /* FNV-1a's published answer */
}

/* Many at once are the same numbers, wherever they begin. */
static void normals_are_the_same(void **state)
{
  (void)state;
  enum { N = 200 };
  for (size_t n = 0; n < N; n += 7)
    for (uint64_t skip = 0; skip < 3; skip++) {
      Rng one = rng_named(3, "normals"), many;
      one.count = skip, many = one;
      double x[N], y[N];
      for (size_t i = 0; i < n; i++) x[i] = rng_normal(&one);
      rng_normals(&many, y, n);
      assert_memory_equal(x, y, n * sizeof *x);
      assert_true(one.count == many.count);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_known_answers),
      cmocka_unit_test(words_come_from_their_place),
      cmocka_unit_test(uniform_numbers),
      cmocka_unit_test(normal_numbers),
      cmocka_unit_test(normals_are_the_same),
      cmocka_unit_test(below_is_in_range_and_even),
      cmocka_unit_test(streams_are_independent_and_repeatable),
  };
  return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
