/* New models: the same for the same seed, and with finite numbers however small. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(seeds),
      cmocka_unit_test(smallest_models),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
