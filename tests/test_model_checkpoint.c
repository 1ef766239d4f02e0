/* The optimizer of a model: its groups, and that it trains. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"

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
      Tensor *loss = model_loss(tp, m, tokens, tokens + 1, 1, T, st, 1e-4, NULL);
      last = (double)loss->data[0];
      if (step == 0) first = last;
      tape_backward(tp, loss);
      opt_step(o);
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(optimizer_groups),
      cmocka_unit_test(training_lowers_the_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
