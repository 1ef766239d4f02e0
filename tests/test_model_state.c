/* What a model remembers: start values, copies, and who owns what when a tape's step ends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 5 };

static const int tokens[B * T] = {1, 2, 3, 0, 4, 5, 1, 6, 2, 2};

static bool attached(const State *s, const Tape *tp)
{
  for (const TapeWatcher *w = tp->watchers; w; w = w->next)
    if (w == &s->watcher) return true;
  return false;
}

static int watchers(const Tape *tp)
{
  int n = 0;
  for (const TapeWatcher *w = tp->watchers; w; w = w->next) n++;
  return n;
}

/* The state after the tokens, made without any recording: to compare with. */
static State *after_tokens(Model *m)
{
  State *s = state_new(m, B);
  free(logits_of(m, tokens, B, T, s));
  return s;
}

/* States of layers that stand, with what the version's list says about them. */
static void check_start(const Version *v, const Model *m, const Tensor *t, const StateSpec *spec)
{
  Dims d = m->d;
  if (t->n == 0) return; /* does not stand in this model, or grows with the sequence */
  assert_int_equal(t->axes, spec->shape.axes + 1);
  for (int a = 0; a < spec->shape.axes; a++) assert_int_equal(t->shape[a + 1], *dims_at(&d, spec->shape.size[a]));
  for (size_t j = 0; j < t->n; j++)
    if (t->data[j] != (real)spec->start) fail_msg("%s: state %s starts as %g", v->name, spec->name, (double)t->data[j]);
}

static void starts_as_specified(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, 3);
    assert_int_equal(s->B, 3);
    assert_int_equal(s->d.L, m->d.L);
    assert_true(s->count >= m->d.L * v->state.count);
    assert_null(s->tape);
    for (int i = 0; i < s->count; i++) {
      assert_ptr_equal(s->now[i], s->own[i]);
      assert_int_equal(s->now[i]->shape[0], 3);
    }
    int n = v->state.count;
    for (int i = 0; i < m->d.L * n; i++) check_start(v, m, s->now[i], &v->state.spec[i % n]);
    state_free(s);
    state_free(NULL);
    model_free(m);
  }
}

static void names(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, 1);
    char name[60];
    for (int layer = 0; layer < m->d.L; layer++)
      for (int i = 0; i < v->state.count; i++) {
        if (s->own[layer * v->state.count + i]->n == 0) continue;
        snprintf(name, sizeof name, "%d.%s", layer, v->state.spec[i].name);
        assert_int_equal(state_index(s, name), layer * v->state.count + i);
      }
    state_free(s);
    model_free(m);
  }
}

typedef struct {
  const State *s;
  const char *name;
} Lookup;

static void look_up(void *arg) { state_index(((Lookup *)arg)->s, ((Lookup *)arg)->name); }

static void unknown_names(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, 1);
    char beyond[60], longer[60], bare[60], negative[60];
    const char *first = v->state.spec[0].name;
    snprintf(beyond, sizeof beyond, "%d.%s", m->d.L, first);
    snprintf(longer, sizeof longer, "0.%sx", first);
    snprintf(bare, sizeof bare, "%s", first);
    snprintf(negative, sizeof negative, "-1.%s", first);
    const char *const bad[] = {beyond, longer, bare, negative, "", "0", "0.", ".", "x.y", "0.nothing", "0,x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
      const char *message = rwkv_protect(look_up, &(Lookup){s, bad[i]});
      if (!message) fail_msg("\"%s\" was found", bad[i]);
      if (!strstr(message, bad[i]) || !strstr(message, first)) fail_msg("\"%s\": %s", bad[i], message);
    }
    state_free(s);
    model_free(m);
  }
}

static void make_empty(void *arg) { state_new(arg, 0); }

static void batch_of_none(void **state)
{
  (void)state;
  Model *m = small_model(version_list()[0], 1);
  const char *message = rwkv_protect(make_empty, m);
  assert_non_null(message);
  assert_non_null(strstr(message, "batch"));
  model_free(m);
}

static void copies_are_independent(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = after_tokens(m), *copy = state_copy(s), *again = state_copy(copy);
    assert_true(same_states(s, copy));
    real *a = logits_of(m, tokens, B, T, s); /* moves s on */
    assert_false(same_states(s, copy));
    assert_true(same_states(again, copy));
    real *b = logits_of(m, tokens, B, T, copy);
    assert_memory_equal(a, b, (size_t)(B * T * m->d.V) * sizeof *a);
    assert_true(same_states(s, copy));
    free(a), free(b);
    state_free(s); /* in this order: the copies live on */
    assert_false(same_states(again, copy));
    state_free(copy), state_free(again);
    model_free(m);
  }
}

/* A copy of an attached state holds values of its own, without gradient. */
static void copy_of_an_attached_state(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = after_tokens(m);
    Tape *tp = tape_new();
    model_logits(tp, m, TOKENS(tokens, B, T), s);
    State *copy = state_copy(s);
    assert_null(copy->tape);
    bool carries = false; /* not every part: tokens have no gradient */
    for (int i = 0; i < copy->count; i++) {
      assert_false(copy->now[i]->needs_grad);
      carries |= s->now[i]->needs_grad;
    }
    assert_true(carries); /* the original still does */
    tape_reset(tp);
    assert_true(same_states(copy, expected));
    state_free(copy), state_free(s), state_free(expected);
    tape_free(tp);
    model_free(m);
  }
}

static void values_outlive_the_step(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = after_tokens(m);
    Tape *tp = tape_new();
    model_logits(tp, m, TOKENS(tokens, B, T), s);
    assert_ptr_equal(s->tape, tp);
    assert_true(attached(s, tp));
    assert_true(same_states(s, expected));
    tape_reset(tp);
    assert_null(s->tape);
    assert_int_equal(watchers(tp), 0);
    for (int i = 0; i < s->count; i++) assert_ptr_equal(s->now[i], s->own[i]);
    assert_true(same_states(s, expected));
    tape_reset(tp);
    model_logits(tp, m, TOKENS(tokens, B, T), s); /* the next step goes on from there */
    free(logits_of(m, tokens, B, T, expected));
    assert_true(same_states(s, expected));
    state_free(s); /* while attached */
    assert_int_equal(watchers(tp), 0);
    tape_reset(tp);
    state_free(expected);
    tape_free(tp);
    model_free(m);
  }
}

static void detached(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = after_tokens(m);
    Tape *tp = tape_new();
    state_detach(s); /* of nothing: does nothing */
    model_logits(tp, m, TOKENS(tokens, B, T), s);
    state_detach(s);
    assert_null(s->tape);
    assert_int_equal(watchers(tp), 0);
    for (int i = 0; i < s->count; i++) assert_false(s->now[i]->needs_grad);
    assert_true(same_states(s, expected));
    state_detach(s);
    tape_reset(tp);
    assert_true(same_states(s, expected));
    tp->recording = false; /* a run that is not recorded leaves nothing attached */
    model_logits(tp, m, TOKENS(tokens, B, T), s);
    assert_null(s->tape);
    assert_int_equal(watchers(tp), 0);
    state_free(s), state_free(expected);
    tape_free(tp);
    model_free(m);
  }
}

/* Several states on one tape, let go in every order, before and after the step ends. */
static void watchers_are_unlinked(void **state)
{
  (void)state;
  enum { COUNT = 3 };
  static const int orders[6][COUNT] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 1);
    State *expected = after_tokens(m);
    for (int o = 0; o < 6; o++)
      for (int before = 0; before <= COUNT; before++) { /* so many are freed before the reset */
        Tape *tp = tape_new();
        State *s[COUNT];
        for (int i = 0; i < COUNT; i++) {
          s[i] = state_new(m, B);
          model_logits(tp, m, TOKENS(tokens, B, T), s[i]);
        }
        assert_int_equal(watchers(tp), COUNT);
        for (int i = 0; i < before; i++) state_free(s[orders[o][i]]);
        assert_int_equal(watchers(tp), COUNT - before);
        tape_reset(tp);
        assert_int_equal(watchers(tp), 0);
        for (int i = before; i < COUNT; i++) {
          assert_true(same_states(s[orders[o][i]], expected));
          state_free(s[orders[o][i]]);
        }
        tape_reset(tp);
        tape_free(tp);
      }
    state_free(expected);
    model_free(m);
  }
}

static void moves_to_another_tape(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = after_tokens(m);
    free(logits_of(m, tokens, B, T, expected));
    Tape *first = tape_new(), *second = tape_new();
    model_logits(first, m, TOKENS(tokens, B, T), s);
    model_logits(second, m, TOKENS(tokens, B, T), s);
    assert_ptr_equal(s->tape, second);
    assert_int_equal(watchers(first), 0);
    assert_int_equal(watchers(second), 1);
    tape_reset(first);
    assert_true(same_states(s, expected));
    tape_free(first);
    tape_reset(second);
    assert_true(same_states(s, expected));
    state_free(s), state_free(expected);
    tape_free(second);
    model_free(m);
  }
}

/* A tape that goes for good ends its step as well: the state must not be left pointing into it. */
static void tape_is_freed_first(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = after_tokens(m);
    Tape *tp = tape_new();
    model_logits(tp, m, TOKENS(tokens, B, T), s);
    tape_free(tp);
    assert_null(s->tape);
    assert_true(same_states(s, expected));
    state_free(s), state_free(expected);
    model_free(m);
  }
}

/* A run that fails half-way leaves a state that can still be let go. */
typedef struct {
  Tape *tp;
  Model *m;
  State *s;
} Call;

static void run_badly(void *arg)
{
  Call *c = arg;
  model_logits(c->tp, c->m, TOKENS(tokens, B, T), c->s);
}

/* The ones before it have run when it is used. */
static Tensor *last_matrix(Model *m)
{
  Tensor *last = NULL;
  for (int i = 0; i < m->count; i++)
    if (m->params[i].t->axes == 2 && strstr(m->params[i].name, ".weight")) last = m->params[i].t;
  return last;
}

static void run_that_fails(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    Tensor *last = last_matrix(m);
    int axes = last->axes;
    Call c = {tape_new(), m, state_new(m, B)};
    last->axes = 4;
    const char *message = rwkv_protect(run_badly, &c);
    last->axes = axes;
    if (!message) fail_msg("%s: nothing failed", v->name);
    tape_reset(c.tp);
    assert_int_equal(watchers(c.tp), 0);
    model_logits(c.tp, m, TOKENS(tokens, B, T), c.s);
    state_free(c.s);
    tape_reset(c.tp);
    tape_free(c.tp);
    model_free(m);
  }
}

/* A run that is not recorded writes some of the state where it stands next: nobody may see the difference. */
static void same_without_recording(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    State *s = state_new(m, B), *expected = state_new(m, B);
    Tape *tp = tape_new();
    for (int round = 0; round < 4; round++) {
      tp->recording = true;
      model_logits(tp, m, TOKENS(tokens, B, T), expected);
      state_detach(expected);
      tp->recording = round == 2; /* in between a run that keeps what it began with for the way back */
      model_logits(tp, m, TOKENS(tokens, B, T), s);
      if (round == 2) tape_reset(tp);
      if (!same_states(s, expected)) fail_msg("%s: round %d", v->name, round);
    }
    state_free(s), state_free(expected);
    tape_free(tp);
    model_free(m);
  }
}

static void unchanged_by_a_failure(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    Call c = {tape_new(), m, after_tokens(m)};
    State *before = state_copy(c.s);
    Tensor *last = last_matrix(m);
    int axes = last->axes;
    c.tp->recording = false;
    for (int again = 0; again < 2; again++) {
      last->axes = 4;
      const char *message = rwkv_protect(run_badly, &c);
      last->axes = axes;
      if (!message) fail_msg("%s: nothing failed", v->name);
      if (!same_states(c.s, before)) fail_msg("%s: the state has changed", v->name);
    }
    run_badly(&c);
    model_logits(c.tp, m, TOKENS(tokens, B, T), before);
    assert_true(same_states(c.s, before));
    state_free(c.s), state_free(before);
    tape_free(c.tp);
    model_free(m);
  }
}

/* A state that is carried on twice: one of the two would otherwise be written over. */
static void one_heir(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  int rows[] = {1, 1, 4}, matrices[] = {1, 1, 4, 4};
  Tensor *S = tensor_new(4, matrices), *heir = tensor_new(4, matrices), *x = tape_zeros(tp, 3, rows);
  Tensor *recorded = S, *first = S, *second = S;
  S->heir = heir;
  t_wkv7(tp, x, x, x, x, x, x, &recorded);
  assert_ptr_not_equal(recorded, heir);
  S->heir = heir;
  tp->recording = false;
  t_wkv7(tp, x, x, x, x, x, x, &first);
  t_wkv7(tp, x, x, x, x, x, x, &second);
  assert_ptr_equal(first, heir);
  assert_ptr_not_equal(second, heir);
  tape_free(tp);
  tensor_free(S), tensor_free(heir);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_as_specified),
      cmocka_unit_test(names),
      cmocka_unit_test(unknown_names),
      cmocka_unit_test(batch_of_none),
      cmocka_unit_test(copies_are_independent),
      cmocka_unit_test(copy_of_an_attached_state),
      cmocka_unit_test(values_outlive_the_step),
      cmocka_unit_test(detached),
      cmocka_unit_test(watchers_are_unlinked),
      cmocka_unit_test(moves_to_another_tape),
      cmocka_unit_test(run_that_fails),
      cmocka_unit_test(tape_is_freed_first),
      cmocka_unit_test(same_without_recording),
      cmocka_unit_test(unchanged_by_a_failure),
      cmocka_unit_test(one_heir),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
