/* Every built-in hook in every version that has its slot, alone and together with others. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "files.h"
#include "model_checks.h"

#include "variants.h"

#include <stdio.h>
#include <string.h>

#define FOR_HOOKS(h) for (const Hook *const *h##_ = hook_list(), *h; (h = *h##_) != NULL; h##_++)

/* Two layers. Variant 1 leaves open what the version does not use; 3 has the version's options, and small ranks. */
static Dims sizes_for(const Version *v, int variant)
{
  Dims d = small_dims(v, variant);
  if (variant == 3) {
    if (!d.Dw) d.Dw = 2;
    if (!d.Dg) d.Dg = 4;
    if (!d.Dm) d.Dm = 3;
  }
  return d;
}

static void check_model(const char *what, Model *m, const char *part)
{
  check_counts(what, m);
  check_pieces(what, m);
  check_slopes(what, m, part);
  check_round_trip(what, m, NULL);
}

/* Its parameters stand in every layer that has the place, and nowhere else. */
static void check_alone(const Version *v, const Hook *h, int variant)
{
  char what[100], part[80];
  Dims d = sizes_for(v, variant);
  d.hook[h->slot] = h;
  Model *m = random_model(v, &d, 1);
  snprintf(what, sizeof what, "%s, %s %s", v->name, hook_slots[h->slot].name, h->name);
  snprintf(part, sizeof part, ".%s.%s.", hook_slots[h->slot].name, h->name);
  int mine = 0, layers = 0;
  for (int layer = 0; layer < d.L; layer++) layers += hook_slot_in_layer(&m->d, h->slot, layer);
  for (int i = 0; i < m->count; i++) mine += strstr(m->params[i].name, part) != NULL;
  if (mine != layers * h->param_count)
    fail_msg("%s: %d parameters in %d layers, expected %d each", what, mine, layers, h->param_count);
  check_model(what, m, mine ? part : NULL);
  model_free(m);
}

static void alone(void **state)
{
  const int *variant = *state;
  int seen = 0;
  FOR_VERSIONS(v)
    FOR_HOOKS(h)
      if (v->own[h->slot]) check_alone(v, h, *variant), seen++;
  assert_true(seen > 100);
}

/* A random choice for every slot that a version has; in a slot of a whole part, nothing else of that part. */
static void together(void **state)
{
  (void)state;
  enum { ROUNDS = 5 };
  FOR_VERSIONS(v)
    for (int round = 0; round < ROUNDS; round++) {
      Rng r = rng_named((uint64_t)round, v->name);
      Dims d = sizes_for(v, round % 2 ? 1 : 3);
      char what[40];
      snprintf(what, sizeof what, "%s, together %d", v->name, round);
      FOR_HOOKS(h)
        if (v->own[h->slot] && (h->slot != HOOK_CHANNEL_MIX || round % 2) && rng_below(&r, 2)) d.hook[h->slot] = h;
      if (d.hook[HOOK_CHANNEL_MIX]) d.hook[HOOK_FFN_SHIFT] = NULL;
      Model *m = random_model(v, &d, 1);
      check_model(what, m, NULL);
      model_free(m);
    }
}

/* Each name once in its slot, and found there. */
static void names(void **state)
{
  (void)state;
  FOR_HOOKS(h) {
    assert_ptr_equal(hook_find(h->slot, h->name), h);
    assert_null(h->origin);
    for (int slot = 0; slot < HOOK_SLOTS; slot++) {
      const Hook *other = hook_find((HookSlot)slot, h->name);
      assert_true(!other || other->slot == (HookSlot)slot);
    }
  }
  assert_null(hook_find(HOOK_DECAY, "nothing"));
  assert_null(hook_find(HOOK_DECAY, "v"));
  assert_null(hook_find(HOOK_DECAY, ""));
  assert_null(hook_find(HOOK_GATE, "sigmoid-floor"));
}

int main(void)
{
  static int variants[] = {1, 3};
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names),
      {.name = "alone", .test_func = alone, .initial_state = &variants[0]},
      {.name = "alone, with options", .test_func = alone, .initial_state = &variants[1]},
      cmocka_unit_test(together),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
