/* exp, log, log1p, tanh and cos of the reference: held against the C library's long double, their ends, and their bits,
   which are the same on every machine. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/elementary.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double infinite = (double)INFINITY;

static uint64_t stream;

static double uniform(double from, double to) /* sums and products alone: the same inputs everywhere */
{
  stream = stream * 6364136223846793005u + 1442695040888963407u;
  return from + (to - from) * ((double)(stream >> 11) * 0x1p-53);
}

/* The error in units of the last place of the exact result; where that is subnormal, of the smallest number. */
static double ulps(double found, long double exact)
{
  double size = fabs((double)exact), unit = nextafter(size, infinite) - size;
  return (double)(fabsl((long double)found - exact) / (size < DBL_MIN ? 0x1p-1074 : unit));
}

typedef struct {
  const char *name;
  double (*ours)(double);
  long double (*exact)(long double);
  double from, to, most; /* ulps */
} Range;

static long double cos_turnl(long double turns) { return cosl(turns * 6.28318530717958647692528676655900577L); }

static void close_to_the_c_library(void **state)
{
  (void)state;
  const Range ranges[] = {
      {"exp", m_exp, expl, -745, 709.7, 1},       {"exp", m_exp, expl, -2, 2, 1},
      {"exp", m_exp, expl, -1e-5, 1e-5, 1},       {"log", m_log, logl, 0, 4, 1},
      {"log", m_log, logl, 0.99, 1.01, 1},        {"log", m_log, logl, 0, 1e300, 1},
      {"log", m_log, logl, 0, 0x1p-1030, 1},      {"log1p", m_log1p, log1pl, -0.999, 10, 3},
      {"log1p", m_log1p, log1pl, -1e-6, 1e-6, 3}, {"tanh", m_tanh, tanhl, -25, 25, 3},
      {"tanh", m_tanh, tanhl, -1, 1, 3},          {"tanh", m_tanh, tanhl, -1e-8, 1e-8, 3},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    const Range *r = &ranges[i];
    double worst = 0, at = 0;
    stream = 1;
    for (int n = 0; n < 100000; n++) {
      double x = uniform(r->from, r->to), error = ulps(r->ours(x), r->exact(x));
      if (!(error <= worst)) worst = error, at = x;
    }
    if (!(worst <= r->most)) fail_msg("%s(%.17g): off by %g units in the last place", r->name, at, worst);
  }
  for (int n = 0; n < 100000; n++) {
    double x = uniform(0, 1);
    if (!(fabsl(m_cos_turn(x) - cos_turnl(x)) < 1e-15L)) fail_msg("m_cos_turn(%.17g) is %.17g", x, m_cos_turn(x));
  }
}

static void ends(void **state)
{
  (void)state;
  assert_true(m_exp(0) == 1 && m_exp(-infinite) == 0 && m_exp(infinite) == infinite && isnan(m_exp(NAN)));
  assert_true(m_exp(710) == infinite && m_exp(-746) == 0 && m_exp(-745) == 0x1p-1074);
  assert_true(m_log(1) == 0 && m_log(0) == -infinite && m_log(infinite) == infinite);
  assert_true(isnan(m_log(-1)) && isnan(m_log(NAN)));
  assert_true(m_log1p(0) == 0 && m_log1p(-1) == -infinite && m_log1p(infinite) == infinite && isnan(m_log1p(-2)));
  assert_true(m_log1p(0x1p-60) == 0x1p-60 && isnan(m_log1p(NAN)));
  assert_true(m_tanh(infinite) == 1 && m_tanh(-infinite) == -1 && m_tanh(0) == 0 && isnan(m_tanh(NAN)));
  assert_true(signbit(m_tanh(-0.0)) && m_tanh(0x1p-60) == 0x1p-60);
  assert_true(m_cos_turn(0) == 1 && m_cos_turn(0.5) == -1 && m_cos_turn(1) == 1);
  assert_true(m_cos_turn(0.25) == 0 && m_cos_turn(0.75) == 0);
}

static uint64_t mixed(uint64_t hash, double x)
{
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (hash ^ bits) * 1099511628211u;
}

static void the_same_bits_everywhere(void **state)
{
  (void)state;
  uint64_t hash = 14695981039346656037u;
  stream = 1;
  for (int n = 0; n < 100000; n++) {
    hash = mixed(hash, m_exp(uniform(-700, 700)));
    hash = mixed(hash, m_log(uniform(0, 1000)));
    hash = mixed(hash, m_log1p(uniform(0, 1)));
    hash = mixed(hash, m_tanh(uniform(-5, 5)));
    hash = mixed(hash, m_cos_turn(uniform(0, 1)));
  }
  if (hash != UINT64_C(0x05cf1c7b8046c352)) fail_msg("the bits have changed: %016llx", (unsigned long long)hash);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(close_to_the_c_library),
      cmocka_unit_test(ends),
      cmocka_unit_test(the_same_bits_everywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
