/* Slots, and a hook in C with parameters and state of its own. The built-in ones are in test_variants.c, those that do
   wrong in test_hook_fail.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"
#include "model_checks.h"

#include "engine/err.h"
#include "variants.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 5 };
static const int tokens[B * T] = {1, 2, 3, 0, 4, 5, 1, 6, 2, 2}, targets[B * T] = {2, 3, 0, 4, 5, 1, 6, 2, 2, 1};

/* ---- slots ---- */

static void look_up(void *arg) { hook_slot(arg); }

static void slots(void **state)
{
  (void)state;
  for (int slot = 0; slot < HOOK_SLOTS; slot++) {
    assert_int_equal(hook_slot(hook_slots[slot].name), slot);
    assert_true(hook_slots[slot].low < hook_slots[slot].high);
    bool ffn = slot == HOOK_FFN_SHIFT || slot == HOOK_CHANNEL_MIX || slot == HOOK_CHANNEL_OUT;
    assert_string_equal(hook_slots[slot].part, slot == HOOK_EMBED_NORM ? "ln0" : ffn ? "ffn" : "att");
    assert_int_equal(hook_slots[slot].around, slot >= HOOK_TIME_OUT);
  }
  static char *const unknown[] = {"deccay", "decay ", "", "Decay"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    char quoted[20];
    snprintf(quoted, sizeof quoted, "\"%s\"", unknown[i]);
    expect_failure_with(look_up, unknown[i], quoted, "shift, ffn_shift, receptance, decay",
                        "channel_mix, time_out, channel_out, embed_norm", NULL);
  }
}

/* ---- a hook of our own: a gate that remembers, with a sum that fades and with all it has seen ---- */

enum { OUT, RATE };
enum { FADING, KEYS, VALUES };
static const ParamSpec memory_params[] = {[OUT] = {"out.weight", S2(C, C), always, init_orthogonal, 0.5, 1, 0},
                                          [RATE] = {"rate", S1(C), always, init_fill, 1, 3, 0}};
static const StateSpec memory_state[] = {[FADING] = {"fading", S1(C), always, 0.5},
                                         [KEYS] = {"keys", S2(history, C), always, 0},
                                         [VALUES] = {"values", S2(history, C), always, 0}};

static void remember(HookCall *c)
{
  Tape *tp = c->ps->tp;
  int batch = c->ps->B, length = c->ps->T, C = c->ps->d->C;
  Tensor *x = c->in[c->hook->slot == HOOK_RECURRENCE ? 2 : 0]; /* every recurrence has its k there */
  Tensor *rate = t_sigmoid(tp, c->param[RATE]), *rows[64];
  for (int t = 0; t < length; t++) {
    Tensor *now = t_reshape(tp, t_slice(tp, x, 1, t, 1), 2, (int[]){batch, C});
    c->state[FADING] = t_lerp(tp, now, c->state[FADING], rate);
    rows[t] = t_reshape(tp, c->state[FADING], 3, (int[]){batch, 1, C});
  }
  Tensor *all = t_linear_attention(tp, x, x, x, &c->state[KEYS], &c->state[VALUES]);
  Tensor *y = t_add(tp, t_concat(tp, rows, length, 1), t_affine(tp, all, 0.1, 0));
  c->out[0] = t_linear(tp, y, c->param[OUT]);
}

static const Hook memory = {
    HOOK_GATE,           "memory", "test_hook.c:1", memory_params, COUNT(memory_params), memory_state,
    COUNT(memory_state), NULL,     remember};
static Model *model_with(const Version *v, int variant, const Hook *h)
{
  Dims d = small_dims(v, variant);
  d.hook[h->slot] = h;
  return random_model(v, &d, 1);
}

static Model *memory_model(const char *version, int variant)
{
  return model_with(version_find(version), variant, &memory);
}

static void counted_by_hand(void **state)
{
  (void)state;
  static const struct {
    const char *version;
    int variant, places; /* layers with time mixing: v4's variant 3 has one without */
  } cases[] = {{"v4", 3, 1}, {"v4", 1, 2}, {"v5.2", 0, 3}, {"v6b", 1, 2}, {"v7", 1, 2}};
  for (int i = 0; i < COUNT(cases); i++) {
    Model *m = memory_model(cases[i].version, cases[i].variant), *plain = small_model(m->version, cases[i].variant);
    size_t C = (size_t)m->d.C, places = (size_t)cases[i].places, own = 0;
    for (int j = 0; j < plain->count; j++)
      if (strstr(plain->params[j].name, "att.g")) own += plain->params[j].t->n; /* g1 g2, gate.weight */
    assert_int_equal(model_param_count(m, false), model_param_count(plain, false) - own + places * (C + C * C));
    assert_int_equal(version_state_floats(m->version, &m->d, 7),
                     version_state_floats(plain->version, &plain->d, 7) + places * (C + 2 * 7 * C));
    model_free(m), model_free(plain);
  }
}

/* It makes [B,T,C] of [B,T,C], and so fits in most slots of every version. */
static void in_every_slot(void **state)
{
  (void)state;
  int seen = 0;
  FOR_VERSIONS(v)
    for (int slot = HOOK_RECEPTANCE; slot < HOOK_SLOTS; slot++)
      for (int variant = 1; variant <= 3; variant += 2) {
        if (!v->own[slot] || slot == HOOK_DECAY || slot == HOOK_ICLR) continue; /* these have a range */
        Hook h = memory;
        char what[80];
        h.slot = (HookSlot)slot;
        snprintf(what, sizeof what, "%s, memory as %s", v->name, hook_slots[slot].name);
        Model *m = model_with(v, variant, &h);
        check_counts(what, m);
        check_pieces(what, m);
        check_slopes(what, m, ".memory.");
        check_round_trip(what, m, &m->d);
        model_free(m);
        seen++;
      }
  assert_true(seen > 100);
}

/* Each has a state of its own. */
static void several_at_once(void **state)
{
  (void)state;
  Hook hooks[HOOK_SLOTS];
  FOR_VERSIONS(v) {
    Dims d = small_dims(v, 1);
    for (int slot = HOOK_RECEPTANCE; slot < HOOK_SLOTS; slot++) {
      hooks[slot] = memory;
      hooks[slot].slot = (HookSlot)slot;
      bool fits = v->own[slot] && slot != HOOK_DECAY && slot != HOOK_ICLR;
      if (fits && (slot != HOOK_TIME_MIX || !v->own[HOOK_NORM])) d.hook[slot] = &hooks[slot];
    }
    Model *m = random_model(v, &d, 1);
    check_counts(v->name, m);
    check_pieces(v->name, m);
    check_slopes(v->name, m, ".memory.");
    check_round_trip(v->name, m, &m->d);
    model_free(m);
  }
}

static void names(void **state)
{
  (void)state;
  char name[PARAM_NAME];
  hook_param_name(name, sizeof name, 12, &memory, "out.weight");
  assert_string_equal(name, "blocks.12.att.gate.memory.out.weight");
  hook_param_name(name, sizeof name, 0, hook_find(HOOK_CHANNEL_MIX, "relu2"), "mu_k");
  assert_string_equal(name, "blocks.0.ffn.channel_mix.relu2.mu_k");

  Model *m = memory_model("v4", 3);
  assert_null(model_param(m, "blocks.0.att.gate.memory.rate"));
  const Param *rate = model_param(m, "blocks.1.att.gate.memory.rate");
  assert_non_null(rate);
  assert_true(rate->lr_scale == 3 && !rate->unused);
  State *st = state_new(m, B);
  const Tensor *fading = st->now[state_index(st, "1.gate.fading")];
  assert_int_equal(fading->n, B * m->d.C);
  for (size_t i = 0; i < fading->n; i++) assert_true(fading->data[i] == (real)0.5);
  assert_int_equal(st->now[state_index(st, "0.gate.fading")]->n, 0);
  free(logits_of(m, tokens, B, T, st));
  const Tensor *keys = st->now[state_index(st, "1.gate.keys")];
  assert_int_equal(keys->axes, 3);
  assert_true(keys->shape[0] == B && keys->shape[1] == T && keys->shape[2] == m->d.C);
  state_free(st);
  model_free(m);
}

static double loss_of(Model *m, Tape *tp)
{
  State *st = state_new(m, B);
  Tensor *loss = model_loss(tp, m, TOKENS(tokens, B, T), targets, st, NULL, NULL);
  double value = (double)loss->data[0];
  zero_model_grads(m);
  tape_backward(tp, loss);
  state_free(st);
  tape_reset(tp);
  return value;
}

/* The optimizer moves its parameters: the rate three times as fast, and weight decay on the matrix called weight. */
static void is_trained(void **state)
{
  (void)state;
  Model *m = memory_model("v7", 1);
  Tape *tp = tape_new();
  Optim *o = model_optimizer(m,
                             &(OptConfig){.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 1e-6});
  const Tensor *rate = model_param(m, "blocks.1.att.gate.memory.rate")->t;
  real before = rate->data[3];
  double first = loss_of(m, tp), last = first;
  for (int step = 0; step < 20; step++) {
    opt_step(o, NULL);
    if (step == 0) check_number("the first step", fabs((double)(rate->data[3] - before)), 3e-2, 1e-4);
    last = loss_of(m, tp);
  }
  if (!(last < 0.8 * first)) fail_msg("the loss went from %g to %g", first, last);
  for (int i = 0; i < o->count; i++)
    if (strstr(m->params[i].name, ".memory."))
      assert_int_equal(o->params[i].decay > 0, strstr(m->params[i].name, "out.weight") != NULL);
  opt_free(o);
  tape_free(tp);
  model_free(m);
}

/* ---- files ---- */

typedef struct {
  const char *path;
  const Dims *hooks;
} Load;

static void load(void *arg) { model_free(load_model(((Load *)arg)->path, ((Load *)arg)->hooks)); }

static void load_fails(const char *path, const Hook *hook, const char *a, const char *b)
{
  Dims hooks = {0};
  if (hook) hooks.hook[hook->slot] = hook;
  expect_failure_with(load, &(Load){path, hook ? &hooks : NULL}, path, a, b, NULL);
}

/* A file with an unknown hook is refused, and one whose hook is another than it was. */
static void refused_files(void **state)
{
  (void)state;
  const char *path = files_path("memory.safetensors");
  Model *m = memory_model("v7", 1);
  write_model(m, path);
  Hook other = memory;
  static const ParamSpec wide[] = {{"out.weight", S2(F, C), always, init_fill, 0, 1, 0, false},
                                   {"rate", S1(C), always, init_fill, 0, 1, 0, false},
                                   {"more", S1(C), always, init_fill, 0, 1, 0, false}};
  load_fails(path, NULL, "gate hook \"memory\"", "not built-in");
  other.name = "memories";
  load_fails(path, &other, "gate hook \"memory\"", "not built-in");
  other = memory, other.slot = HOOK_NORM;
  load_fails(path, &other, "gate hook \"memory\"", "not built-in");
  other = memory, other.param_count = 1;
  load_fails(path, &other, "blocks.0.att.gate.memory.rate", "no place");
  other.param = wide, other.param_count = 3;
  load_fails(path, &other, "blocks.0.att.gate.memory.out.weight", "expected [36,9]");
  other.param = wide + 1, other.param_count = 2;
  load_fails(path, &other, "blocks.0.att.gate.memory.more", "missing");

  const char *hooks, *bare = files_path("bare.safetensors");
  Dims d;
  TensorFile *f = file_open(path);
  assert_ptr_equal(model_hooked(f, &d, &hooks), m->version);
  assert_true(d.L == 2 && d.C == m->d.C && d.Dw == m->d.Dw && d.N == m->d.N);
  assert_string_equal(hooks, "gate=memory");
  assert_string_equal(hook_name_in(hooks, HOOK_GATE), "memory");
  assert_null(hook_name_in(hooks, HOOK_DECAY));
  file_close(f);
  FileWriter *w = writer_create(bare);
  writer_put_meta(w, "aviary.hooks", "gate=memory");
  writer_put(w, "blocks.0.ln1.weight", 1, (int[]){1}, (real[]){1});
  writer_finish(w);
  load_fails(bare, &memory, "version", "sizes");
  model_free(m);
}

static void check_state(void *arg) { state_check(((void **)arg)[0], ((void **)arg)[1]); }

static void states_know_their_hooks(void **state)
{
  (void)state;
  Model *m = memory_model("v6b", 1), *plain = small_model(version_find("v6b"), 1);
  State *s = state_new(m, 1), *t = state_new(plain, 1);
  expect_failure_with(check_state, (void *[]){s, plain}, "another model", "hook gate", NULL);
  expect_failure_with(check_state, (void *[]){t, m}, "another model", "hook gate", NULL);
  state_free(s), state_free(t);
  model_free(m), model_free(plain);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(slots), TEST(counted_by_hand), TEST(in_every_slot), TEST(several_at_once),
      TEST(names), TEST(is_trained),      TEST(refused_files), TEST(states_know_their_hooks),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
