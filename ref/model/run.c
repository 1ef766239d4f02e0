/* Running a model: tokens to logits, to loss, or to everything in between. */
#include "layout.h"
#include "model.h"

#include "engine/err.h"

#include <limits.h>
#include <string.h>

/* Ids in order, sequence by sequence, from 0 to V - 1; negative ones too if `low` says so. */
static void check_ids(const char *what, const int *id, int B, int T, int low, int V)
{
  for (int i = 0; i < B * T; i++)
    if (id[i] < low || id[i] >= V)
      rwkv_fail("%s: %d at sequence %d, position %d, expected 0 to %d", what, id[i], i / T + 1, i % T + 1, V - 1);
}

/* Checks the arguments. The blocks work on a copy of the state's list of tensors: a run that fails leaves
   the state as it was. */
static Pass begin(Tape *tp, const Model *m, const int *tokens, int B, int T, State *st)
{
  if (B < 1 || T < 1) rwkv_fail("tokens [%d,%d]: at least one sequence of one token is needed", B, T);
  state_check(st, m);
  if (m->file) file_check(m->file);
  if (st->B != B) rwkv_fail("the state is for a batch of %d, the tokens are [%d,%d]", st->B, B, T);
  check_ids("tokens", tokens, B, T, 0, m->d.V);
  state_attach(st, tp);
  st->recorded |= tp->recording;
  tape_batch(tp, (size_t)B, (size_t)T, (size_t)m->d.C);
  Tensor **state = arena_alloc(&tp->arena, (size_t)st->count * sizeof *state);
  memcpy(state, st->now, (size_t)st->count * sizeof *state);
  /* clang-format off */
  return (Pass){.tp = tp, .d = &m->d, .global = m->global, .tokens = tokens, .B = B, .T = T,
                .rounded_decay = m->rounded_decay, .host = m->host, .held = &st->held, .state = state,
                .global_state = state + m->d.L * layout_state_count(m->version, &m->d)};
  /* clang-format on */
}

static Tensor *run_block(Pass *ps, const Model *m, int layer, Tensor *x)
{
  Tensor **state = ps->state + layer * layout_state_count(m->version, &m->d);
  Tensor **hook_state = state + m->version->state.count;
  ps->layer = layer;
  for (int slot = 0; slot < HOOK_SLOTS; slot++) {
    ps->hook_param[slot] = m->hook_params[layer * HOOK_SLOTS + slot];
    ps->hook_state[slot] = hook_state;
    hook_state += m->d.hook[slot] ? m->d.hook[slot]->state_count : 0;
  }
  return m->version->run(ps, m->blocks[layer], x, state);
}

/* [B,T] -> the output of the last block, [B,T,C] */
static Tensor *run_blocks(Pass *ps, const Model *m)
{
  Tensor *x = m->version->embed(ps);
  for (int layer = 0; layer < m->d.L; layer++) {
    x = run_block(ps, m, layer, x);
    TRACE(ps, "out", "x", x);
  }
  return x;
}

static void finish(const Pass *ps, const Model *m, State *st)
{
  if (m->file) file_check(m->file);
  memcpy(st->now, ps->state, (size_t)st->count * sizeof *ps->state);
  for (int b = 0; b < st->B; b++) st->seen[b] += ps->T;
  if (!ps->tp->recording) state_detach(st);
}

Tensor *model_trace(Tape *tp, Model *m, const int *tokens, int B, int T, State *st, Trace *trace)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  ps.trace = trace;
  Tensor *logits = m->version->logits(&ps, run_blocks(&ps, m), NULL, 0);
  finish(&ps, m, st);
  return logits;
}

Tensor *model_logits(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  return model_trace(tp, m, tokens, B, T, st, NULL);
}

/* Who sees the output of the last norm. */
typedef struct {
  Trace trace;
  Tensor *y;
} Hidden;

static void see_hidden(Trace *trace, const char *name, Tensor *t)
{
  if (strcmp(name, "ln_out.y") == 0) ((Hidden *)(void *)trace)->y = t;
}

Tensor *model_hidden(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  Hidden hidden = {.trace = {see_hidden}};
  Pass ps = begin(tp, m, tokens, B, T, st);
  ps.trace = &hidden.trace;
  m->version->logits(&ps, run_blocks(&ps, m), &(int){B * T - 1}, 1); /* as few as can be */
  finish(&ps, m, st);
  return hidden.y;
}

Tensor *model_logits_last(Tape *tp, Model *m, const int *tokens, int B, int T, State *st)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  int *row = arena_alloc(&tp->arena, (size_t)B * sizeof *row);
  for (int b = 0; b < B; b++) row[b] = b * T + T - 1;
  Tensor *logits = m->version->logits(&ps, run_blocks(&ps, m), row, B); /* [B,V] */
  finish(&ps, m, st);
  return t_reshape(tp, logits, 3, (int[]){B, 1, m->d.V});
}

/* The logits of the positions whose target is >= 0, [scored,V] or all of [B,T,V], and their targets. */
static Tensor *scored_logits(Pass *ps, const Model *m, const int *targets, int **target, int *scored)
{
  int n = ps->B * ps->T, count = 0;
  check_ids("targets", targets, ps->B, ps->T, INT_MIN, m->d.V);
  int *row = arena_alloc(&ps->tp->arena, (size_t)n * sizeof *row);
  *target = arena_alloc(&ps->tp->arena, (size_t)n * sizeof **target);
  for (int i = 0; i < n; i++)
    if (targets[i] >= 0) row[count] = i, (*target)[count++] = targets[i];
  *scored = count;
  return m->version->logits(ps, run_blocks(ps, m), count < n ? row : NULL, count);
}

static const int *best_of(Tape *tp, const Tensor *logits, int rows)
{
  int *best = arena_alloc(&tp->arena, (size_t)rows * sizeof *best);
  t_argmax(tp, logits, best);
  return best;
}

Tensor *model_loss(Tape *tp, Model *m, const int *tokens, const int *targets, int B, int T, State *st, double l2wrap,
                   Score *score)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  int *target, scored;
  Tensor *logits = scored_logits(&ps, m, targets, &target, &scored);
  Tensor *loss = t_cross_entropy(tp, logits, target, l2wrap);
  if (score) {
    const int *best = best_of(tp, logits, scored);
    *score = (Score){.scored = scored};
    for (int i = 0; i < scored; i++) score->correct += best[i] == target[i];
  }
  finish(&ps, m, st);
  return loss;
}

int model_log_likelihood(Tape *tp, Model *m, const int *tokens, const int *targets, int B, int T, State *st,
                         double *log_p, bool *greedy)
{
  Pass ps = begin(tp, m, tokens, B, T, st);
  int *target, scored;
  Tensor *logits = scored_logits(&ps, m, targets, &target, &scored);
  t_log_likelihood(tp, logits, target, log_p);
  const int *best = best_of(tp, logits, scored);
  for (int i = 0; i < scored; i++) greedy[i] = best[i] == target[i];
  finish(&ps, m, st);
  return scored;
}
