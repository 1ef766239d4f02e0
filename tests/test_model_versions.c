/* The versions there are, and the sizes of a model: those that are left open, and those that cannot be. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "models.h"

#include <math.h>

/* ---- what must fail ---- */

typedef struct {
  const Version *version;
  Dims d;
  const char *name;
} Call;

static void call_new(void *arg) { model_new(((Call *)arg)->version, &((Call *)arg)->d, 1); }
static void call_find(void *arg) { version_find(((Call *)arg)->name); }

static void impossible_sizes(void **state)
{
  (void)state;
  static const struct {
    Dims d;
    const char *says;
  } bad[] = {
      {{.V = 0, .C = 8, .L = 1}, "vocab 0"},
      {{.V = 5, .C = 0, .L = 1}, "dim 0"},
      {{.V = 5, .C = 8, .L = 0}, "layers 0"},
      {{.V = -3, .C = 8, .L = 1}, "vocab -3"},
      {{.V = 5, .C = -8, .L = 1}, "dim -8"},
      {{.V = 5, .C = 8, .L = -1}, "layers -1"},
      {{.V = 2000000000, .C = 8, .L = 1}, "2000000000"},
      {{.V = 5, .C = 2000000000, .L = 1}, "2000000000"},
      {{.V = 5, .C = 8, .L = 2000000000}, "2000000000"},
      {{.V = 5, .C = 8, .L = 1, .F = -7}, "-7"},
      {{.V = 5, .C = 8, .L = 1, .N = -1}, "-1"},
      {{.V = 5, .C = 8, .L = 1, .Dw = 2000000000}, "2000000000"},
  };
  FOR_VERSIONS(v) {
    char name[3] = {v->name[0], v->name[1]}; /* "v5" for all three of them */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
      expect_failure_with(call_new, &(Call){.version = v, .d = bad[i].d}, v->name, bad[i].says, NULL);
    if (version_uses(v, offsetof(Dims, N))) {
      Call three = {.version = v, .d = {.V = 5, .C = 8, .L = 1, .N = 3}}, sixteen = three;
      sixteen.d.N = 16;
      expect_failure_with(call_new, &three, name, "8 channels", NULL);
      expect_failure_with(call_new, &sixteen, name, "16", NULL);
    }
  }
  Call other_width = {.version = version_find("v7"), .d = {.V = 5, .C = 8, .L = 1, .A = 16}};
  expect_failure_with(call_new, &other_width, "v7", "16", NULL);
}

static void unknown_version(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    assert_ptr_equal(version_find(v->name), v);
    expect_failure_with(call_find, &(Call){.name = "v99"}, "v99", v->name, NULL);
    expect_failure_with(call_find, &(Call){.name = ""}, "", v->name, NULL);
  }
}

/* ---- sizes that are left open ---- */

/* max(32, 32 round(f/32)), where a half goes to the even neighbour as in Python: 1.8 sqrt(6400) = 4.5 * 32 */
static int expected_rank(double f)
{
  int n = (int)floor(f / 32);
  double rest = f / 32 - n;
  if (rest > 0.5 || (rest == 0.5 && n % 2)) n++;
  return n < 1 ? 32 : 32 * n;
}

static void default_sizes(void **state)
{
  (void)state;
  const Version *v7 = version_find("v7");
  Dims d = {.one = 1, .V = 100, .C = 768, .L = 12};
  v7->complete(&d);
  assert_int_equal(d.Dw, 64);
  assert_int_equal(d.Da, 64);
  assert_int_equal(d.Dv, 32);
  assert_int_equal(d.Dg, 128);
  assert_int_equal(d.F, 3072);
  assert_int_equal(d.N, 64);
  assert_int_equal(d.H, 12);
  assert_int_equal(d.A, 768);
  for (int C = 64; C <= 8192; C += 64) {
    Dims e = {.one = 1, .V = 100, .C = C, .L = 12};
    v7->complete(&e);
    assert_int_equal(e.Dw, expected_rank(1.8 * sqrt(C)));
    assert_int_equal(e.Da, expected_rank(1.8 * sqrt(C)));
    assert_int_equal(e.Dv, expected_rank(1.3 * sqrt(C)));
    assert_int_equal(e.Dg, expected_rank(0.6 * pow(C, 0.8)));
    assert_int_equal(e.F, 4 * C);
  }
  Dims tie = {.one = 1, .V = 100, .C = 6400, .L = 1};
  v7->complete(&tie);
  assert_int_equal(tie.Dw, 128);
  Dims kept = {.one = 1, .V = 9, .C = 24, .L = 1, .F = 10, .N = 8, .Dw = 1, .Da = 2, .Dv = 3, .Dg = 4};
  Dims all = kept;
  v7->complete(&all);
  kept.A = 24, kept.H = 3;
  assert_memory_equal(&all, &kept, sizeof kept);
  Dims v4 = {.one = 1, .V = 100, .C = 24, .L = 3};
  version_find("v4")->complete(&v4);
  assert_int_equal(v4.A, 24);
  assert_int_equal(v4.F, 96);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(impossible_sizes),
      cmocka_unit_test(unknown_version),
      cmocka_unit_test(default_sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
