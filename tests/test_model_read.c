/* Models from files: numbers of every kind of float, packed or not, and none but those. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "files.h"
#include "model_checks.h"
#include "model_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers in half precision are widened. */
static void half_precision(void **state)
{
  (void)state;
  Model *m = small_model(version_list()[0], 2);
  size_t total = model_param_count(m, true), at = 0, room = 100 + (size_t)m->count * 200, used = 0;
  uint16_t *data = calloc(total, sizeof *data);
  char *header = calloc(room, 1);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    used += (size_t)snprintf(header + used, room - used,
                             "%c\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", i ? ',' : '{',
                             m->params[i].name, tensor_shape(t), 2 * at, 2 * (at + t->n));
    for (size_t j = 0; j < t->n; j++) {
      float x = (float)t->data[j];
      uint32_t bits;
      memcpy(&bits, &x, 4);
      data[at++] = (uint16_t)(bits >> 16);
      bits &= 0xffff0000;
      memcpy(&x, &bits, 4);
      t->data[j] = (real)x;
    }
  }
  snprintf(header + used, room - used, "}");
  const char *path = files_path("half.safetensors");
  files_write_st(path, header, data, total * sizeof *data);
  Model *back = load_model(path, NULL);
  must_be_same_models(m, back);
  model_free(m), model_free(back);
  free(data), free(header);
}

static void integers_are_not_weights(void **state)
{
  (void)state;
  Model *m = small_model(version_list()[0], 2);
  const char *path = files_path("ints.safetensors");
  int numbers[64] = {0};
  FileWriter *w = writer_create(path);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    const char *name = m->params[i].name;
    if (strcmp(name, "blocks.0.ln1.bias") == 0) writer_put_ints(w, name, t->axes, t->shape, numbers);
    else writer_put(w, name, t->axes, t->shape, t->data);
  }
  writer_finish(w);
  load_fails(path, "blocks.0.ln1.bias", "I64", "");
  model_free(m);
}

/* Packed, the bits stay as the file has them; otherwise they are widened. The numbers are the same. */
static void packed_or_not(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1), *packed = model_pack(m, STORED_BF16);
    const char *path = files_path("packed.safetensors");
    write_model(packed, path);
    Model *wide = load_model(path, NULL);
    TensorFile *f = file_open(path);
    Model *same = model_load(f, &(LoadOptions){.packed = true});
    file_close(f);
    assert_true(same->inference && !wide->inference);
    assert_int_equal(wide->count, packed->count);
    assert_int_equal(same->count, packed->count);
    for (int i = 0; i < packed->count; i++) {
      const Param *p = &packed->params[i];
      real *want = numbers_of(p->t), *a = numbers_of(same->params[i].t), *b = numbers_of(wide->params[i].t);
      assert_memory_equal(a, want, p->t->n * sizeof *want);
      assert_memory_equal(b, want, p->t->n * sizeof *want);
      assert_int_equal(model_param_bytes(&same->params[i]), model_param_bytes(p));
      assert_null(wide->params[i].t->packed.bits);
      free(want), free(a), free(b);
    }
    model_free(m), model_free(packed), model_free(wide), model_free(same);
  }
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(half_precision),
      TEST(packed_or_not),
      TEST(integers_are_not_weights),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
