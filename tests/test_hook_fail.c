/* Hooks that do wrong, and hooks that have no place: the message says which hook, where, what was found and what was
   expected; the state is as it was, and everything goes on. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "models.h"

#include "engine/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 5, C = 9 };
static const int tokens[B * T] = {1, 2, 3, 0, 4, 5, 1, 6, 2, 2};

/* ---- what they return ---- */

static bool broken; /* whether they do wrong now; other layers than that of `wrong_layer` always do right */

/* The last one that the slot has, of two. */
static int wrong_layer(HookSlot slot) { return slot == HOOK_EMBED_NORM ? 0 : 1; }

/* Zeros are right everywhere. */
static bool right(HookCall *c)
{
  int shape[] = {c->ps->B, c->ps->T, dims_size(c->ps->d, hook_slots[c->hook->slot].width)};
  for (int i = 0; i < c->out_count; i++) c->out[i] = tape_zeros(c->ps->tp, 3, shape);
  return !broken || c->ps->layer != wrong_layer(c->hook->slot);
}

static void shaped(HookCall *c, int axes, const int *shape)
{
  if (!right(c)) c->out[c->out_count - 1] = tape_zeros(c->ps->tp, axes, shape);
}

static void wider(HookCall *c) { shaped(c, 3, (int[]){c->ps->B, c->ps->T, C + 1}); }
static void turned(HookCall *c) { shaped(c, 3, (int[]){c->ps->T, c->ps->B, C}); }
static void flat(HookCall *c) { shaped(c, 2, (int[]){c->ps->B * c->ps->T, C}); }
static void row(HookCall *c) { shaped(c, 1, (int[]){C}); }
static void long_row(HookCall *c) { shaped(c, 1, (int[]){C + 1}); }
static void four_axes(HookCall *c) { shaped(c, 4, (int[]){1, c->ps->B, c->ps->T, C}); }

static void nothing(HookCall *c)
{
  if (!right(c)) c->out[c->out_count - 1] = NULL;
}

static void number(HookCall *c, double x)
{
  if (!right(c)) tensor_write(c->out[c->out_count - 1], 4, 1, &(real){(real)x});
}

static void nan_in_it(HookCall *c) { number(c, (double)NAN); }
static void infinite(HookCall *c) { number(c, (double)INFINITY); }
static void minus_infinite(HookCall *c) { number(c, -(double)INFINITY); }
static void quarter(HookCall *c) { number(c, 0.25); }
static void large(HookCall *c) { number(c, 2.5); }
static void negative(HookCall *c) { number(c, -0.5); }

static const struct {
  HookSlot slot;
  void (*apply)(HookCall *c);
  const char *expected; /* in the message */
} wrongs[] = {
    {HOOK_SHIFT, wider, "returned [2,5,10], expected [2,5,9]"},
    {HOOK_SHIFT, nothing, "returned nothing, expected [2,5,9]"},
    {HOOK_SHIFT, nan_in_it, "returned nan at [1,1,5], expected a finite number"},
    {HOOK_FFN_SHIFT, turned, "returned [5,2,9], expected [2,5,9]"},
    {HOOK_FFN_SHIFT, infinite, "returned inf at [1,1,5], expected a finite number"},
    {HOOK_RECEPTANCE, row, "returned [9], expected [2,5,9]"},
    {HOOK_RECEPTANCE, four_axes, "returned [1,2,5,9], expected [2,5,9]"},
    {HOOK_DECAY, wider, "returned [2,5,10], expected [2,5,9] or [9]"},
    {HOOK_DECAY, long_row, "returned [10], expected [2,5,9] or [9]"},
    {HOOK_DECAY, nothing, "returned nothing, expected [2,5,9]"},
    {HOOK_DECAY, nan_in_it, "returned nan at [1,1,5], expected at most 0"},
    {HOOK_DECAY, quarter, "returned 0.25 at [1,1,5], expected at most 0"},
    {HOOK_DECAY, minus_infinite, "returned -inf at [1,1,5], expected at most 0"},
    {HOOK_ICLR, large, "returned 2.5 at [1,1,5], expected 0 to 2"},
    {HOOK_ICLR, negative, "returned -0.5 at [1,1,5], expected 0 to 2"},
    {HOOK_ICLR, flat, "returned [10,9], expected [2,5,9] or [9]"},
    {HOOK_GATE, long_row, "returned [10], expected [2,5,9] or [9]"},
    {HOOK_GATE, infinite, "returned inf at [1,1,5], expected a finite number"},
    {HOOK_BONUS, row, "returned [9], expected [2,5,9]"},
    {HOOK_BONUS, nan_in_it, "returned nan at [1,1,5], expected a finite number"},
    {HOOK_KEY_NORM, nothing, "returned nothing, expected [2,5,9]"},
    {HOOK_VALUE_RESIDUAL, wider, "returned [2,5,10], expected [2,5,9]"},
    {HOOK_RECURRENCE, turned, "returned [5,2,9], expected [2,5,9]"},
    {HOOK_NORM, minus_infinite, "returned -inf at [1,1,5], expected a finite number"},
    {HOOK_TIME_MIX, flat, "returned [10,9], expected [2,5,9]"},
    {HOOK_TIME_MIX, nothing, "returned nothing, expected [2,5,9]"},
    {HOOK_CHANNEL_MIX, wider, "returned [2,5,10], expected [2,5,9]"},
    {HOOK_TIME_OUT, row, "returned [9], expected [2,5,9]"},
    {HOOK_CHANNEL_OUT, nothing, "returned nothing, expected [2,5,9]"},
    {HOOK_EMBED_NORM, nan_in_it, "returned nan at [1,1,5], expected a finite number"},
};

typedef struct {
  Model *m;
  Tape *tp;
  State *st;
} Go;

static void go(void *arg)
{
  Go *g = arg;
  model_logits(g->tp, g->m, TOKENS(tokens, B, T), g->st);
}

/* A run that goes well, one that fails, one that goes well: as if the failed one had never been. */
static void check_wrong(const Hook *h, const char *expected, bool recording)
{
  char title[80];
  Dims d = small_dims(version_find("v7"), 1);
  d.hook[h->slot] = h;
  Model *m = random_model(version_find("v7"), &d, 1);
  Tape *tp = tape_new();
  tp->recording = recording;
  Go g = {m, tp, state_new(m, B)};
  broken = false;
  go(&g);
  tape_reset(tp);
  State *before = state_copy(g.st), *other = state_copy(g.st);
  broken = true;
  const char *message = rwkv_protect(go, &g);
  broken = false;
  snprintf(title, sizeof title, "hook %s \"wrong\" (here.c:3), layer %d: ", hook_slots[h->slot].name,
           wrong_layer(h->slot) + 1);
  if (!message) fail_msg("nothing failed, expected %s%s", title, expected);
  if (!strstr(message, title) || !strstr(message, expected)) fail_msg("%s; expected %s%s", message, title, expected);
  assert_true(same_states(g.st, before));
  go(&g);
  tape_reset(tp);
  free(logits_of(m, tokens, B, T, other));
  assert_true(same_states(g.st, other));
  state_free(g.st), state_free(before), state_free(other);
  tape_free(tp);
  model_free(m);
}

static void wrong_results(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
    Hook h = {.slot = wrongs[i].slot, .name = "wrong", .origin = "here.c:3", .apply = wrongs[i].apply};
    check_wrong(&h, wrongs[i].expected, false);
    check_wrong(&h, wrongs[i].expected, true);
  }
}

/* ---- what need not be [B,T,width] ---- */

static int axes; /* of what they return: 3 or 1, or 0 for a number */

static void constant(HookCall *c)
{
  int width = dims_size(c->ps->d, hook_slots[c->hook->slot].width), shape[] = {c->ps->B, c->ps->T, width};
  double x = c->hook->slot == HOOK_DECAY ? -0.5 : 0.5;
  c->out[0] = t_affine(c->ps->tp, tape_zeros(c->ps->tp, axes, shape + 3 - axes), 0, x);
}

/* Where a slot takes a constant, for all tokens or for all channels too, it is the same as written out. */
static void constants(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int slot = 0; slot < HOOK_SLOTS; slot++) {
      if (!v->own[slot] || !hook_slots[slot].constant) continue;
      Hook h = {.slot = (HookSlot)slot, .name = "constant", .apply = constant};
      Dims d = small_dims(v, 1);
      d.hook[slot] = &h;
      Model *m = random_model(v, &d, 1);
      real *logits[3];
      for (int i = 0; i < 3; i++) {
        State *st = state_new(m, B);
        axes = i == 2 ? 3 : i;
        logits[i] = logits_of(m, tokens, B, T, st);
        state_free(st);
      }
      size_t n = (size_t)(B * T * m->d.V);
      check_close(v->name, logits[1], logits[2], n, VALUE_TOL);
      check_close(v->name, logits[0], logits[2], n, VALUE_TOL);
      for (int i = 0; i < 3; i++) free(logits[i]);
      model_free(m);
    }
}

/* ---- no place ---- */

typedef struct {
  const Version *v;
  Dims d;
} Make;

static void make(void *arg)
{
  Make *make = arg;
  model_free(model_new(make->v, &make->d, 1));
}

static void make_fails(Make *m, const char *a, const char *b)
{
  const char *message = rwkv_protect(make, m);
  if (!message) fail_msg("%s was made, expected \"%s\"", m->v->name, a);
  if (!strstr(message, m->v->name) || !strstr(message, a) || !strstr(message, b))
    fail_msg("\"%s\" lacks \"%s\", \"%s\" or %s", message, a, b, m->v->name);
}

static void no_place(void **state)
{
  (void)state;
  char text[80];
  FOR_VERSIONS(v)
    for (int slot = 0; slot < HOOK_SLOTS; slot++) {
      const char *name = hook_slots[slot].name;
      Hook h = {.slot = (HookSlot)slot, .name = "any", .apply = nothing};
      Make m = {v, small_dims(v, 1)};
      m.d.hook[slot] = &h;
      if (!v->own[slot]) { /* the version lacks it */
        snprintf(text, sizeof text, "has no hook %s; it has: shift ffn_shift ", name);
        make_fails(&m, text, " time_mix channel_mix time_out channel_out");
        continue;
      }
      HookSlot whole = strcmp(hook_slots[slot].part, "att") ? HOOK_CHANNEL_MIX : HOOK_TIME_MIX;
      HookSlot other = whole == HOOK_TIME_MIX ? HOOK_CHANNEL_MIX : HOOK_TIME_MIX;
      Hook all = {.slot = whole, .name = "all", .apply = nothing};
      Hook rest = {.slot = other, .name = "rest", .apply = nothing};
      m.d.hook[whole] = &all;
      snprintf(text, sizeof text, "hook %s has no place beside hook %s", name, hook_slots[whole].name);
      if (hook_slots[slot].around) assert_null(rwkv_protect(make, &m));
      else if ((HookSlot)slot != whole) make_fails(&m, text, "replaces all of it");
      m.d.hook[whole] = NULL, m.d.hook[slot] = &h, m.d.hook[other] = &rest; /* the other part of the block is free */
      assert_null(rwkv_protect(make, &m));
      m.d.hook[slot] = &rest; /* a hook for another slot */
      if (slot != (int)other) {
        snprintf(text, sizeof text, "hook \"rest\" is for %s, not for %s", hook_slots[other].name, name);
        make_fails(&m, text, "");
      }
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_results),
      cmocka_unit_test(constants),
      cmocka_unit_test(no_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
