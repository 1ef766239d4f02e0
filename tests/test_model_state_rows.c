/* States of several sequences: taken apart, put together, and how many tokens they have seen. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"
#include "models.h"

#include <stdlib.h>
#include <string.h>

enum { B = 3, T = 4 };

static State *after_tokens(Model *m, uint64_t seed, int count)
{
  State *s = state_new(m, B);
  int *tokens = random_tokens(seed, B * count, m->d.V);
  free(logits_of(m, tokens, B, count, s));
  free(tokens);
  return s;
}

static void rows_and_join_are_inverse(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      State *s = after_tokens(m, 1, T), *row[B], *none = state_new(m, 1);
      for (int b = 0; b < B; b++) row[b] = state_rows(s, b, 1);
      State *joined = state_join((const State *const *)row, B), *two = state_rows(s, 1, 2);
      const State *parts[] = {row[0], two};
      State *again = state_join(parts, 2);
      assert_int_equal(joined->B, B);
      assert_true(same_states(joined, s));
      assert_true(same_states(again, s));
      for (int b = 0; b < B; b++) assert_int_equal(joined->seen[b], T);
      assert_int_equal(none->seen[0], 0);
      for (int b = 0; b < B; b++) state_free(row[b]);
      state_free(joined), state_free(two), state_free(again), state_free(none), state_free(s);
      model_free(m);
    }
  }
}

static void a_run_counts_its_tokens(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  State *s = after_tokens(m, 1, T), *copy = state_copy(s);
  int one[B] = {1, 2, 3};
  free(logits_of(m, one, B, 1, s));
  assert_int_equal(s->seen[2], T + 1);
  assert_int_equal(copy->seen[2], T);
  state_free(s), state_free(copy);
  model_free(m);
}

typedef struct {
  const State *list[2];
  int first, count;
} Call;

static void join(void *arg) { state_free(state_join(((Call *)arg)->list, 2)); }
static void rows(void *arg)
{
  state_free(state_rows(((Call *)arg)->list[0], ((Call *)arg)->first, ((Call *)arg)->count));
}

static void check_says(void (*f)(void *), Call *c, const char *words)
{
  const char *error = rwkv_protect(f, c);
  if (!error || !strstr(error, words)) fail_msg("found '%s', expected '%s' in it", error ? error : "no error", words);
}

static void what_does_not_fit_is_refused(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v1"), 0), *other = small_model(version_find("v7"), 0);
  State *s = after_tokens(m, 1, T), *of_other = state_new(other, 1);
  size_t used = memory_used();
  check_says(join, &(Call){.list = {s, of_other}}, "state 2 is of another model");
  check_says(rows, &(Call){.list = {s}, .first = 2, .count = 2}, "3 to 4 is not within 1 to 3");
  check_says(rows, &(Call){.list = {s}, .first = -1, .count = 1}, "not within");
  check_says(rows, &(Call){.list = {s}, .first = 0, .count = 0}, "not within");
  assert_int_equal(memory_used(), used);
  state_free(s), state_free(of_other);
  model_free(m), model_free(other);
}

/* What the head makes of it are the logits. */
static void hidden_is_what_the_head_is_given(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    Tape *tp = tape_new();
    State *s = state_new(m, B), *plain = state_new(m, B);
    int *tokens = random_tokens(2, B * T, m->d.V);
    Tensor *y = model_hidden(tp, m, TOKENS(tokens, B, T), s, 0);
    assert_int_equal(y->shape[0], B);
    assert_int_equal(y->shape[1], T);
    assert_int_equal(y->shape[2], m->d.C);
    real *logits = logits_of(m, tokens, B, T, plain);
    Param *head = model_param(m, "head.weight");
    if (head && !m->d.Q) {
      Tensor *want = t_linear(tp, y, head->t);
      real *found = numbers_of(want);
      check_close(v->name, found, logits, want->n, VALUE_TOL * 10);
      free(found);
    }
    tape_free(tp);
    assert_true(same_states(s, plain));
    assert_int_equal(s->seen[0], T);
    free(tokens), free(logits);
    state_free(s), state_free(plain);
    model_free(m);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_and_join_are_inverse),
      cmocka_unit_test(a_run_counts_its_tokens),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(hidden_is_what_the_head_is_given),
  };
  return cmocka_run_group_tests_name("model_state_rows", tests, NULL, NULL);
}
