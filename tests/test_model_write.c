/* Models into files: what is written is read back as it was. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "files.h"
#include "model_checks.h"
#include "model_files.h"

#include <stdlib.h>

static void round_trip(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      const char *path = files_path("model.safetensors");
      FileWriter *w = writer_create(path);
      model_write(m, w);
      writer_finish(w);
      TensorFile *f = file_open(path);
      assert_string_equal(file_meta(f, "version"), v->name);
      assert_int_equal(atoi(file_meta(f, "n_layer")), m->d.L);
      assert_int_equal(atoi(file_meta(f, "n_embd")), m->d.C);
      assert_int_equal(atoi(file_meta(f, "vocab_size")), m->d.V);
      assert_int_equal(file_count(f), m->count);
      Model *back = model_load(f, NULL);
      file_close(f);                         /* the model does not need it any more */
      if (m->d.L == 1) back->d.Dv = m->d.Dv; /* v7: v0..v2 stand in later blocks, nothing tells their rank */
      must_be_same_models(m, back);
      model_free(m), model_free(back);
    }
}

/* ---- v7: what block 0 does not use ---- */

static void put_unused(FileWriter *w, const Model *m, const real *numbers)
{
  writer_put(w, "blocks.0.att.v0", 3, (int[]){1, 1, m->d.C}, numbers);
  writer_put(w, "blocks.0.att.v1", 2, (int[]){m->d.C, m->d.Dv}, numbers);
  writer_put(w, "blocks.0.att.v2", 2, (int[]){m->d.Dv, m->d.C}, numbers);
}

static void unused_value_residual(void **state)
{
  (void)state;
  for (int variant = 0; variant < SMALL_SIZES; variant++) {
    Model *m = small_model(version_find("v7"), variant);
    real numbers[64] = {0};
    for (int i = 0; i < 64; i++) numbers[i] = (real)(i - 30);
    size_t more = (size_t)(m->d.C + 2 * m->d.C * m->d.Dv);
    assert_true(more <= 3 * 64);
    const char *path = files_path("unused.safetensors");
    FileWriter *w = writer_create(path);
    model_write(m, w);
    put_unused(w, m, numbers);
    writer_finish(w);
    Model *with = load_model(path, NULL);
    must_give_same_logits(m, with);
    assert_int_equal(model_param_count(with, false), model_param_count(m, true));
    assert_int_equal(model_param_count(with, true), model_param_count(m, true) + more);
    assert_int_equal(with->d.Dv, m->d.Dv);
    assert_int_equal(with->count, m->count + 3);
    const Param *v1 = model_param(with, "blocks.0.att.v1");
    assert_non_null(v1);
    assert_true(v1->unused);
    assert_memory_equal(v1->t->data, numbers, v1->t->n * sizeof(real));

    w = writer_create(path); /* and they are kept when the model is written again */
    model_write(with, w);
    writer_finish(w);
    Model *again = load_model(path, NULL);
    assert_int_equal(again->count, with->count);
    must_give_same_logits(with, again);
    model_free(m), model_free(with), model_free(again);
  }
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(round_trip),
      TEST(unused_value_residual),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
