/* What the blocks of a run share: names for whoever traces it, and mixes of a token with the one before (mixes.c). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- traces ---- */

typedef struct {
  Trace trace; /* first: it is the same address */
  char names[8000];
  int count;
} Seen;

static void see(Trace *self, const char *name, Tensor *t)
{
  Seen *s = (Seen *)(void *)self;
  char spaced[120];
  assert_non_null(t);
  snprintf(spaced, sizeof spaced, " %s ", name);
  if (strstr(s->names, spaced)) fail_msg("%s is shown twice", name);
  snprintf(s->names + strlen(s->names), sizeof s->names - strlen(s->names), "%s", spaced);
  s->count++;
}

static void show_three(void *arg)
{
  Tensor *t[3] = {new_leaf(0, NULL, false), NULL, new_leaf(0, NULL, false)};
  Seen *s = arg;
  trace_tensors(&(Pass){.layer = 4, .trace = &s->trace}, "att", "r w k", t, 3);
  free_leaves(t, 1), free_leaves(t + 2, 1);
}

static void show_too_few(void *arg)
{
  Seen *s = arg;
  trace_tensors(&(Pass){.trace = &s->trace}, "att", "r w k", (Tensor *[]){NULL, NULL}, 2);
}

static void names(void **state)
{
  (void)state;
  Seen s = {.trace.see = see};
  show_three(&s);
  assert_string_equal(s.names, " blocks.4.att.r  blocks.4.att.k ");
  expect_failure(show_too_few, &s, "trace of att: 2 tensors for the 3 names \"r w k\"");
}

/* Every name once, and the numbers are those of a run that nobody watches. */
static void watched_models(void **state)
{
  (void)state;
  enum { B = 2, T = 6 };
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      int *tokens = random_tokens(1, B * T, m->d.V);
      Seen s = {.trace.see = see};
      State *watched = state_new(m, B), *alone = state_new(m, B);
      Tape *tp = tape_new();
      tp->recording = false;
      real *a = numbers_of(model_trace(tp, m, TOKENS(tokens, B, T), watched, &s.trace));
      real *b = logits_of(m, tokens, B, T, alone);
      assert_memory_equal(a, b, (size_t)(B * T * m->d.V) * sizeof *a);
      assert_true(same_states(watched, alone));
      assert_true(s.count > 4 * m->d.L);
      assert_non_null(strstr(s.names, " emb.x "));
      assert_non_null(strstr(s.names, " blocks.0.out.x "));
      free(a), free(b), free(tokens);
      state_free(watched), state_free(alone);
      tape_free(tp);
      model_free(m);
    }
}

/* ---- mixes ---- */

static void mixes(void **state)
{
  (void)state;
  enum { C = 3 };
  const real here[C] = {1, 2, 3}, before[C] = {5, 4, -1};
  const int shape[] = {1, 1, C};
  Tensor *x = new_leaf(3, shape, false), *prev = new_leaf(3, shape, false);
  Tensor *mu[] = {new_leaf(1, shape + 2, false), new_leaf(1, shape + 2, false)};
  tensor_write(x, 0, C, here), tensor_write(prev, 0, C, before);
  tensor_fill(mu[0], (real)0.5), tensor_fill(mu[1], (real)0.25);
  Dims d = {.streams = 2, .ffn_streams = 1};
  Tape *tp = tape_new();
  Pass ps = {.tp = tp, .d = &d, .B = 1, .T = 1};
  Tensor **to_prev = mixes_x_to_prev(&ps, HOOK_SHIFT, x, prev, mu);
  Tensor **to_x = mixes_prev_to_x(&ps, HOOK_SHIFT, x, prev, mu);
  check_tensor("half of each", to_prev[0], (const double[]){3, 3, 1}, VALUE_TOL);
  check_tensor("half of each", to_x[0], (const double[]){3, 3, 1}, VALUE_TOL);
  check_tensor("a quarter of the token before", to_prev[1], (const double[]){2, 2.5, 2}, VALUE_TOL);
  check_tensor("a quarter of the token itself", to_x[1], (const double[]){4, 3.5, 0}, VALUE_TOL);
  tape_free(tp);
  tensor_free(x), tensor_free(prev), free_leaves(mu, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names),
      cmocka_unit_test(watched_models),
      cmocka_unit_test(mixes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
