/* The optimizer of a model: its groups, that it trains, and that a checkpoint holds all of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"
#include "model_checks.h"

#include <stdlib.h>
#include <string.h>

/* ---- the optimizer's groups ---- */

static bool ends_with(const char *text, const char *end)
{
  size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

/* The official trainers' multiples of the learning rate (v4neo: time_decay 2, time_first 3; v7: att.w0 2). */
static double official_scale(const char *version, const char *name)
{
  if (strcmp(version, "v7") == 0) return ends_with(name, "att.w0") ? 2 : 1;
  return ends_with(name, "att.time_decay") ? 2 : ends_with(name, "att.time_first") ? 3 : 1;
}

static void optimizer_groups(void **state)
{
  (void)state;
  const OptConfig cfg = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 1, .final = 1};
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    Optim *o = model_optimizer(m, &cfg);
    bool known = strcmp(v->name, "v4") == 0 || strcmp(v->name, "v7") == 0;
    int decayed = 0;
    assert_int_equal(o->count, m->count);
    for (int i = 0; i < o->count; i++) {
      const Param *p = &m->params[i];
      const int *size = p->t->shape;
      bool matrix = p->t->axes == 2 && size[0] > 1 && size[1] > 1 && ends_with(p->name, ".weight");
      assert_ptr_equal(o->params[i].p, p->t);
      if (o->params[i].decay != matrix) fail_msg("%s: weight decay on %s is wrong", v->name, p->name);
      assert_true(o->params[i].lr_scale == p->lr_scale);
      if (known && o->params[i].lr_scale != official_scale(v->name, p->name))
        fail_msg("%s: %s learns at %g times the rate", v->name, p->name, o->params[i].lr_scale);
      decayed += matrix;
    }
    assert_true(decayed > 4 * m->d.L && decayed < m->count);
    opt_free(o);
    model_free(m);
  }
}

/* A few steps on one sequence: every parameter moves, and the loss falls. */
static void training_lowers_the_loss(void **state)
{
  (void)state;
  enum { T = 16, STEPS = 30 };
  const OptConfig cfg = {.lr = 3e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .final = 1};
  FOR_VERSIONS(v) {
    Dims d = small_dims(v, 1);
    Model *m = model_new(v, &d, 1), *start = model_new(v, &d, 1);
    int *tokens = random_tokens(20, T + 1, d.V);
    Optim *o = model_optimizer(m, &cfg);
    Tape *tp = tape_new();
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
      State *st = state_new(m, 1);
      Tensor *loss = model_loss(tp, m, TOKENS(tokens, 1, T), tokens + 1, st, &(LossOptions){.l2wrap = 1e-4}, NULL);
      last = (double)loss->data[0];
      if (step == 0) first = last;
      tape_backward(tp, loss);
      opt_step(o, NULL);
      opt_zero_grad(o);
      state_free(st);
      tape_reset(tp);
    }
    if (!(last < first - 0.2)) fail_msg("%s: the loss went from %g to %g", v->name, first, last);
    for (int i = 0; i < m->count; i++)
      if (memcmp(m->params[i].t->data, start->params[i].t->data, m->params[i].t->n * sizeof(real)) == 0)
        fail_msg("%s: %s has not moved", v->name, m->params[i].name);
    tape_free(tp);
    opt_free(o);
    free(tokens);
    model_free(m), model_free(start);
  }
}

/* ---- checkpoints ---- */

static const OptConfig config = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1};

static Optim *restored(Model *m, const char *path)
{
  Optim *o = model_optimizer(m, &config);
  TensorFile *f = file_open(path);
  opt_restore(o, "optim.", f);
  file_close(f);
  return o;
}

static void take_steps(Model *m, Optim *o, int steps)
{
  enum { T = 8 };
  int *tokens = random_tokens(21, T + 1, m->d.V);
  Tape *tp = tape_new();
  for (int step = 0; step < steps; step++) {
    State *st = state_new(m, 1);
    tape_backward(tp, model_loss(tp, m, TOKENS(tokens, 1, T), tokens + 1, st, NULL, NULL));
    opt_step(o, NULL);
    opt_zero_grad(o);
    state_free(st);
    tape_reset(tp);
  }
  tape_free(tp);
  free(tokens);
}

static void write_checkpoint(const Model *m, const Optim *o, const char *path)
{
  FileWriter *w = writer_create(path);
  model_write(m, w);
  if (o) opt_write(o, "optim.", w);
  writer_finish(w);
}

static bool same_numbers(const Tensor *a, const Tensor *b)
{
  real *x = numbers_of(a), *y = numbers_of(b);
  bool same = memcmp(x, y, a->n * sizeof *x) == 0;
  free(x), free(y);
  return same;
}

static void must_be_same(const Model *m, const Optim *o, const Model *n, const Optim *p)
{
  assert_int_equal(o->step, p->step);
  for (int i = 0; i < m->count; i++) {
    assert_true(same_numbers(m->params[i].t, n->params[i].t));
    assert_true(same_numbers(o->params[i].m, p->params[i].m) && same_numbers(o->params[i].v, p->params[i].v));
  }
}

/* Training goes on from a file as if it had never stopped. */
static void goes_on_from_a_file(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    Optim *o = model_optimizer(m, &config);
    take_steps(m, o, 3);
    const char *path = files_path("checkpoint.safetensors");
    write_checkpoint(m, o, path);
    Model *n = load_model(path, NULL);
    Optim *p = restored(n, path);
    must_be_same(m, o, n, p);
    take_steps(m, o, 2), take_steps(n, p, 2);
    must_be_same(m, o, n, p);
    opt_free(o), opt_free(p);
    model_free(m), model_free(n);
  }
}

/* So it does where parameters are frozen, from the start or since then, and the rate was set. */
static void goes_on_with_what_was_frozen(void **state)
{
  (void)state;
  const Dims d = {.V = 9, .C = 8, .L = 2, .N = 4};
  const char *path = files_path("checkpoint.safetensors");
  Model *m = random_model(version_find("v7"), &d, 1);
  Tensor *first = model_param(m, "emb.weight")->t, *later = model_param(m, "blocks.0.att.w0")->t;
  tensor_need_no_grad(first);
  Optim *o = model_optimizer(m, &config);
  take_steps(m, o, 2);
  tensor_need_no_grad(later);
  opt_set_rate(o, 0, 3e-3);
  take_steps(m, o, 2);
  write_checkpoint(m, o, path);
  Model *n = load_model(path, NULL);
  Optim *p = restored(n, path);
  for (int round = 0; round < 3; round++) {
    if (round == 2) tensor_need_grad(first), tensor_need_grad(later);
    if (round == 2)
      tensor_need_grad(model_param(n, "emb.weight")->t), tensor_need_grad(model_param(n, "blocks.0.att.w0")->t);
    for (int i = 0; i < m->count; i++) {
      assert_true(same_numbers(m->params[i].t, n->params[i].t));
      assert_true(m->params[i].t->needs_grad == n->params[i].t->needs_grad);
      assert_true(o->params[i].steps == p->params[i].steps);
    }
    assert_true(opt_rate(o, 0) == opt_rate(p, 0) && opt_rate(p, 0) == 3e-3);
    take_steps(m, o, 2), take_steps(n, p, 2);
  }
  assert_true(o->params[0].steps == 2 && o->step == 10);
  opt_free(o), opt_free(p);
  model_free(m), model_free(n);
}

typedef struct {
  Optim *o;
  Model *m;
  TensorFile *file;
} Restore;

static void restore(void *arg) { opt_restore(((Restore *)arg)->o, "optim.", ((Restore *)arg)->file); }

/* And the optimizer is as it was, at the start. */
static void refused(Restore r, const char *path, const char *why)
{
  r.file = file_open(path);
  expect_failure_with(restore, &r, path, why, NULL);
  file_close(r.file);
  assert_int_equal(r.o->step, 0);
  for (int i = 0; i < r.o->count; i++) {
    real *mean = numbers_of(r.o->params[i].m);
    for (size_t j = 0; j < r.o->params[i].m->n; j++) assert_true(mean[j] == 0);
    free(mean);
  }
}

static void other_checkpoints(void **state)
{
  (void)state;
  const Version *v7 = version_find("v7");
  const Dims two = {.V = 9, .C = 8, .L = 2, .N = 4}, one = {.V = 9, .C = 8, .L = 1, .N = 4},
             wide = {.V = 9, .C = 12, .L = 2, .N = 4};
  const char *path = files_path("checkpoint.safetensors");
  Model *m = random_model(v7, &two, 1), *shallow = random_model(v7, &one, 1), *wider = random_model(v7, &wide, 1);
  Restore r = {model_optimizer(m, &config), m, NULL};
  Optim *o = model_optimizer(shallow, &config), *p = model_optimizer(wider, &config);
  take_steps(shallow, o, 1), take_steps(wider, p, 1);
  write_checkpoint(m, NULL, path);
  refused(r, path, "it holds no optimizer");
  write_checkpoint(shallow, o, path);
  refused(r, path, "optim.m.blocks.1.ln1.weight is missing");
  write_checkpoint(wider, p, path);
  refused(r, path, "optim.m.emb.weight is of another size");
  FileWriter *w = writer_create(path);
  opt_write(r.o, "optim.", w);
  writer_put_meta(w, "optim.step", "many");
  writer_finish(w);
  refused(r, path, "\"many\" is no number of steps");
  w = writer_create(path);
  opt_write(r.o, "optim.", w);
  writer_put_meta(w, "optim.rate.0", "fast");
  writer_finish(w);
  refused(r, path, "\"fast\" is no rate");
  w = writer_create(path);
  opt_write(r.o, "optim.", w);
  writer_put_meta(w, "optim.rate.1", "1e-3");
  writer_finish(w);
  refused(r, path, "it has a rate of group 1, this optimizer has 0 groups");
  const Dims three = {.V = 9, .C = 8, .L = 3, .N = 4};
  Model *deeper = random_model(v7, &three, 1);
  Optim *q = model_optimizer(deeper, &config);
  write_checkpoint(deeper, q, path);
  refused(r, path, "it has moments of blocks.2.");
  opt_free(q);
  model_free(deeper);
  opt_free(r.o), opt_free(o), opt_free(p);
  model_free(m), model_free(shallow), model_free(wider);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(optimizer_groups),
      cmocka_unit_test(training_lowers_the_loss),
      cmocka_unit_test_setup(goes_on_from_a_file, files_clear),
      cmocka_unit_test_setup(goes_on_with_what_was_frozen, files_clear),
      cmocka_unit_test_setup(other_checkpoints, files_clear),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
