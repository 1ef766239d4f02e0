/* Numbers of parameters and of state, counted without a model. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"

#include <stdlib.h>

static void counts(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    size_t params = 0, floats = 0;
    for (int i = 0; i < m->count; i++) params += m->params[i].t->n;
    assert_int_equal(model_param_count(m, true), params);
    assert_int_equal(model_param_count(m, false), params); /* a new model has nothing that is unused */
    State *st = state_new(m, 3);
    for (int i = 0; i < st->count; i++) floats += st->own[i]->n;
    assert_int_equal(3 * version_state_floats(m->version, &m->d, 0), floats);
    free(logits_of(m, (const int[]){0, 1, 2, 3, 2, 1}, 3, 2, st));
    floats = 0; /* v1, v2 and v3 remember every token */
    for (int i = 0; i < st->count; i++) floats += st->own[i]->n;
    assert_int_equal(3 * version_state_floats(m->version, &m->d, 2), floats);
    state_free(st);
    model_free(m);
  }
  Dims d = {.V = 10, .C = 8, .L = 2, .N = 4};
  Model *m = model_new(version_find("v7"), &d, 1);
  assert_int_equal(version_state_floats(m->version, &m->d, 100), 2 * (8 + 2 * 4 * 4 + 8));
  model_free(m);
  d = (Dims){.V = 10, .C = 8, .L = 3, .A = 6};
  m = model_new(version_find("v4"), &d, 1);
  assert_int_equal(version_state_floats(m->version, &m->d, 100), 3 * (2 * 8 + 3 * 6));
  model_free(m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
