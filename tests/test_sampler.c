/* The sampler: its distribution against numbers of the official steps, its draws, and what it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"
#include "text/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 12 };
static const real some[N] = {1.5, -0.25, 3, 0.5, 3, -2, 2.25, 0.5, -7, 1, 0.5, -0.75};

/* The chances that the pick is made by. */
static void chances(const Sampler *s, int n, double *out)
{
  double sum = 0;
  for (int i = 0; i < n; i++) sum += out[i] = (double)s->weight[i];
  for (int i = 0; i < n; i++) out[i] /= sum;
}

/* The official steps in numpy, float32, on `some`. */
static void chances_are_the_official_ones(void **state)
{
  (void)state;
  static const struct {
    double temperature, top_p;
    int top_k;
    double chance[N];
  } official[] = {
      {1, 0.85, 0, {0.08277886, 0, 0.3709891, 0, 0.3709891, 0, 0.1752429}},
      {1, 0.5, 0, {0, 0, 0.5, 0, 0.5}},
      {1, 0.3, 0, {0, 0, 0.5, 0, 0.5}}, /* two are equal: both stay */
      {0.7,
       0.9,
       0,
       {0.04509469, 0, 0.3843763, 0.01080699, 0.3843763, 0, 0.1316561, 0.01080699, 0, 0.02207573, 0.01080699}},
      {2,
       0.97,
       0,
       {0.1076729, 0, 0.2279436, 0.06530695, 0.2279436, 0, 0.1566632, 0.06530695, 0, 0.08385577, 0.06530695}},
      {1, 0.97, 5, {0.0788214, 0, 0.353253, 0, 0.353253, 0, 0.1668649, 0, 0, 0.0478076}},
      {1,
       0.99,
       6,
       {0.07251343, 0, 0.3249827, 0.02667621, 0.3249827, 0, 0.1535109, 0.02667621, 0, 0.04398162, 0.02667621}},
      {0, 0.85, 0, {0, 0, 0.5, 0, 0.5}},
      {1, 0, 0, {0, 0, 0.5, 0, 0.5}},
      {1.3, 0.99, 3, {0, 0, 0.3903774, 0, 0.3903774, 0, 0.2192452}},
      {0.1,
       0.99999,
       0,
       {1.529087e-07, 0, 0.4998617, 6.94206e-12, 0.4998617, 0, 0.0002764657, 6.94206e-12, 0, 1.030291e-09,
        6.94206e-12}},
  };
  for (size_t c = 0; c < sizeof official / sizeof *official; c++) {
    SamplerConfig cfg = {official[c].temperature, official[c].top_p, official[c].top_k, 0, 0, 1};
    Sampler *s = sampler_new(&cfg, 1, 0);
    double got[N];
    sampler_pick(s, some, N);
    chances(s, N, got);
    for (int i = 0; i < N; i++) check_number("chance", got[i], official[c].chance[i], 2e-6);
    for (int i = 0; i < N; i++) assert_true((got[i] > 1e-13) == (official[c].chance[i] > 1e-13));
    sampler_free(s);
  }
}

static void penalties_are_the_official_ones(void **state)
{
  (void)state;
  static const double official[N] = {0.05999215, 0,          0.1994192, 0.03634344, 0.3624961, 0,
                                     0.2091421,  0.03634344, 0,         0.0599202,  0.03634344};
  Sampler *s = sampler_new(&(SamplerConfig){1, 0.9, 0, 0.2, 0.3, 0.996}, 1, 0);
  double got[N];
  sampler_saw(s, 2, 1.992016 / 0.996 / 0.996);
  sampler_saw(s, 0, 1);
  sampler_saw(s, 4, 0);
  assert_int_equal(s->seen_count, 3);
  check_number("count", s->seen[0].count, 1.992016, 1e-12);
  check_number("count", s->seen[1].count, 0.996, 1e-12);
  check_number("count", s->seen[2].count, 0, 0);
  sampler_pick(s, some, N);
  chances(s, N, got);
  for (int i = 0; i < N; i++) check_number("chance", got[i], official[i], 2e-6);
  sampler_saw(s, 1 << 20, 1); /* no id of these logits */
  sampler_pick(s, some, N);
  sampler_free(s);
}

static int descending(const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

/* The limit by a whole sort, in double. */
static float sorted_limit(const float *logit, int n, double top_p, int top_k, float *sorted)
{
  double sum = 0, so_far = 0;
  memcpy(sorted, logit, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, descending);
  for (int i = 0; i < n; i++) sum += exp((double)sorted[i] - (double)sorted[0]);
  int i = 0;
  for (; i < n - 1; i++)
    if ((so_far += exp((double)sorted[i] - (double)sorted[0])) >= top_p * sum) break;
  float least = top_p < 1 ? sorted[i] : sorted[n - 1];
  return top_k > 0 && top_k < n && sorted[top_k - 1] > least ? sorted[top_k - 1] : least;
}

/* What is left out is what a whole sort leaves out: many logits, many widths, with and without equal ones. */
static void limits_are_those_of_a_sort(void **state)
{
  (void)state;
  enum { MANY = 5000 };
  static real logits[MANY];
  static float as_float[MANY], sorted[MANY];
  Rng rng = rng_new(11, 0);
  for (int trial = 0; trial < 200; trial++) {
    int n = 1 + (int)rng_below(&rng, MANY), levels = trial % 3 ? 0 : 8;
    double width = exp(6 * rng_uniform(&rng) - 3);
    SamplerConfig cfg = {1, trial % 7 ? rng_uniform(&rng) : 1, trial % 2 ? (int)rng_below(&rng, 100) : 0, 0, 0, 1};
    for (int i = 0; i < n; i++) {
      double x = rng_normal(&rng) * width;
      logits[i] = (real)(levels ? floor(x / width * levels) * width / levels : x);
      as_float[i] = (float)logits[i];
    }
    Sampler *s = sampler_new(&cfg, 1, 0);
    int id = sampler_pick(s, logits, n);
    float least = sorted_limit(as_float, n, cfg.top_p, cfg.top_k, sorted);
    assert_true(as_float[id] >= least);
    for (int i = 0; i < n; i++) /* far below the largest a weight is 0 anyhow */
      if (as_float[i] > sorted[0] - 30) assert_true((s->weight[i] > 0) == (as_float[i] >= least));
    sampler_free(s);
  }
}

/* Chi-square of 100,000 draws over the chances, 4 degrees of freedom: beyond 23.5 once in ten thousand seeds. */
static void draws_follow_the_chances(void **state)
{
  (void)state;
  enum { DRAWS = 100000 };
  static const double chance[] = {0.08277886, 0.3709891, 0.3709891, 0.1752429};
  static const int id[] = {0, 2, 4, 6};
  Sampler *s = sampler_new(&(SamplerConfig){1, 0.85, 0, 0, 0, 1}, 5, 0);
  int seen[N] = {0};
  double chi = 0;
  for (int i = 0; i < DRAWS; i++) seen[sampler_pick(s, some, N)]++;
  for (int i = 0; i < 4; i++) chi += pow(seen[id[i]] - DRAWS * chance[i], 2) / (DRAWS * chance[i]);
  assert_int_equal(seen[0] + seen[2] + seen[4] + seen[6], DRAWS);
  assert_true(chi < 21);
  sampler_free(s);
}

static void the_seed_and_the_stream_decide(void **state)
{
  (void)state;
  enum { DRAWS = 200 };
  static const int pairs[][2] = {{1, 0}, {1, 0}, {2, 0}, {1, 1}};
  int drawn[4][DRAWS];
  for (int which = 0; which < 4; which++) {
    Sampler *s = sampler_new(&(SamplerConfig){2, 1, 0, 0, 0, 1}, (uint64_t)pairs[which][0], (uint64_t)pairs[which][1]);
    for (int i = 0; i < DRAWS; i++) drawn[which][i] = sampler_pick(s, some, N);
    sampler_free(s);
  }
  static const int known[] = {9, 4, 4, 6}; /* written down: saved texts depend on it */
  assert_memory_equal(drawn[0], known, sizeof known);
  assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
  assert_true(memcmp(drawn[0], drawn[2], sizeof drawn[0]) != 0);
  assert_true(memcmp(drawn[0], drawn[3], sizeof drawn[0]) != 0);
}

static void few_and_equal_logits(void **state)
{
  (void)state;
  enum { MANY = 1000 };
  static real same[MANY];
  Sampler *s = sampler_new(&(SamplerConfig){1, 0.5, 3, 0, 0, 1}, 1, 0);
  assert_int_equal(sampler_pick(s, (real[]){-3}, 1), 0);
  for (int i = 0; i < MANY; i++) same[i] = -5;
  int high = 0;
  for (int i = 0; i < 1000; i++) high += sampler_pick(s, same, MANY) >= MANY / 2;
  assert_true(high > 420 && high < 580);
  real banned[] = {-INFINITY, 1, -INFINITY};
  for (int i = 0; i < 20; i++) assert_int_equal(sampler_pick(s, banned, 3), 1);
  assert_int_equal(sampler_pick(s, (real[]){0, (real)1e30, (real)-1e30}, 3), 1);
  sampler_free(s);
  static const double hot[] = {1e-300, 1e300, 1e-6};
  for (int i = 0; i < 3; i++) {
    s = sampler_new(&(SamplerConfig){hot[i], 1, 0, 0, 0, 1}, 1, 0);
    int id = sampler_pick(s, some, N);
    assert_true(i == 1 || id == 2 || id == 4);
    sampler_free(s);
  }
}

typedef struct {
  const SamplerConfig *cfg;
  Sampler *s;
  const real *logits;
  int n;
} Call;

static void make(void *arg) { ((Call *)arg)->s = sampler_new(((Call *)arg)->cfg, 0, 0); }
static void pick(void *arg) { sampler_pick(((Call *)arg)->s, ((Call *)arg)->logits, ((Call *)arg)->n); }
static void see_negative(void *arg) { sampler_saw(((Call *)arg)->s, -1, 1); }
static void see_nan(void *arg) { sampler_saw(((Call *)arg)->s, 1, (double)NAN); }

static void check_says(void (*f)(void *), Call *c, const char *words)
{
  const char *error = rwkv_protect(f, c);
  if (!error || !strstr(error, words)) fail_msg("found '%s', expected '%s' in it", error ? error : "no error", words);
}

static void what_cannot_be_is_refused(void **state)
{
  (void)state;
  static const double wrong[] = {-1, NAN, INFINITY, -INFINITY};
  static const struct {
    const char *name;
    size_t at;
  } options[] = {{"temperature", offsetof(SamplerConfig, temperature)},
                 {"top_p", offsetof(SamplerConfig, top_p)},
                 {"presence", offsetof(SamplerConfig, presence)},
                 {"frequency", offsetof(SamplerConfig, frequency)},
                 {"decay", offsetof(SamplerConfig, decay)}};
  for (int o = 0; o < 5; o++)
    for (int w = 0; w < 4; w++) {
      SamplerConfig cfg = sampler_defaults;
      memcpy((char *)&cfg + options[o].at, &wrong[w], sizeof wrong[w]);
      check_says(make, &(Call){.cfg = &cfg}, options[o].name);
    }
  check_says(make, &(Call){.cfg = &(SamplerConfig){1, 1.01, 0, 0, 0, 1}}, "top_p: expected a number from 0 to 1");
  check_says(make, &(Call){.cfg = &(SamplerConfig){1, 1, -1, 0, 0, 1}}, "top_k");
  check_says(make, &(Call){.cfg = &(SamplerConfig){1, 1, 0, 0, 0, 1.01}}, "decay");
  Sampler *s = sampler_new(&sampler_defaults, 0, 0);
  check_says(pick, &(Call){.s = s, .logits = (real[]){0, NAN}, .n = 2}, "the logit of id 1 is nan");
  check_says(pick, &(Call){.s = s, .logits = (real[]){INFINITY, 0}, .n = 2}, "the logit of id 0 is inf");
  check_says(pick, &(Call){.s = s, .logits = (real[]){-INFINITY, -INFINITY}, .n = 2}, "all 2 logits are -inf");
  check_says(pick, &(Call){.s = s, .logits = some, .n = 0}, "no logits");
  check_says(see_negative, &(Call){.s = s}, "expected an id from 0");
  check_says(see_nan, &(Call){.s = s}, "weight");
  assert_int_equal(s->seen_count, 0);
  sampler_free(s);
  sampler_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chances_are_the_official_ones),  cmocka_unit_test(penalties_are_the_official_ones),
      cmocka_unit_test(limits_are_those_of_a_sort),     cmocka_unit_test(draws_follow_the_chances),
      cmocka_unit_test(the_seed_and_the_stream_decide), cmocka_unit_test(few_and_equal_logits),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
