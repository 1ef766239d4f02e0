/* A recurrence that is a program: heads run beside each other, and each runs the flow of a token (f_flow.h) over time.
   f_steps_back.c is the way back. */
#include "f_math.h"
#include "f_steps.h"

#include <string.h>

#define KERNELS "f_steps_rows.h"
#include "f_widths.h"

/* The widest vectors that all matrices have whole ones of; or the widest of all, where most of a row is whole
   ones. */
RunFlow *f_steps_widest(const StepProgram *p)
{
#ifdef WIDE_VECTORS
  size_t cols = 1, wide = 64 / REAL_SIZE;
  for (int reg = 0; reg < k_steps_registers(p); reg++) cols = larger(cols, p->shape[reg].cols);
  if (__builtin_cpu_supports("x86-64-v4") && (cols % wide == 0 || cols > 2 * wide)) return run_flow_wide;
  if (__builtin_cpu_supports("x86-64-v3") && (cols % (wide / 2) == 0 || cols > wide)) return run_flow_middle;
#endif
  (void)p;
  return run_flow_narrow;
}

/* ---- where values stand ---- */

/* Those that are the same for every token. */
void f_steps_places(Flow *f, real **at, real *room)
{
  for (int v = 0; v < f->values; v++) {
    Value *x = &f->value[v];
    at[v] = x->home == HOME_NUMBER ? &x->number : x->home == HOME_GIVEN ? NULL : room + x->at;
  }
}

/* Nothing writes through these. */
void f_steps_inputs(const Flow *f, real **at, const Steps *op, size_t row, size_t h)
{
  for (int i = 0; i < op->program->inputs; i++) at[f->of[i]] = (real *)(op->in[i] + k_steps_place(op, i, row, h));
}

/* value[i] is state i of those that begin at S. */
void f_steps_states(const StepProgram *p, real **at, const int *value, real *S)
{
  for (int i = 0; i < p->states; S += k_steps_size(p, p->inputs + i++))
    if (value[i] != NO_VALUE) at[value[i]] = S;
}

/* Heads are cut into a few pieces, each of which has a workspace. */
size_t f_steps_heads(const Steps *op) { return pieces(op->B * op->H, 4 * (size_t)fast_threads()); }
real *f_steps_rooms(const Steps *op, size_t each)
{
  return fast_memory(pieces(op->B * op->H, f_steps_heads(op)) * each * sizeof(real));
}

/* What waits is done first; the memory of what was done before is free again. */
void f_steps_begin(OpId id, const void *op)
{
  fast_flush();
  fast_when_whole(id, op);
}

/* ---- forward ---- */

typedef struct {
  const Steps *op;
  RunFlow *run;
  Flow *flow;
  int y, after[STEP_STATES];
  bool in_place;      /* states after a token are written where those before it are */
  size_t state, each; /* numbers of all states of a head; of a workspace: flow, then states before and after */
  real *room;
} Forward;

static void forward_head(const Forward *q, size_t bh, real *room)
{
  const Steps *op = q->op;
  const StepProgram *p = op->program;
  real *at[FLOW_VALUES], *S = room + q->flow->room, *next = S + q->state;
  size_t b = bh / op->H, h = bh % op->H, bytes = q->state * sizeof *S, ny = k_steps_size(p, p->y);
  f_steps_places(q->flow, at, room);
  memcpy(S, op->S0 + bh * q->state, bytes);
  for (size_t t = 0; t < op->T; t++) {
    size_t row = b * op->T + t;
    if (op->segments && t % WKV_SEGMENT == 0)
      memcpy(op->segments + (bh * k_segments(op->T) + t / WKV_SEGMENT) * q->state, S, bytes);
    f_steps_inputs(q->flow, at, op, row, h);
    f_steps_states(p, at, q->flow->of + p->inputs, S);
    f_steps_states(p, at, q->after, q->in_place ? S : next);
    at[q->y] = op->y + (row * op->H + h) * ny;
    q->run(q->flow, at);
    real *before = S;
    if (!q->in_place) S = next, next = before;
  }
  memcpy(op->S1 + bh * q->state, S, bytes);
}

static void forward_heads(const void *arg, size_t from, size_t to)
{
  const Forward *q = arg;
  real *room = q->room + from / f_steps_heads(q->op) * q->each;
  for (size_t bh = from; bh < to; bh++) forward_head(q, bh, room);
}

void f_steps_own_states(Flow *f, const StepProgram *p, int *after)
{
  for (int i = 0; i < p->states; i++) after[i] = f_flow_own(f, f->of[p->after[i]]);
}

bool f_steps_in_place(const Flow *f, const StepProgram *p, const int *before, const int *after)
{
  bool all = true;
  for (int i = 0; i < p->states; i++) all &= f_flow_in_place(f, before[i], after[i]);
  return all;
}

void f_steps(const Steps *op)
{
  static const bool none[FLOW_VALUES];
  const StepProgram *p = op->program;
  f_steps_begin(OP_steps, op);
  Forward q = {.op = op, .run = f_steps_widest(p), .flow = fast_memory(sizeof *q.flow), .state = k_steps_state(p)};
  f_flow_program(q.flow, p);
  f_steps_own_states(q.flow, p, q.after);
  q.y = f_flow_own(q.flow, q.flow->of[p->y]);
  if (q.flow->full) {
    fast_reference(OP_steps, op);
    return;
  }
  f_flow_plan(q.flow, none);
  q.in_place = f_steps_in_place(q.flow, p, q.flow->of + p->inputs, q.after);
  q.each = q.flow->room + 2 * q.state;
  q.room = f_steps_rooms(op, q.each);
  fast_for(op->B * op->H, f_steps_heads(op), forward_heads, &q);
}
