#include "model_files.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"

#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 7 };

const real few[64] = {1, 2, 3};

void put_edited(FileWriter *w, const Param *p, const ModelEdit *e)
{
  int axes = p->t->axes, shape[FILE_MAX_AXES] = {0}, skip_axes = 0;
  const int *from = p->t->shape;
  const char *name = p->name;
  if (e->drop && strcmp(name, e->drop) == 0) return;
  if (e->rename && strcmp(name, e->rename) == 0) name = e->as;
  if (e->reshape && strcmp(name, e->reshape) == 0) {
    writer_put(w, name, e->axes, e->shape, few);
    return;
  }
  while (e->flat && skip_axes < axes - 1 && from[skip_axes] == 1) skip_axes++;
  int more = e->deep && axes == 1 ? 2 : 0;
  for (int i = 0; i < more; i++) shape[i] = 1;
  for (int i = skip_axes; i < axes; i++) shape[more + i - skip_axes] = from[i];
  writer_put(w, name, axes - skip_axes + more, shape, p->t->data);
}

const char *write_edited(const Model *m, const ModelEdit *e)
{
  const char *path = files_path("model.safetensors");
  FileWriter *w = writer_create(path);
  if (e->meta) writer_put_meta(w, "version", "v0"); /* a lie: metadata do not count */
  for (int i = 0; i < m->count; i++) put_edited(w, &m->params[i], e);
  for (int i = 0; i < 4 && e->extra[i]; i++) writer_put(w, e->extra[i], 1, (int[]){3}, few);
  writer_finish(w);
  return path;
}

void load_fails(const char *path, const char *a, const char *b, const char *c)
{
  ModelLoading l = {.path = path};
  expect_failure_with(load_model_file, &l, path, a, b, c, NULL);
  file_close(l.file);
  model_free(l.model);
}

void must_give_same_logits(Model *a, Model *b)
{
  int *tokens = random_tokens(1, B * T, a->d.V);
  State *s = state_new(a, B), *t = state_new(b, B);
  real *x = logits_of(a, tokens, B, T, s), *y = logits_of(b, tokens, B, T, t);
  bool same = memcmp(x, y, (size_t)(B * T * a->d.V) * sizeof *x) == 0 && same_states(s, t);
  free(x), free(y), free(tokens);
  state_free(s), state_free(t);
  if (!same) fail_msg("%s: a loaded model gives other logits", a->version->name);
}

void must_be_same_models(Model *a, Model *b)
{
  assert_ptr_equal(a->version, b->version);
  assert_memory_equal(&a->d, &b->d, sizeof a->d);
  assert_int_equal(a->count, b->count);
  assert_false(b->rounded_decay);
  for (int i = 0; i < a->count; i++) {
    const Param *p = &a->params[i], *q = &b->params[i];
    assert_string_equal(p->name, q->name);
    assert_true(tensor_same_shape(p->t, q->t));
    assert_memory_equal(p->t->data, q->t->data, p->t->n * sizeof(real));
    assert_true(q->t->needs_grad && q->t->grad && !q->unused && p->lr_scale == q->lr_scale);
  }
  must_give_same_logits(a, b);
}
