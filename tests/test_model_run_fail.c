/* Runs that are refused: what is wrong is named, and the state is as it was. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
  Model *m;
  const int *tokens, *targets;
  int B, T;
  State *st;
  Tape *tp;
} Call;

static void call_run(void *arg)
{
  Call *c = arg;
  model_logits(c->tp, c->m, TOKENS(c->tokens, c->B, c->T), c->st);
}

static void call_loss(void *arg)
{
  Call *c = arg;
  model_loss(c->tp, c->m, TOKENS(c->tokens, c->B, c->T), c->targets, c->st, NULL, NULL);
}

/* What is refused before it begins leaves the state alone. */
static void refused(Call c, const char *first, const char *second)
{
  State *before = state_copy(c.st);
  c.tp = tape_new();
  expect_failure_with(call_run, &c, first, second, NULL);
  assert_true(same_states(c.st, before));
  tape_reset(c.tp);
  tape_free(c.tp);
  state_free(before);
}

static void bad_runs(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0), *fewer = small_model(v, 1);
    int tokens[6] = {1, 2, 3, 4, 5, 6};
    State *st = state_new(m, 2), *of_fewer = state_new(fewer, 2);
    free(logits_of(m, tokens, 2, 3, st));
    refused((Call){.m = m, .tokens = tokens, .B = 1, .T = 3, .st = st}, "batch of 2", "[1,3]");
    refused((Call){.m = m, .tokens = tokens, .B = 3, .T = 2, .st = st}, "batch of 2", "[3,2]");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 0, .st = st}, "[2,0]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 0, .T = 3, .st = st}, "[0,3]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = -1, .st = st}, "[2,-1]", "");
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = of_fewer}, "another model", v->name);
    tokens[4] = m->d.V;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "sequence 2, position 2", "expected 0 to");
    tokens[4] = -1;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "tokens: -1", "0 to");
    tokens[4] = 2147483647;
    refused((Call){.m = m, .tokens = tokens, .B = 2, .T = 3, .st = st}, "2147483647", "0 to");
    state_free(st), state_free(of_fewer);
    model_free(m), model_free(fewer);
  }
}

static void state_of_another_version(void **state)
{
  (void)state;
  const int token = 1;
  FOR_VERSIONS(v)
    FOR_VERSIONS(other) {
      if (v == other) continue;
      Model *m = small_model(v, 1), *n = small_model(other, 1);
      State *st = state_new(n, 1);
      refused((Call){.m = m, .tokens = &token, .B = 1, .T = 1, .st = st}, "another model", other->name);
      state_free(st);
      model_free(m), model_free(n);
    }
}

static bool same_shapes(const State *a, const State *b)
{
  bool same = a->count == b->count;
  for (int i = 0; same && i < a->count; i++) same = tensor_same_shape(a->now[i], b->now[i]);
  return same;
}

/* Same version, same number of layers, but other sizes: where the state's are others, it must be noticed. */
static void check_other_sizes(const Version *v, Dims a, Dims b)
{
  const int tokens[2] = {1, 2};
  Model *m = random_model(v, &a, 1), *n = random_model(v, &b, 2);
  Call c = {.m = m, .tokens = tokens, .B = 1, .T = 2, .st = state_new(n, 1), .tp = tape_new()};
  State *right = state_new(m, 1);
  bool fits = same_shapes(right, c.st);
  const char *message = rwkv_protect(call_run, &c);
  tape_reset(c.tp);
  tape_free(c.tp);
  state_free(c.st), state_free(right);
  model_free(m), model_free(n);
  if (!message && !fits) fail_msg("%s: runs on the state of a model with other sizes", v->name);
}

static void state_of_other_sizes(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Dims a = {.V = 7, .C = 16, .L = 2}, b = {.V = 7, .C = 32, .L = 2};
    bool heads = version_uses(v, offsetof(Dims, N));
    if (heads) a.N = b.N = 4;
    check_other_sizes(v, a, b);
    check_other_sizes(v, b, a);
    if (!heads) continue;
    b = a;
    b.N = 8; /* the state has as many numbers as channels allow, but other heads */
    check_other_sizes(v, a, b);
  }
  Dims a = {.V = 7, .C = 16, .L = 2, .A = 16}, b = {.V = 7, .C = 16, .L = 2, .A = 24};
  check_other_sizes(version_find("v4"), a, b);
}

static void targets_outside(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    const int tokens[3] = {1, 2, 3}, targets[3] = {0, -1, m->d.V};
    Call c = {.m = m, .tokens = tokens, .targets = targets, .B = 1, .T = 3};
    c.st = state_new(m, 1), c.tp = tape_new();
    char text[80];
    snprintf(text, sizeof text, "targets: %d at sequence 1, position 3, expected 0 to %d", m->d.V, m->d.V - 1);
    expect_failure(call_loss, &c, text);
    state_free(c.st);
    tape_free(c.tp);
    model_free(m);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_runs),
      cmocka_unit_test(state_of_another_version),
      cmocka_unit_test(state_of_other_sizes),
      cmocka_unit_test(targets_outside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
