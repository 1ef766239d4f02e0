/* What a model computes does not depend on how it is asked: cut sequences, batches, what comes later. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a run in pieces ---- */

typedef struct {
  int B, T, V;
  real *logits; /* [B,T,V] */
  State *state; /* after */
} Result;

static void free_result(Result *r)
{
  free(r->logits);
  state_free(r->state);
}

static bool same_results(const Result *a, const Result *b)
{
  size_t n = (size_t)a->B * (size_t)a->T * (size_t)a->V;
  return memcmp(a->logits, b->logits, n * sizeof(real)) == 0 && same_states(a->state, b->state);
}

/* tokens[b][from .. to) as [B,to-from] */
static void run_piece(Model *m, Tape *tp, const int *tokens, Result *r, int from, int to)
{
  int length = to - from;
  int *piece = calloc((size_t)(r->B * length), sizeof *piece);
  for (int b = 0; b < r->B; b++) memcpy(piece + b * length, tokens + b * r->T + from, (size_t)length * sizeof *piece);
  Tensor *t = model_logits(tp, m, TOKENS(piece, r->B, length), r->state);
  free(piece); /* the tape must not need them any more */
  size_t row = (size_t)length * (size_t)r->V;
  assert_int_equal(t->n, (size_t)r->B * row);
  for (int b = 0; b < r->B; b++) tensor_read(t, (size_t)b * row, row, r->logits + (b * r->T + from) * r->V);
}

typedef enum { RECORDED, UNRECORDED, NEW_STEP } RunMode;

/* cut[t]: a piece ends before t. NEW_STEP: the tape is reset after each piece. */
static Result run(Model *m, const int *tokens, int B, int T, const bool *cut, RunMode mode)
{
  Result r = {B, T, m->d.V, calloc((size_t)(B * T * m->d.V), sizeof(real)), state_new(m, B)};
  Tape *tp = tape_new();
  tp->recording = mode != UNRECORDED;
  for (int from = 0, t = 1; t <= T; t++)
    if (t == T || (cut && cut[t])) {
      run_piece(m, tp, tokens, &r, from, t);
      from = t;
      if (mode == NEW_STEP) tape_reset(tp);
    }
  state_detach(r.state);
  tape_free(tp);
  return r;
}

static void must_match(Model *m, const int *tokens, const Result *whole, const bool *cut, RunMode mode, const char *how)
{
  Result r = run(m, tokens, whole->B, whole->T, cut, mode);
  bool same = same_results(&r, whole);
  free_result(&r);
  if (!same) fail_msg("%s, B=%d T=%d: %s differs from one run", m->version->name, whole->B, whole->T, how);
}

static void check_cuts(Model *m, int B, int T)
{
  int *tokens = random_tokens((uint64_t)T, B * T, m->d.V);
  Result whole = run(m, tokens, B, T, NULL, UNRECORDED);
  for (int i = 0; i < B * T * m->d.V; i++) assert_true(isfinite((double)whole.logits[i]));
  must_match(m, tokens, &whole, NULL, RECORDED, "a recorded run");
  bool cut[64] = {false};
  char how[40];
  for (int t = 1; t < T; t++) {
    cut[t] = true;
    snprintf(how, sizeof how, "cutting at %d", t);
    must_match(m, tokens, &whole, cut, t % 2 ? UNRECORDED : RECORDED, how);
    cut[t] = false;
  }
  for (int t = 1; t < T; t++) cut[t] = true;
  must_match(m, tokens, &whole, cut, UNRECORDED, "token by token");
  must_match(m, tokens, &whole, cut, RECORDED, "token by token, recorded");
  must_match(m, tokens, &whole, cut, NEW_STEP, "token by token, each a step of its own");
  free_result(&whole);
  free(tokens);
}

static void cutting_anywhere(void **state)
{
  (void)state;
  enum { COUNT = 7 };
  static const int lengths[COUNT] = {1, 2, 3, 7, 16, 17, 20};
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      for (int i = 0; i < COUNT; i++) check_cuts(m, 1 + (i + variant) % 3, lengths[i]);
      model_free(m);
    }
}

/* ---- batches ---- */

/* Row `row` of a batch must be what the sequence gives alone, in logits and in state. */
static void check_row(const Result *batch, int row, const Result *alone, const char *version)
{
  size_t n = (size_t)alone->T * (size_t)alone->V;
  if (memcmp(batch->logits + (size_t)row * n, alone->logits, n * sizeof(real)))
    fail_msg("%s: sequence %d gives other logits in a batch than alone", version, row);
  for (int i = 0; i < alone->state->count; i++) {
    const Tensor *want = alone->state->now[i];
    if (memcmp(batch->state->now[i]->data + (size_t)row * want->n, want->data, want->n * sizeof(real)))
      fail_msg("%s: sequence %d leaves another state %d in a batch than alone", version, row, i);
  }
}

static void check_batch(Model *m)
{
  enum { B = 3, T = 18 };
  static const int order[B] = {2, 0, 1};
  int *tokens = random_tokens(5, B * T, m->d.V), permuted[B * T];
  for (int b = 0; b < B; b++) memcpy(permuted + b * T, tokens + order[b] * T, T * sizeof *permuted);
  Result batch = run(m, tokens, B, T, NULL, UNRECORDED), mixed = run(m, permuted, B, T, NULL, RECORDED);
  for (int b = 0; b < B; b++) {
    Result alone = run(m, tokens + b * T, 1, T, NULL, RECORDED);
    check_row(&batch, b, &alone, m->version->name);
    for (int p = 0; p < B; p++)
      if (order[p] == b) check_row(&mixed, p, &alone, m->version->name);
    free_result(&alone);
  }
  assert_false(same_results(&batch, &mixed));
  free_result(&batch);
  free_result(&mixed);
  free(tokens);
}

static void sequences_of_a_batch_do_not_mix(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      check_batch(m);
      model_free(m);
    }
}

/* Nothing in the future reaches the past. */
static void causal(void **state)
{
  (void)state;
  enum { T = 18, AT = 11 };
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    int *tokens = random_tokens(6, T, m->d.V);
    Result a = run(m, tokens, 1, T, NULL, UNRECORDED);
    tokens[AT] = (tokens[AT] + 1) % m->d.V;
    Result b = run(m, tokens, 1, T, NULL, UNRECORDED);
    size_t before = (size_t)(AT * m->d.V);
    assert_memory_equal(a.logits, b.logits, before * sizeof(real));
    for (int t = AT; t < T; t++) /* and everything in the past reaches the future */
      assert_true(memcmp(a.logits + t * m->d.V, b.logits + t * m->d.V, (size_t)m->d.V * sizeof(real)) != 0);
    free_result(&a);
    free_result(&b);
    free(tokens);
    model_free(m);
  }
}

/* The logits after each sequence alone are the last ones of all, and the state is the same. */
static void the_last_logits(void **state)
{
  (void)state;
  enum { B = 3, T = 7 };
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      int *tokens = random_tokens(7, B * T, m->d.V);
      Result all = run(m, tokens, B, T, NULL, UNRECORDED);
      State *st = state_new(m, B);
      Tape *tp = tape_new();
      tp->recording = false;
      real *last = numbers_of(model_logits_last(tp, m, TOKENS(tokens, B, T), st));
      for (int b = 0; b < B; b++)
        assert_memory_equal(last + b * m->d.V, all.logits + (b * T + T - 1) * m->d.V, (size_t)m->d.V * sizeof *last);
      assert_true(same_states(st, all.state));
      free_result(&all);
      free(last), free(tokens);
      state_free(st);
      tape_free(tp);
      model_free(m);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cutting_anywhere),
      cmocka_unit_test(sequences_of_a_batch_do_not_mix),
      cmocka_unit_test(causal),
      cmocka_unit_test(the_last_logits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
