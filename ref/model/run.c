/* Running a model: tokens to logits, to loss, or to everything in between. */
#include "stretch.h"

#include "engine/err.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  Tape *tp;
  Model *m;
  const Batch *batch;
  State *st;
  Tensor **state; /* [st->count] of all sequences; before -> after what has run */
  Trace *trace;
} Run;

/* ---- what is asked for ---- */

/* Ids in order, sequence by sequence, from 0 to V - 1; negative ones too if `low` says so. Padding is not looked at. */
static void check_ids(const char *what, const int *id, const Batch *b, int low, int V)
{
  for (int i = 0; i < b->B * b->T; i++) {
    bool padding = i % b->T >= batch_length(b, i / b->T);
    if (!padding && (id[i] < low || id[i] >= V))
      rwkv_fail("%s: %d at sequence %d, position %d, expected 0 to %d", what, id[i], i / b->T + 1, i % b->T + 1, V - 1);
  }
}

static void check_vectors(const Model *m, const Batch *b)
{
  if (!b->vectors) return;
  int shape[] = {b->B, b->T, m->d.C};
  if (b->vectors->axes != 3 || memcmp(b->vectors->shape, shape, sizeof shape))
    rwkv_fail("vectors in place of tokens: %s, expected %s", tensor_shape(b->vectors), shape_text(3, shape));
  if (m->d.Q) rwkv_fail("vectors in place of tokens: this model copies tokens (head_qk), of which there are none");
  if (m->version->reads_tokens)
    rwkv_fail("vectors in place of tokens: the blocks of %s look at tables of tokens, of which there are none",
              m->version->name);
}

static void check_batch(const Model *m, const Batch *b)
{
  if (b->B < 1 || b->T < 1) rwkv_fail("tokens [%d,%d]: at least one sequence of one token is needed", b->B, b->T);
  if (!b->tokens == !b->vectors) rwkv_fail("a batch has either tokens or vectors");
  for (int i = 0; b->length && i < b->B; i++)
    if (b->length[i] < 1 || b->length[i] > b->T)
      rwkv_fail("sequence %d: a length of %d, expected 1 to %d", i + 1, b->length[i], b->T);
  if (b->tokens) check_ids("tokens", b->tokens, b, 0, m->d.V);
  check_vectors(m, b);
}

/* Checks the arguments. The blocks work on a copy of the state's list of tensors: a run that fails leaves
   the state as it was. */
static Run begin(Tape *tp, Model *m, const Batch *batch, State *st)
{
  check_batch(m, batch);
  state_check(st, m);
  if (m->file) file_check(m->file);
  if (st->B != batch->B) rwkv_fail("the state is for a batch of %d, the tokens are [%d,%d]", st->B, batch->B, batch->T);
  state_attach(st, tp);
  st->recorded |= tp->recording;
  Run r = {tp, m, batch, st, arena_alloc(&tp->arena, (size_t)st->count * sizeof *r.state), NULL};
  memcpy(r.state, st->now, (size_t)st->count * sizeof *r.state);
  return r;
}

/* ---- one stretch ---- */

/* The tokens of its sequences and positions. */
static const int *tokens_of(const Run *r, const Stretch *s)
{
  const Batch *b = r->batch;
  if (!b->tokens || (!s->row && s->T == b->T)) return b->tokens;
  int *tokens = arena_alloc(&r->tp->arena, (size_t)s->count * (size_t)s->T * sizeof *tokens);
  for (int i = 0; i < s->count; i++)
    memcpy(tokens + i * s->T, b->tokens + stretch_position(s, i * s->T, b->T), (size_t)s->T * sizeof *tokens);
  return tokens;
}

static Tensor *vectors_of(const Run *r, const Stretch *s)
{
  const Batch *b = r->batch;
  if (!b->vectors || (!s->row && s->T == b->T)) return b->vectors;
  int *at = arena_alloc(&r->tp->arena, (size_t)s->count * (size_t)s->T * sizeof *at);
  for (int i = 0; i < s->count * s->T; i++) at[i] = stretch_position(s, i, b->T);
  Tensor *flat = t_reshape(r->tp, b->vectors, 2, (int[]){b->B * b->T, r->m->d.C});
  return t_rows(r->tp, flat, at, 2, (int[]){s->count, s->T});
}

static Pass pass_of(const Run *r, const Stretch *s, Tensor **state)
{
  const Model *m = r->m;
  tape_batch(r->tp, (size_t)s->count, (size_t)s->T, (size_t)m->d.C);
  Tensor **global_state = state + r->st->count - m->version->global_state.count;
  /* clang-format off */
  return (Pass){.tp = r->tp, .d = &m->d, .global = m->global, .tokens = tokens_of(r, s), .vectors = vectors_of(r, s),
                .B = s->count, .T = s->T, .seen = s->seen, .rounded_decay = m->rounded_decay, .host = m->host,
                .held = &r->st->held, .state = state, .global_state = global_state, .trace = r->trace};
  /* clang-format on */
}

/* [B,T] -> the output of the last block, [B,T,C] */
static Tensor *run_blocks(Pass *ps, const Model *m)
{
  Tensor *x = ps->vectors ? ps->vectors : m->version->embed(ps), **state = ps->state;
  if (ps->vectors) TRACE_GLOBAL(ps, "emb.x", x);
  for (ps->layer = 0; ps->layer < m->d.L; ps->layer++) {
    Tensor **hook_state = state + m->version->state.count;
    for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
      const Hook *h = dims_hook(&m->d, slot, ps->layer);
      ps->hook_param[slot] = m->hook_params[ps->layer * HOOK_SLOTS + (int)slot];
      ps->hook_state[slot] = hook_state;
      hook_state += h ? h->state_count : 0;
    }
    x = m->version->run(ps, m->blocks[ps->layer], x, state);
    TRACE(ps, "out", "x", x);
    state = hook_state;
  }
  return x;
}

/* ---- all stretches ---- */

/* The positions that are asked for, in rising order, each of [B,T]; NULL: all of them, as [B,T]. */
typedef struct {
  const int *position;
  int count;
} Wanted;

static bool is_whole(const Stretches *all, const Batch *b)
{
  return all->count == 1 && !all->list[0].row && !all->list[0].fresh && all->list[0].T == b->T;
}

/* Which of the wanted positions are in the stretch: their places in it -> how many. */
static int wanted_in(const Run *r, const Stretch *s, const int *wanted, int *position, int *place, int from)
{
  int n = 0, T = r->batch->T;
  for (int i = 0; i < s->count * s->T; i++) {
    int at = stretch_position(s, i, T);
    if (wanted[at] < 0) continue;
    place[wanted[at]] = from + n;
    position[n++] = i;
  }
  return n;
}

static Head run_stretches(Run *r, const Stretches *all, const Wanted *w, int axes, const int *shape)
{
  Arena *arena = &r->tp->arena;
  Gathered *gathered = r->trace ? gather_new(r->tp, r->batch, all, r->trace) : NULL;
  int n = r->batch->B * r->batch->T, rows = 0;
  int *wanted = arena_alloc(arena, (size_t)n * sizeof *wanted), *place = arena_alloc(arena, (size_t)n * sizeof *place);
  Tensor **x = arena_alloc(arena, (size_t)all->count * sizeof *x);
  Tensor **copies = arena_alloc(arena, (size_t)all->count * sizeof *copies);
  Head head = {0};
  for (int i = 0; i < n; i++) wanted[i] = w->position ? -1 : i, place[i] = -1;
  for (int i = 0; w->position && i < w->count; i++) wanted[w->position[i]] = i;
  for (int i = 0; i < all->count; i++) {
    const Stretch *s = &all->list[i];
    int *position = arena_alloc(arena, (size_t)s->count * (size_t)s->T * sizeof *position);
    int count = wanted_in(r, s, wanted, position, place, rows);
    Tensor **state = stretch_state(r->tp, r->m, s, r->state);
    Pass ps = pass_of(r, s, state);
    if (gathered) ps.trace = gather_stretch(gathered, i);
    head = r->m->version->head(&ps, run_blocks(&ps, r->m), position, count);
    x[i] = head.x, copies[i] = head.copies;
    stretch_keep_state(r->tp, r->m, s, state, r->state);
    rows += count;
  }
  stretches_trim_state(r->tp, r->m, all, r->batch->B, r->state);
  if (gathered) gather_show(gathered);
  head.x = stretches_join(r->tp, x, all->count, place, axes, shape);
  if (head.copies) head.copies = stretches_join(r->tp, copies, all->count, place, axes, shape);
  return head;
}

/* What gives the logits of the positions that are asked for: x [count,C], or [B,T,C] with zeros where a sequence has
   ended. */
static Head run(Run *r, const Wanted *w)
{
  const Batch *b = r->batch;
  State *st = r->st;
  const Stretches all = stretches_of(r->tp, r->m, b, st);
  Head head;
  if (is_whole(&all, b)) {
    Pass ps = pass_of(r, all.list, r->state);
    head = r->m->version->head(&ps, run_blocks(&ps, r->m), w->position, w->count);
  } else head = run_stretches(r, &all, w, w->position ? 1 : 2, w->position ? &w->count : (int[]){b->B, b->T});
  if (r->m->file) file_check(r->m->file);
  memcpy(st->now, r->state, (size_t)st->count * sizeof *r->state);
  memcpy(st->seen, all.seen, (size_t)st->B * sizeof *st->seen);
  if (!r->tp->recording) state_detach(st);
  return head;
}

/* ---- logits, and what is made of them ---- */

static Tensor *logits_of(Tape *tp, const Head *h)
{
  Tensor *logits = t_linear(tp, h->x, h->w);
  return h->copies ? t_add(tp, logits, t_reshape(tp, h->copies, logits->axes, logits->shape)) : logits;
}

static Tensor *run_to_logits(Run *r, const Wanted *w)
{
  Head h = run(r, w);
  return logits_of(r->tp, &h);
}

Tensor *model_trace(Tape *tp, Model *m, const Batch *batch, State *st, Trace *trace)
{
  Run r = begin(tp, m, batch, st);
  r.trace = trace;
  return run_to_logits(&r, &(Wanted){NULL, 0});
}

Tensor *model_logits(Tape *tp, Model *m, const Batch *batch, State *st) { return model_trace(tp, m, batch, st, NULL); }

/* Who sees one intermediate. */
typedef struct {
  Trace trace;
  const char *name;
  Tensor *t;
} Hidden;

static void see_hidden(Trace *trace, const char *name, Tensor *t)
{
  Hidden *h = (Hidden *)(void *)trace;
  if (strcmp(name, h->name) == 0) h->t = t;
}

Tensor *model_hidden(Tape *tp, Model *m, const Batch *batch, State *st, int layer)
{
  char name[40] = "ln_out.y";
  Hidden hidden = {{see_hidden}, name, NULL};
  if (layer > m->d.L) rwkv_fail("hidden: layer %d of %d", layer, m->d.L);
  if (layer > 0) snprintf(name, sizeof name, "blocks.%d.out.x", layer - 1);
  Run r = begin(tp, m, batch, st);
  r.trace = &hidden.trace;
  run(&r, &(Wanted){&(int){0}, 1}); /* as few positions as can be */
  return hidden.t;
}

int *model_last_positions(Tape *tp, const Batch *b)
{
  int *last = arena_alloc(&tp->arena, (size_t)b->B * sizeof *last);
  for (int row = 0; row < b->B; row++) last[row] = row * b->T + batch_length(b, row) - 1;
  return last;
}

Tensor *model_logits_last(Tape *tp, Model *m, const Batch *b, State *st)
{
  Run r = begin(tp, m, b, st);
  Tensor *logits = run_to_logits(&r, &(Wanted){model_last_positions(tp, b), b->B}); /* [B,V] */
  return t_reshape(tp, logits, 3, (int[]){b->B, 1, m->d.V});
}

/* Of the positions whose target is >= 0, or of all of [B,T]; and their targets. */
static Head run_to_scored(Run *r, const int *targets, int **target, int *scored)
{
  const Batch *b = r->batch;
  int n = b->B * b->T, count = 0;
  int *row = arena_alloc(&r->tp->arena, (size_t)n * sizeof *row);
  *target = arena_alloc(&r->tp->arena, (size_t)n * sizeof **target);
  check_ids("targets", targets, b, INT_MIN, r->m->d.V);
  for (int i = 0; i < n; i++) {
    if (targets[i] < 0) continue;
    if (i % b->T >= batch_length(b, i / b->T))
      rwkv_fail("targets: %d at sequence %d, position %d, where the sequence has ended; expected -100", targets[i],
                i / b->T + 1, i % b->T + 1);
    row[count] = i, (*target)[count++] = targets[i];
  }
  *scored = count;
  return run(r, &(Wanted){count < n ? row : NULL, count});
}

/* Their loss, and where best is not NULL the largest logits' indices. */
static Tensor *loss_of(Tape *tp, const Head *h, const int *target, double l2wrap, int *best)
{
  if (!h->copies && !h->w->packed.bits) return t_head_loss(tp, h->x, h->w, target, l2wrap, best);
  Tensor *logits = logits_of(tp, h);
  if (best) t_argmax(tp, logits, best);
  return t_cross_entropy(tp, logits, target, l2wrap);
}

Tensor *model_loss(Tape *tp, Model *m, const Batch *batch, const int *targets, State *st, const LossOptions *o,
                   Score *score)
{
  Run r = begin(tp, m, batch, st);
  int *target, scored;
  Head h = run_to_scored(&r, targets, &target, &scored);
  double part = o && o->total ? (double)scored / o->total : 1;
  int *best = score ? arena_alloc(&tp->arena, (size_t)scored * sizeof *best) : NULL;
  Tensor *loss = loss_of(tp, &h, target, o ? part * o->l2wrap : 0, best);
  if (part != 1) loss = t_affine(tp, loss, part, 0);
  if (score) {
    *score = (Score){.scored = scored};
    for (int i = 0; i < scored; i++) score->correct += best[i] == target[i];
  }
  return loss;
}

int model_log_likelihood(Tape *tp, Model *m, const Batch *batch, const int *targets, State *st, double *log_p,
                         bool *greedy)
{
  Run r = begin(tp, m, batch, st);
  int *target, scored;
  Head h = run_to_scored(&r, targets, &target, &scored);
  Tensor *logits = logits_of(tp, &h);
  t_log_likelihood(tp, logits, target, log_p);
  int *best = arena_alloc(&tp->arena, (size_t)scored * sizeof *best);
  t_argmax(tp, logits, best);
  for (int i = 0; i < scored; i++) greedy[i] = best[i] == target[i];
  return scored;
}
