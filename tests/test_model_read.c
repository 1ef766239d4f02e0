/* Models from files: numbers of every kind of float, and none but those. */
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
                             "%c\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                             i ? ',' : '{', m->params[i].name, tensor_shape(t), 2 * at, 2 * (at + t->n));
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
  StWriter *w = st_create(path);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    const char *name = m->params[i].name;
    if (strcmp(name, "blocks.0.ln1.bias") == 0) st_put_ints(w, name, t->axes, t->shape, numbers);
    else st_put(w, name, t->axes, t->shape, t->data);
  }
  st_finish(w);
  load_fails(path, "blocks.0.ln1.bias", "I64", "");
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(half_precision),
      TEST(integers_are_not_weights),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
