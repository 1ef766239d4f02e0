/* Packed models: the same numbers in fewer bits, and what cannot be packed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "models.h"

#include <stdlib.h>
#include <string.h>

/* The numbers are those of `from`, rounded where they are packed. */
static void check_param(const Param *from, const Param *to, Storage storage)
{
  assert_string_equal(from->name, to->name);
  assert_true(tensor_same_shape(from->t, to->t));
  assert_false(to->t->needs_grad);
  real *want = numbers_of(from->t), *found = numbers_of(to->t);
  size_t one = to->t->packed.bits ? storage_size(storage) : sizeof(real);
  if (to->t->packed.bits) packed_round(want, storage, from->t->n);
  assert_memory_equal(found, want, from->t->n * sizeof *want);
  assert_int_equal(model_param_bytes(to), from->t->n * one);
  free(want), free(found);
}

static void matrices_are_rounded(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int storage = 0; storage < STORAGE_COUNT; storage++) {
      Model *m = small_model(v, 0);
      m->rounded_decay = true;
      Model *packed = model_pack(m, (Storage)storage);
      int matrices = 0;
      assert_ptr_equal(packed->version, v);
      assert_memory_equal(&packed->d, &m->d, sizeof m->d);
      assert_int_equal(packed->count, m->count);
      assert_true(packed->inference && packed->rounded_decay);
      for (int i = 0; i < m->count; i++) {
        check_param(&m->params[i], &packed->params[i], (Storage)storage);
        matrices += packed->params[i].t->packed.bits != NULL;
      }
      bool as_real = storage == STORED_F32 && sizeof(real) == sizeof(float);
      assert_true(as_real ? matrices == 0 : matrices > 4 * m->d.L);
      model_free(m), model_free(packed);
    }
}

typedef struct {
  Model *m;
  Storage storage;
} Call;

static void pack(void *arg) { model_free(model_pack(((Call *)arg)->m, ((Call *)arg)->storage)); }

static void train(void *arg)
{
  opt_free(model_optimizer(((Call *)arg)->m, &(OptConfig){.lr = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8}));
}

static void too_large(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  const real large = 65536;
  tensor_write(model_param(m, "blocks.1.att.key.weight")->t, 7, 1, &large);
  expect_failure_with(pack, &(Call){m, STORED_F16}, "blocks.1.att.key.weight", "65536 at place 8", "f16", NULL);
  pack(&(Call){m, STORED_BF16});
  model_free(m);
}

static void for_inference_only(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v4"), 1), *packed = model_pack(m, STORED_BF16);
  expect_failure(pack, &(Call){packed, STORED_F16}, "are packed");
  expect_failure(train, &(Call){packed, STORED_F16}, "for inference");
  model_free(m), model_free(packed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matrices_are_rounded),
      cmocka_unit_test(too_large),
      cmocka_unit_test(for_inference_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
