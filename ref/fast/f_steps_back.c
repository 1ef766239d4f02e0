/* The way back through a recurrence that is a program: the states of a segment are made once more, with what else
   the way back needs and is small. */
#include "f_steps.h"

#include <string.h>

typedef struct {
  const StepsBackward *op;
  RunFlow *run;
  Flow *again, *back; /* a token once more, and the way back through it: the same values at first */
  int after[STEP_STATES], there[STEP_STATES]; /* in again; in back, where it need not be made */
  bool in_place;                              /* so are gradients */
  int gy, G1[STEP_STATES], G0[STEP_STATES], gin[STEP_INPUTS];
  int kept[STEP_REGISTERS], keeps; /* values that again leaves for back */
  size_t state, kept_numbers;
  size_t each; /* numbers of a workspace: flows, two gradients by the state, states of a segment, what is kept for it */
  real *room;
  acc *left; /* [B,H,lefts]: the gradients by what is the same for all tokens */
  size_t lefts;
} Backward;

static void set_kept(const Backward *q, const Flow *f, real **at, real *kept)
{
  for (int i = 0; i < q->keeps; i++) {
    StepShape s = f->value[q->kept[i]].shape;
    at[q->kept[i]] = kept;
    kept += s.rows * s.cols;
  }
}

/* What a token gives to the inputs. */
static void give(const Backward *q, real *const *at, size_t row, size_t h, acc *left)
{
  const Steps *f = &q->op->forward;
  for (int i = 0; i < f->program->inputs; i++) {
    size_t n = k_steps_size(f->program, i);
    bool of_tokens = f->program->input[i] == OF_TOKENS;
    if (q->gin[i] != NO_VALUE) {
      const real *g = at[q->back->value[q->gin[i]].seen_as];
      if (of_tokens) fast_add(q->op->gin[i] + k_steps_place(f, i, row, h), g, n);
      for (size_t k = 0; !of_tokens && k < n; k++) left[k] += (acc)g[k];
    }
    if (!of_tokens) left += n;
  }
}

static void backward_head(const Backward *q, size_t bh, real *room)
{
  const Steps *f = &q->op->forward;
  const StepProgram *p = f->program;
  real *again[FLOW_VALUES], *back[FLOW_VALUES], *G = room + larger(q->again->room, q->back->room),
                                                *before = G + q->state;
  real *states = before + q->state, *kept = states + (WKV_SEGMENT + 1) * q->state;
  size_t b = bh / f->H, h = bh % f->H, bytes = q->state * sizeof *G, n_segments = k_segments(f->T);
  acc *left = q->left + bh * q->lefts;
  f_steps_places(q->again, again, room), f_steps_places(q->back, back, room);
  if (q->op->gS1) memcpy(G, q->op->gS1 + bh * q->state, bytes);
  else memset(G, 0, bytes);
  if (q->lefts) memset(left, 0, q->lefts * sizeof *left);
  for (size_t s = n_segments; s-- > 0;) {
    size_t first = b * f->T + s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, f->T - s * WKV_SEGMENT);
    memcpy(states, f->segments + (bh * n_segments + s) * q->state, bytes);
    for (size_t n = 0; n < count; n++) {
      f_steps_inputs(q->again, again, f, first + n, h);
      f_steps_states(p, again, q->again->of + p->inputs, states + n * q->state);
      f_steps_states(p, again, q->after, states + (n + 1) * q->state);
      set_kept(q, q->again, again, kept + n * q->kept_numbers);
      q->run(q->again, again);
    }
    for (size_t n = count; n-- > 0;) {
      size_t row = first + n;
      f_steps_inputs(q->back, back, f, row, h);
      f_steps_states(p, back, q->back->of + p->inputs, states + n * q->state);
      f_steps_states(p, back, q->there, states + (n + 1) * q->state);
      set_kept(q, q->back, back, kept + n * q->kept_numbers);
      f_steps_states(p, back, q->G1, G);
      f_steps_states(p, back, q->G0, q->in_place ? G : before);
      if (q->gy != NO_VALUE) back[q->gy] = (real *)(q->op->gy + (row * f->H + h) * k_steps_size(p, p->y));
      q->run(q->back, back);
      give(q, back, row, h, left);
      real *after = G;
      if (!q->in_place) G = before, before = after;
    }
  }
  if (q->op->gS0) fast_add(q->op->gS0 + bh * q->state, G, q->state);
}

static void backward_heads(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  real *room = q->room + from / f_steps_heads(&q->op->forward) * q->each;
  for (size_t bh = from; bh < to; bh++) backward_head(q, bh, room);
}

/* Adds what the heads have left, in their order. */
static void collect(const Backward *q)
{
  const Steps *f = &q->op->forward;
  const acc *from = q->left;
  for (int i = 0; i < f->program->inputs; i++) {
    size_t n = k_steps_size(f->program, i), held = k_steps_held(f, i);
    if (f->program->input[i] == OF_TOKENS) continue;
    for (size_t k = 0; q->op->gin[i] && k < held; k++) {
      acc sum = 0;
      for (size_t bh = 0; bh < f->B * f->H; bh++)
        if (held == n || bh % f->H == k / n) sum += from[bh * q->lefts + k % n];
      q->op->gin[i][k] += (real)sum;
    }
    from += n;
  }
}

static int given(Flow *f, StepShape shape)
{
  int v = f_flow_value(f, shape);
  f->value[v].home = HOME_GIVEN;
  return v;
}

/* The codes of the way back, and what they give. */
static void build_back(Backward *q, const StepProgram *p)
{
  Flow *f = q->back;
  int g[STEP_REGISTERS];
  for (int reg = 0; reg < k_steps_registers(p); reg++) g[reg] = NO_VALUE;
  q->gy = q->op->gy ? given(f, p->shape[p->y]) : NO_VALUE;
  g[p->y] = q->gy;
  for (int i = 0; i < p->states; i++) {
    int *after = &g[p->after[i]];
    q->G1[i] = given(f, p->shape[p->inputs + i]);
    *after = *after == NO_VALUE ? q->G1[i] : f_flow_binary(f, B_ADD, *after, q->G1[i]);
  }
  f_flow_back(f, p, g);
  for (int i = 0; i < p->inputs; i++) {
    q->gin[i] = q->op->gin[i] && g[i] != NO_VALUE ? f_flow_whole(f, g[i], p->shape[i]) : NO_VALUE;
    if (q->gin[i] != NO_VALUE) f_flow_output(f, q->gin[i]);
  }
  for (int i = 0; i < p->states; i++) {
    int reg = p->inputs + i;
    if (g[reg] == NO_VALUE) g[reg] = f_flow_number(f, 0);
    q->G0[i] = f_flow_own(f, f_flow_whole(f, g[reg], p->shape[reg]));
  }
}

/* What back need not make: the states after, and all that is no matrix. Marks it, and says where back finds it. */
static void mark_given(Backward *q, const StepProgram *p, int forward_values, bool *is_given)
{
  for (int v = 0; v < forward_values; v++) {
    Value *x = &q->back->value[v];
    is_given[v] = x->maker != NO_VALUE && (x->shape.rows == 1 || x->shape.cols == 1);
  }
  for (int i = 0; i < p->states; i++) {
    q->there[i] = q->after[i] < forward_values ? q->after[i] : NO_VALUE;
    if (q->there[i] != NO_VALUE) is_given[q->there[i]] = true;
  }
  for (int v = 0; v < forward_values; v++)
    if (is_given[v]) q->back->value[v].home = HOME_GIVEN;
}

static bool is_state(const Backward *q, const StepProgram *p, int v)
{
  for (int i = 0; i < p->states; i++)
    if (q->there[i] == v) return true;
  return false;
}

static void plan(Backward *q, const StepProgram *p)
{
  static const bool none[FLOW_VALUES];
  bool is_given[FLOW_VALUES] = {false};
  f_flow_program(q->again, p);
  f_flow_program(q->back, p);
  int forward_values = q->back->values;
  f_steps_own_states(q->again, p, q->after);
  build_back(q, p);
  if (q->back->full || q->again->full) return;
  mark_given(q, p, forward_values, is_given);
  f_flow_plan(q->back, is_given);
  q->in_place = f_steps_in_place(q->back, p, q->G1, q->G0);
  for (int v = 0; v < forward_values; v++) {
    if (!is_given[v] || !q->back->value[v].uses || is_state(q, p, v)) continue;
    q->again->value[v].home = HOME_GIVEN;
    f_flow_output(q->again, v);
    q->kept[q->keeps++] = v;
    q->kept_numbers += q->back->value[v].shape.rows * q->back->value[v].shape.cols;
  }
  f_flow_plan(q->again, none);
}

void f_steps_backward(const StepsBackward *op)
{
  const Steps *f = &op->forward;
  const StepProgram *p = f->program;
  f_steps_begin(OP_steps_backward, op);
  Backward q = {.op = op, .run = f_steps_widest(p), .state = k_steps_state(p)};
  q.again = fast_memory(sizeof *q.again), q.back = fast_memory(sizeof *q.back);
  plan(&q, p);
  if (q.back->full || q.again->full) {
    fast_reference(OP_steps_backward, op);
    return;
  }
  for (int i = 0; i < p->inputs; i++) q.lefts += p->input[i] == OF_TOKENS ? 0 : k_steps_size(p, i);
  q.each = larger(q.again->room, q.back->room) + (3 + WKV_SEGMENT) * q.state + WKV_SEGMENT * q.kept_numbers;
  q.room = f_steps_rooms(f, q.each);
  q.left = fast_memory(f->B * f->H * q.lefts * sizeof *q.left);
  fast_for(f->B * f->H, f_steps_heads(f), backward_heads, &q);
  collect(&q);
}
