/* The initial values of new models against files written right after the official initialisation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "models.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- float32, number by number ---- */

/* Floats in order as integers, so that a difference counts the floats between. */
static int64_t place(float x)
{
  int32_t bits;
  memcpy(&bits, &x, 4);
  return bits < 0 ? (int64_t)INT32_MIN - bits : bits;
}

static int64_t ulps(float x, float y) { return isnan(x) || isnan(y) ? INT64_MAX : llabs(place(x) - place(y)); }

static int64_t worst_ulps(const Tensor *a, const Tensor *b, int *inexact)
{
  int64_t worst = 0;
  for (size_t i = 0; i < a->n; i++) {
    int64_t off = ulps((float)a->data[i], (float)b->data[i]);
    worst = off > worst ? off : worst;
    *inexact += off != 0;
  }
  return worst;
}

/* ---- random matrices ---- */

/* Whether the rows, or the columns if there are fewer, are orthonormal times a common gain. */
static bool orthogonal(const Tensor *t, double *gain)
{
  if (t->axes != 2) return false;
  size_t rows = (size_t)t->shape[0], cols = (size_t)t->shape[1], count = rows < cols ? rows : cols;
  size_t step = rows < cols ? 1 : cols, vector = rows < cols ? cols : 1, n = rows < cols ? cols : rows;
  double worst = 0, square = 0;
  for (int pass = 0; pass < 2; pass++) /* first the gain, then how far the products are from gain^2 I */
    for (size_t i = 0; i < count; i++)
      for (size_t j = 0; j < count; j++) {
        double sum = 0;
        if (pass == 0 && i != j) continue;
        for (size_t k = 0; k < n; k++)
          sum += (double)t->data[i * vector + k * step] * (double)t->data[j * vector + k * step];
        if (pass == 0) square += sum / (double)count;
        else worst = fmax(worst, fabs(sum - (i == j ? square : 0)));
      }
  *gain = sqrt(square);
  return square > 0 && worst <= 1e-5 * square;
}

typedef struct {
  double largest, mean, variance, fourth;
} Moments;

static Moments moments(const Tensor *t)
{
  Moments m = {0};
  double n = (double)t->n;
  for (size_t i = 0; i < t->n; i++) {
    double x = (double)t->data[i];
    m.largest = fmax(m.largest, fabs(x));
    m.mean += x / n, m.variance += x * x / n, m.fourth += x * x * x * x / n;
  }
  return m;
}

/* Uniform in [-b, b]: the largest is nearly b, variance b^2/3, fourth moment b^4/5. */
static bool uniform(const Tensor *t, double *bound)
{
  Moments m = moments(t);
  double b = *bound = m.largest, slack = 4 / sqrt((double)t->n);
  return b > 0 && fabs(m.mean) < slack * b && fabs(m.variance / (b * b) - 1.0 / 3) < slack &&
         fabs(m.fourth / (b * b * b * b) - 0.2) < slack;
}

/* A matrix that is random in the official code: the same distribution in ours. */
static void same_distribution(const char *name, const Tensor *ours, const Tensor *official)
{
  double mine, theirs;
  if (orthogonal(official, &theirs)) {
    if (!orthogonal(ours, &mine)) fail_msg("%s is not orthogonal, the official one is, gain %g", name, theirs);
    if (!(fabs(mine - theirs) <= 1e-4 * theirs)) fail_msg("%s has gain %.8g, not %.8g", name, mine, theirs);
  } else if (uniform(official, &theirs)) {
    if (!uniform(ours, &mine)) fail_msg("%s is not uniform, the official one is, in +-%g", name, theirs);
    if (!(fabs(mine - theirs) <= 0.02 * theirs)) fail_msg("%s is within +-%g, not +-%g", name, mine, theirs);
  } else fail_msg("%s differs from the official one, which is neither orthogonal nor uniform", name);
}

/* ---- files ---- */

typedef struct {
  int exact, random, inexact; /* parameters compared number by number, by distribution; numbers 1 ulp off */
} Tally;

/* Returns whether it was compared by distribution. */
static bool compare_param(const char *version, const Param *ours, const Param *official, Tally *tally)
{
  char name[PARAM_NAME + 20];
  int inexact = 0;
  snprintf(name, sizeof name, "%s %s", version, ours->name);
  assert_int_equal(ours->t->n, official->t->n);
  int64_t off = worst_ulps(ours->t, official->t, &inexact);
  int wide = 0;
  for (int i = 0; i < ours->t->axes; i++) wide += ours->t->shape[i] > 1;
  if (off <= 1) { /* pow is not the same to the last bit everywhere */
    tally->exact++;
    tally->inexact += inexact;
    return false;
  }
  if (wide < 2) fail_msg("%s is up to %lld ulps from the official values", name, (long long)off);
  same_distribution(name, ours->t, official->t);
  tally->random++;
  return true;
}

/* The same random numbers must not come twice. */
static void all_different(const Model *m, const bool *random)
{
  for (int i = 0; i < m->count; i++)
    for (int j = 0; j < i; j++) {
      const Tensor *a = m->params[i].t, *b = m->params[j].t;
      size_t n = a->n < b->n ? a->n : b->n;
      if (random[i] && random[j] && memcmp(a->data, b->data, n * sizeof(real)) == 0)
        fail_msg("%s and %s begin with the same random numbers", m->params[i].name, m->params[j].name);
    }
}

/* "v5_0" is v5.0, "v6_0" is of v6 */
static bool is_of(const char *text, const char *version)
{
  while (*version && (*text == *version || (*text == '_' && *version == '.'))) text++, version++;
  return !*version;
}

static void compare_file(const char *path)
{
  ModelLoading l = {.path = path};
  const char *error = rwkv_protect(load_model_file, &l);
  if (error) {
    bool known = false;
    const char *version = l.file ? file_meta(l.file, "version") : NULL;
    for (int i = 0; version_list()[i]; i++) known |= version && is_of(version, version_list()[i]->name);
    if (known || !version) fail_msg("%s", error);
    printf("SKIPPED: %s: there is no version %s\n", path, version);
    file_close(l.file);
    return;
  }
  const Version *v = l.model->version;
  Model *ours = model_new(v, &l.model->d, 1);
  Tally tally = {0};
  bool *random = calloc((size_t)ours->count, sizeof *random);
  for (int i = 0; i < ours->count; i++) {
    const Param *official = model_param(l.model, ours->params[i].name);
    if (!official) fail_msg("%s lacks %s", path, ours->params[i].name);
    random[i] = compare_param(v->name, &ours->params[i], official, &tally);
  }
  all_different(ours, random);
  free(random);
  printf("%s: %d parameters number by number (%d numbers are 1 ulp off), %d by distribution\n", v->name, tally.exact,
         tally.inexact, tally.random);
  assert_true(tally.exact > tally.random && tally.random >= 2);
  model_free(ours);
  model_free(l.model);
  file_close(l.file);
}

static void official_initialisation(void **state)
{
  (void)state;
  glob_t found;
  assert_int_equal(glob("tests/golden/*.init.safetensors", 0, NULL, &found), 0);
  assert_true(found.gl_pathc >= 2);
  for (size_t i = 0; i < found.gl_pathc; i++) compare_file(found.gl_pathv[i]);
  globfree(&found);
}

/* ---- what one file of one size does not show ---- */

static void gain_is(Model *m, const char *name, double want)
{
  double gain;
  const Param *p = model_param(m, name);
  assert_non_null(p);
  if (!orthogonal(p->t, &gain)) fail_msg("%s is not orthogonal", name);
  if (!(fabs(gain - want) <= 1e-5 * want)) fail_msg("%s has gain %.8g, expected %.8g", name, gain, want);
}

static void gains_of_other_shapes(void **state)
{
  (void)state;
  Dims small = {.V = 20, .C = 48, .L = 2, .N = 8}, large = {.V = 200, .C = 24, .L = 2, .N = 8};
  Model *m = model_new(version_find("v7"), &small, 3), *n = model_new(version_find("v7"), &large, 3);
  gain_is(m, "head.weight", 0.5); /* V < C */
  gain_is(n, "head.weight", 0.5 * sqrt(200.0 / 24));
  gain_is(n, "blocks.1.att.w2", 0.1 * sqrt(n->d.Dw / 24.0)); /* rank 32 > C */
  gain_is(m, "blocks.1.att.w2", 0.1);
  gain_is(m, "blocks.0.att.key.weight", 0.1);
  gain_is(m, "blocks.0.att.receptance.weight", 1);
  gain_is(m, "blocks.1.ffn.key.weight", 1);
  model_free(m), model_free(n);
  Dims wide = {.V = 20, .C = 24, .L = 2, .A = 36, .F = 54};
  Dims narrow = {.V = 20, .C = 24, .L = 2, .A = 12, .F = 10};
  m = model_new(version_find("v4"), &wide, 3), n = model_new(version_find("v4"), &narrow, 3);
  gain_is(m, "head.weight", 0.5);
  gain_is(m, "blocks.1.att.value.weight", sqrt(36.0 / 24));
  gain_is(m, "blocks.1.ffn.key.weight", sqrt(54.0 / 24));
  gain_is(n, "blocks.0.att.value.weight", 1);
  gain_is(n, "blocks.0.ffn.key.weight", 1);
  model_free(m), model_free(n);
}

/* ---- against Gram-Schmidt one vector after the other ---- */

static void gram_schmidt(double *q, size_t count, size_t n) /* rows of n */
{
  for (size_t j = 0; j < count; j++) {
    double *x = q + j * n, length = 0;
    for (size_t e = 0; e < 2 * j; e++) { /* all of them twice */
      double along = 0, *unit = q + e % j * n;
      for (size_t i = 0; i < n; i++) along += unit[i] * x[i];
      for (size_t i = 0; i < n; i++) x[i] -= along * unit[i];
    }
    for (size_t i = 0; i < n; i++) length += x[i] * x[i];
    for (size_t i = 0; i < n; i++) x[i] /= sqrt(length);
  }
}

/* Sizes around those of the panels; of the square ones the last vectors are what is left of hundreds. */
static void orthogonal_is_unique(void **state)
{
  (void)state;
  static const size_t sizes[][2] = {{1, 1},   {1, 5},   {5, 1},     {7, 7},    {31, 40},
                                    {64, 33}, {33, 32}, {129, 129}, {2100, 40}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    size_t rows = sizes[k][0], cols = sizes[k][1], count = rows < cols ? rows : cols, n = rows * cols / count;
    double *out = calloc(rows * cols, sizeof *out), *q = calloc(rows * cols, sizeof *q), worst = 0;
    Rng rng = rng_named(k, "orthogonal"), same = rng;
    Dims d = {.L = 1};
    init_orthogonal(&(Init){.out = out, .n = rows * cols, .rows = rows, .cols = cols, .d = &d, .gain = 3, .rng = &rng});
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++) q[rows < cols ? i * n + j : j * n + i] = rng_normal(&same);
    gram_schmidt(q, count, n);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++)
        worst = fmax(worst, fabs(out[i * cols + j] - 3 * q[rows < cols ? i * n + j : j * n + i]));
    if (!(worst <= 1e-11)) fail_msg("[%zu,%zu]: %g apart", rows, cols, worst);
    assert_true(rng.count == same.count);
    free(out), free(q);
  }
}

/* The test's own instruments. */
static void instruments(void **state)
{
  (void)state;
  assert_int_equal(place(1.0f) - place(nextafterf(1.0f, 0)), 1);
  assert_int_equal(place(-0.0f), place(0.0f));
  assert_int_equal(place(0x1p-149f) - place(-0x1p-149f), 2);
  double x;
  Tensor *t = tensor_new(2, (const int[]){40, 50});
  Rng r = rng_named(1, "instruments");
  for (size_t i = 0; i < t->n; i++) t->data[i] = (real)rng_normal(&r);
  assert_false(uniform(t, &x));
  assert_false(orthogonal(t, &x));
  for (size_t i = 0; i < t->n; i++) t->data[i] = (real)(rng_uniform(&r) - 0.5);
  assert_true(uniform(t, &x) && x > 0.49 && x <= 0.5);
  assert_false(orthogonal(t, &x));
  tensor_fill(t, 0);
  for (size_t i = 0; i < 40; i++) t->data[i * 50 + i] = i % 2 ? 3 : -3;
  assert_true(orthogonal(t, &x) && fabs(x - 3) < 1e-6);
  t->data[1] = (real)0.001;
  assert_false(orthogonal(t, &x));
  tensor_free(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(instruments),
      cmocka_unit_test(official_initialisation),
      cmocka_unit_test(gains_of_other_shapes),
      cmocka_unit_test(orthogonal_is_unique),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
