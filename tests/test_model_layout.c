/* The layout of parameters: each that a model has, in the order in which it has them, and what is said of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"
#include "variants.h"

#include <string.h>

typedef struct {
  Model *m;
  int expected, of_hooks, spare, packable;
} Walk;

static void look_at(void *ctx, const LayoutParam *p)
{
  Walk *w = ctx;
  int shape[MAX_AXES];
  layout_shape(&p->spec->shape, &w->m->d, shape);
  w->spare += layout_is_spare(p);
  if (layout_may_pack(p)) {
    w->packable++;
    assert_true(p->slot < 0 && p->spec->shape.axes == 2);
  }
  if (!p->expected) {
    assert_null(model_param(w->m, p->name));
    return;
  }
  assert_in_range(w->expected, 0, w->m->count - 1);
  const Param *here = &w->m->params[w->expected++];
  assert_string_equal(p->name, here->name);
  assert_int_equal(here->t->axes, p->spec->shape.axes);
  assert_memory_equal(here->t->shape, shape, (size_t)here->t->axes * sizeof *shape);
  w->of_hooks += p->slot >= 0;
}

static Walk walk(Model *m)
{
  Walk w = {.m = m};
  layout_each_param(m->version, &m->d, look_at, &w);
  assert_int_equal(w.expected, m->count);
  return w;
}

static void in_the_order_of_the_model(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      Walk w = walk(m);
      assert_int_equal(w.of_hooks, 0);
      int ln0 = strcmp(v->name, "v8_rc00_hybrid") == 0 ? 2 : 0;               /* which files hold */
      assert_int_equal(w.spare, (v->own[HOOK_VALUE_RESIDUAL] ? 3 : 0) + ln0); /* v0, v1 and v2 of block 0 */
      assert_true(w.packable > 4 * m->d.L);
      model_free(m);
    }
}

static void with_a_hook(void **state)
{
  (void)state;
  int seen = 0;
  const Version *v = version_find("v7");
  for (const Hook *const *h = hook_list(); *h; h++) {
    if (!v->own[(*h)->slot] || !(*h)->param_count) continue;
    Dims d = small_dims(v, 0);
    d.hook[(*h)->slot] = *h;
    Model *m = random_model(v, &d, 1);
    int layers = 0;
    for (int layer = 0; layer < m->d.L; layer++) layers += hook_slot_in_layer(&m->d, (*h)->slot, layer);
    assert_int_equal(walk(m).of_hooks, layers * (*h)->param_count);
    assert_int_equal(layout_state_count(v, &m->d, 0), v->state.count + (*h)->state_count);
    model_free(m);
    seen++;
  }
  assert_true(seen > 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_the_order_of_the_model),
      cmocka_unit_test(with_a_hook),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
