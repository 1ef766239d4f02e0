/* New models: the same for the same seed, with finite numbers however small, and those for measuring. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void seeds(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Dims d = small_dims(v, 0);
    Model *a = model_new(v, &d, 1), *b = model_new(v, &d, 1), *c = model_new(v, &d, 2);
    int others = 0;
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
      size_t bytes = a->params[i].t->n * sizeof(real);
      assert_string_equal(a->params[i].name, b->params[i].name);
      assert_memory_equal(a->params[i].t->data, b->params[i].t->data, bytes);
      others += memcmp(a->params[i].t->data, c->params[i].t->data, bytes) != 0;
      for (size_t j = 0; j < a->params[i].t->n; j++) assert_true(isfinite((double)a->params[i].t->data[j]));
      assert_ptr_equal(model_param(a, a->params[i].name), &a->params[i]);
    }
    assert_true(others >= 2 + d.L); /* embedding, head, and matrices in each block */
    assert_true(others < a->count);
    assert_null(model_param(a, "blocks.0"));
    model_free(a), model_free(b), model_free(c);
  }
}

/* Models of one layer and of one channel where a version allows it: no NaN from dividing by L-1 or C-1. */
static void smallest_models(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int L = 1; L <= 4; L++) {
      Dims d = {.V = 2, .C = 4, .L = L};
      if (version_uses(v, offsetof(Dims, N))) d.N = 2;
      Model *m = model_new(v, &d, 1);
      for (int i = 0; i < m->count; i++)
        for (size_t j = 0; j < m->params[i].t->n; j++)
          if (!isfinite((double)m->params[i].t->data[j]))
            fail_msg("%s, %d layers: %s[%zu] is not finite", v->name, L, m->params[i].name, j);
      State *st = state_new(m, 1);
      real *logits = logits_of(m, (const int[]){1, 0, 1}, 1, 3, st);
      for (int j = 0; j < 6; j++) assert_true(isfinite((double)logits[j]));
      free(logits);
      state_free(st);
      model_free(m);
    }
}

/* Uniform numbers of variance 1 / columns in a matrix; the official values elsewhere. */
static void uniform(void **state)
{
  (void)state;
  enum { C = 64 };
  const Dims d = {.V = 100, .C = C, .L = 2};
  Model *m = model_new_uniform(version_find("v7"), &d, 1), *official = model_new(version_find("v7"), &d, 1);
  const char *const matrices[] = {"emb.weight", "blocks.0.att.key.weight", "blocks.1.ffn.value.weight", "head.weight"};
  for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
    const Tensor *t = model_param(m, matrices[i])->t;
    double square = 0, most = 0, variance = 1.0 / t->shape[1];
    for (size_t j = 0; j < t->n; j++) {
      double x = (double)t->data[j];
      square += x * x / (double)t->n, most = fmax(most, fabs(x));
    }
    if (!(fabs(square / variance - 1) < 0.1) || !(most <= sqrt(3 * variance) * (1 + 1e-6)))
      fail_msg("%s: mean square %g, largest %g, expected variance %g", matrices[i], square, most, variance);
  }
  const Tensor *a = model_param(m, "blocks.1.att.w0")->t, *b = model_param(official, "blocks.1.att.w0")->t;
  assert_memory_equal(a->data, b->data, a->n * sizeof *a->data);
  model_free(m), model_free(official);
}

/* ---- told while it is made, and given up ---- */

typedef struct {
  Dims d;
  size_t calls, last, all, fail_at;
  Model *result;
} Watched;

static void see(void *watching, size_t done, size_t all)
{
  Watched *w = watching;
  if (w->calls && all != w->all) fail_msg("of %zu numbers, of %zu before", all, w->all);
  if (done < w->last || done >= all) fail_msg("%zu of %zu numbers after %zu", done, all, w->last);
  w->last = done, w->all = all;
  if (++w->calls == w->fail_at) rwkv_fail("enough");
}

static void make_watched(void *arg)
{
  Watched *w = arg;
  w->result = model_new_watched(version_find("v7"), &w->d, 1, false, (NewWatch){see, w});
}

static void watched(void **state)
{
  (void)state;
  Watched w = {.d = {.V = 300, .C = 64, .L = 2}};
  size_t before = memory_used();
  assert_null(rwkv_protect(make_watched, &w));
  assert_true(w.calls > 20);
  assert_int_equal(w.all, model_param_count(w.result, true));
  model_free(w.result);
  size_t calls = w.calls;
  for (size_t i = 1; i <= calls; i += 3) {
    w = (Watched){.d = w.d, .fail_at = i};
    assert_string_equal(rwkv_protect(make_watched, &w), "enough");
    assert_int_equal(memory_used(), before);
  }
}

static int looks;
static bool at_the_fifth(void) { return ++looks == 5; }

static void given_up(void **state)
{
  (void)state;
  Watched w = {.d = {.V = 300, .C = 64, .L = 2}};
  size_t before = memory_used();
  rwkv_on_stop(at_the_fifth);
  const char *error = rwkv_protect(make_watched, &w);
  rwkv_on_stop(NULL);
  assert_string_equal(error, "interrupted");
  assert_int_equal(memory_used(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(seeds),   cmocka_unit_test(smallest_models), cmocka_unit_test(uniform),
      cmocka_unit_test(watched), cmocka_unit_test(given_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
