#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "fast/fast.h"
#include "files.h"
#include "model_checks.h"

#include "engine/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 6 };

/* ---- pieces ---- */

/* Logits [B,T,V] of the tokens [B,T], for free(). Bit t of cuts: a piece ends before token t. */
static real *in_pieces(Model *m, const int *tokens, unsigned cuts, bool recording, State *st)
{
  Tape *tp = tape_new();
  tp->recording = recording;
  size_t V = (size_t)m->d.V;
  real *logits = calloc(B * T * V, sizeof *logits);
  for (int from = 0, to = 1; to <= T; to++) {
    if (to < T && !(cuts >> to & 1)) continue;
    int piece[B * T], length = to - from;
    for (int i = 0; i < B * length; i++) piece[i] = tokens[i / length * T + from + i % length];
    Tensor *t = model_logits(tp, m, TOKENS(piece, B, length), st);
    size_t n = (size_t)length * V;
    for (int b = 0; b < B; b++) tensor_read(t, (size_t)b * n, n, logits + (size_t)(b * T + from) * V);
    from = to;
  }
  state_detach(st);
  tape_free(tp);
  return logits;
}

void check_pieces(const char *what, Model *m)
{
  int *tokens = random_tokens(1, B * T, m->d.V);
  size_t n = (size_t)(B * T * m->d.V);
  State *after = state_new(m, B);
  real *whole = in_pieces(m, tokens, 0, false, after);
  for (unsigned cuts = 0; cuts < 1u << T; cuts += 2) { /* all there are; before the first token there is no cut */
    State *st = state_new(m, B);
    real *logits = in_pieces(m, tokens, cuts, cuts & 4, st);
    bool same = memcmp(logits, whole, n * sizeof *whole) == 0 && same_states(st, after);
    free(logits);
    state_free(st);
    if (!same) fail_msg("%s: in pieces (cuts %#x) it gives something else than in one", what, cuts);
  }
  State *st = state_new(m, B);
  backend_use(&backend_fast);
  real *fast = in_pieces(m, tokens, 8, false, st);
  backend_use(&backend_reference);
  check_close(what, fast, whole, n, 1e3 * VALUE_TOL);
  free(fast), free(whole), free(tokens);
  state_free(st), state_free(after);
}

/* ---- gradients ---- */

typedef struct {
  Model *m;
  const char *part;
  double *direction; /* of all parameters, 0 where they stay */
  int *tokens, *targets;
} Problem;

static double loss_of(const Problem *p, bool backward)
{
  Tape *tp = tape_new();
  State *st = state_new(p->m, B);
  tp->recording = backward;
  Tensor *loss = model_loss(tp, p->m, TOKENS(p->tokens, B, T), p->targets, st, NULL, NULL);
  double value = (double)loss->data[0];
  if (backward) tape_backward(tp, loss);
  state_free(st);
  tape_free(tp);
  return value;
}

static double loss_at(const Problem *p, double step)
{
  size_t at = 0;
  real *keep = calloc(model_param_count(p->m, true), sizeof *keep);
  for (int i = 0; i < p->m->count; i++)
    for (size_t j = 0; j < p->m->params[i].t->n; j++, at++) {
      keep[at] = p->m->params[i].t->data[j];
      p->m->params[i].t->data[j] += (real)(step * p->direction[at]);
    }
  double loss = loss_of(p, false);
  at = 0;
  for (int i = 0; i < p->m->count; i++)
    for (size_t j = 0; j < p->m->params[i].t->n; j++, at++) p->m->params[i].t->data[j] = keep[at];
  free(keep);
  return loss;
}

/* Central differences at h and 2h, extrapolated: the error is h^4. */
static double slope(const Problem *p, double h)
{
  double one = (loss_at(p, h) - loss_at(p, -h)) / (2 * h), two = (loss_at(p, 2 * h) - loss_at(p, -2 * h)) / (4 * h);
  return (4 * one - two) / 3;
}

#ifdef AVIARY_DOUBLE
static const double steps[] = {2e-4, 2e-5, 2e-6, 2e-7}, slope_tol = 1e-6, rounding = 1e-15;
#else
static const double steps[] = {1e-2, 2e-3, 5e-4, 1e-4, 3e-5}, slope_tol = 4e-2, rounding = 2e-6;
#endif

/* A step may carry a relu over its kink, so a smaller one is tried before the gradient is blamed. */
static void check_direction(const char *what, const Problem *p, uint64_t seed)
{
  double expected = 0, norm = 0, found = 0;
  Rng r = rng_named(seed, "direction");
  for (size_t at = 0, i = 0; i < (size_t)p->m->count; i++) {
    bool moves = !p->part || strstr(p->m->params[i].name, p->part);
    const Tensor *t = p->m->params[i].t;
    for (size_t j = 0; j < t->n; j++, at++) {
      p->direction[at] = moves ? rng_normal(&r) : 0;
      expected += p->direction[at] * (double)t->grad[j];
      if (moves) norm += (double)t->grad[j] * (double)t->grad[j];
    }
  }
  norm = sqrt(norm);
  if (!(norm > 1e-7)) fail_msg("%s: the gradient of %s is %g", what, p->part ? p->part : "all", norm);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    found = slope(p, steps[i]);
    if (fabs(found - expected) <= slope_tol * fmax(fabs(expected), 0.1 * norm) + rounding / steps[i]) return;
  }
  fail_msg("%s: slope %.12g along %s, the gradient says %.12g", what, found, p->part ? p->part : "all", expected);
}

void check_slopes(const char *what, Model *m, const char *part)
{
  Problem p = {m, NULL, calloc(model_param_count(m, true), sizeof(double)), random_tokens(2, B * T, m->d.V),
               random_tokens(3, B * T, m->d.V)};
  zero_model_grads(m);
  loss_of(&p, true);
  check_direction(what, &p, 1);
  check_direction(what, &p, 2);
  p.part = part;
  if (part) check_direction(what, &p, 3);
  free(p.direction), free(p.tokens), free(p.targets);
}

/* ---- counts ---- */

void check_counts(const char *what, Model *m)
{
  int *tokens = random_tokens(4, T, m->d.V);
  State *st = state_new(m, 1);
  free(logits_of(m, tokens, 1, T, st));
  size_t held = 0;
  for (int i = 0; i < st->count; i++) held += st->now[i]->n;
  Counts c = version_counts(m->version, &m->d, T);
  state_free(st);
  free(tokens);
  if (c.params != model_param_count(m, false))
    fail_msg("%s: %zu parameters counted, it has %zu", what, c.params, model_param_count(m, false));
  const Hook *const *hook = m->d.hook;
  bool spare = m->version->own[HOOK_VALUE_RESIDUAL] && !hook[HOOK_TIME_MIX] && !hook[HOOK_VALUE_RESIDUAL];
  size_t unused = spare ? (size_t)(m->d.C + 2 * m->d.C * m->d.Dv) : 0;               /* block 0's value residual */
  if (strcmp(m->version->name, "v8_rc00_hybrid") == 0) unused += 2 * (size_t)m->d.C; /* and its ln0 */
  if (c.unused != unused) fail_msg("%s: %zu unused parameters counted, expected %zu", what, c.unused, unused);
  if (c.state != held) fail_msg("%s: %zu numbers of state counted, it has %zu", what, c.state, held);
}

/* ---- files ---- */

void write_model(const Model *m, const char *path)
{
  FileWriter *w = writer_create(path);
  model_write(m, w);
  writer_finish(w);
}

typedef struct {
  TensorFile *file;
  const Dims *hooks;
  Model *model;
} Load;

static void load(void *arg)
{
  Load *l = arg;
  l->model = model_load(l->file, &(LoadOptions){.hooks = l->hooks});
}

Model *load_model(const char *path, const Dims *hooks)
{
  Load l = {file_open(path), hooks, NULL};
  const char *error = rwkv_protect(load, &l);
  file_close(l.file);
  if (error) rwkv_fail("%s", error);
  return l.model;
}

static bool same_logits(Model *a, Model *b)
{
  int *tokens = random_tokens(5, B * T, a->d.V);
  State *s = state_new(a, B), *t = state_new(b, B);
  real *x = logits_of(a, tokens, B, T, s), *y = logits_of(b, tokens, B, T, t);
  bool same = memcmp(x, y, (size_t)(B * T * a->d.V) * sizeof *x) == 0 && same_states(s, t);
  free(x), free(y), free(tokens);
  state_free(s), state_free(t);
  return same;
}

void check_round_trip(const char *what, Model *m, const Dims *hooks)
{
  const char *path = files_path("model.safetensors");
  write_model(m, path);
  Model *back = load_model(path, hooks);
  bool same = back->version == m->version && memcmp(&back->d, &m->d, sizeof m->d) == 0 && back->count == m->count;
  for (int i = 0; same && i < m->count; i++)
    same = strcmp(back->params[i].name, m->params[i].name) == 0 &&
           tensor_same_shape(back->params[i].t, m->params[i].t) && back->params[i].lr_scale == m->params[i].lr_scale &&
           !back->params[i].unused;
  if (!same) fail_msg("%s: a model was written, another one read", what);
  if (!same_logits(m, back)) fail_msg("%s: written and read it gives other logits", what);
  model_free(back);
}
