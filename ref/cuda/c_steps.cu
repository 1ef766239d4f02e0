/* Programs of steps: a block has a head of a sequence, or several one after the other, and takes it token by token. Its
   threads share the numbers of each code's result (flow_run.h). What a token needs is in shared memory, or in scratch
   where it is too much. c_steps_back.cu is the way back. */
#include "flow_run.h"

#include <stdlib.h>

/* ---- what the device has of a flow ---- */

static Place place_of(const Flow *f, View v)
{
  Place p = {};
  if (!flow_none(v)) p.at = (unsigned)f->value[v.value].at, p.row = v.row, p.col = v.col;
  return p;
}

static Step step_of(const Flow *f, const Code *c, bool waits, unsigned threads)
{
  Step s = {};
  s.term = c->term, s.which = c->which, s.over = c->over;
  s.waits = waits, s.more = !flow_none(c->of[PLUS]);
  s.rows = c->rows, s.cols = c->cols;
  s.next_row = threads / c->cols, s.next_col = threads % c->cols;
  s.first = c->first, s.out = (unsigned)f->value[c->out].at;
  for (int k = 0; k < OPERANDS; k++) s.of[k] = place_of(f, c->of[k]);
  s.scale = c->scale, s.offset = c->offset;
  return s;
}

Port flow_port(const Flow *f, int value, const real *there, StepInputKind kind)
{
  Port p = {(real *)there, NOWHERE, flow_size(f, value), kind};
  if (f->value[value].at != NO_VALUE) p.at = (unsigned)f->value[value].at;
  return p;
}

void flow_token(FlowRun *r, const Flow *f, int value, const real *there)
{
  if (f->value[value].at != NO_VALUE) r->token[r->tokens++] = flow_port(f, value, there, OF_TOKENS);
}

static void set_states(FlowRun *r, const Flow *f)
{
  for (int v = 0; v < f->values; v++)
    if (f->value[v].state != NO_VALUE) {
      r->state[f->value[v].state] = flow_port(f, v, NULL, OF_TOKENS);
      r->states++;
    }
  for (int v = 0; v < f->values; v++)
    if (f->value[v].becomes != NO_VALUE) r->becomes[f->value[v].becomes] = (unsigned)f->value[v].at;
}

FlowRun flow_run(const Flow *f, const Steps *op, unsigned threads)
{
  FlowRun r = {};
  const StepProgram *p = op->program;
  Step *steps = (Step *)calloc((size_t)f->runs + 1, sizeof *steps);
  if (!steps) device_fail("out of memory");
  for (int i = 0; i < f->runs; i++) {
    const Code *c = &f->code[f->order[i]];
    steps[i] = step_of(f, c, i && c->stage > f->code[f->order[i - 1]].stage, threads);
  }
  r.step = (const Step *)device_copy(steps, (size_t)f->runs * sizeof *steps), r.steps = f->runs;
  free(steps);
  for (int i = 0; i < p->inputs; i++) {
    int v = f->seen[i].value;
    if (p->input[i] == OF_TOKENS) flow_token(&r, f, v, op->in[i]);
    else r.last[r.lasting++] = flow_port(f, v, op->in[i], p->input[i]);
  }
  set_states(&r, f);
  return r;
}

/* ---- forward ---- */

typedef struct {
  FlowRun flow;
  Port y;
  real *far; /* the rooms of all blocks, of `room` numbers each; NULL: they are in shared memory */
  size_t room, state;
} Forward;

DEVICE void forward_head(const Steps &op, const Forward &q, real *room, size_t b, size_t h)
{
  const FlowRun &f = q.flow;
  size_t T = op.T, H = op.H, bh = b * H + h;
  Ahead ahead;
  ahead_begin(&ahead, f, h, H);
  load_lasting(f, room, h, H);
  load_states(f.state, f.states, room, op.S0 + bh * q.state);
  if (T) ahead_fetch(&ahead, b * T);
  for (size_t t = 0; t < T; t++) {
    size_t row = b * T + t;
    ahead_put(&ahead, f, room, row, h, H);
    if (op.segments && t % WKV_SEGMENT == 0)
      save_states(f.state, f.states, room, op.segments + (bh * pieces(T, WKV_SEGMENT) + t / WKV_SEGMENT) * q.state);
    __syncthreads();
    if (t + 1 < T) ahead_fetch(&ahead, row + 1);
    run_token(f, room);
    __syncthreads();
    EACH_OF(n, q.y.n) op.y[(row * H + h) * q.y.n + n] = room[q.y.at + n];
    next_states(f, room);
  }
  save_states(f.state, f.states, room, op.S1 + bh * q.state);
}

KERNEL steps_forward(Steps op, Forward q)
{
  DYNAMIC_SHARED(real, near);
  real *room = q.far ? q.far + blockIdx.x * q.room : near;
  for (size_t bh = blockIdx.x; bh < op.B * op.H; bh += gridDim.x) {
    forward_head(op, q, room, bh / op.H, bh % op.H);
    __syncthreads();
  }
}

static size_t state_size(const StepProgram *p)
{
  size_t n = 0;
  for (int i = p->inputs; i < p->inputs + p->states; i++) n += p->shape[i].rows * p->shape[i].cols;
  return n;
}

void c_steps(const Steps *op)
{
  const StepProgram *p = op->program;
  if (!op->B || !op->H) return;
  Flow *f = (Flow *)calloc(1, sizeof *f);
  if (!f) device_fail("out of memory");
  flow_lasting(f, p);
  flow_program(f, p, true);
  int y = flow_output(f, flow_own(f, f->seen[p->y], p->shape[p->y]), NO_VALUE);
  for (int i = 0; i < p->states; i++) flow_output(f, flow_own(f, f->seen[p->after[i]], p->shape[p->after[i]]), i);
  flow_simplify(f);
  flow_plan(f);
  Forward q = {flow_run(f, op, f->threads), flow_port(f, y, NULL, OF_TOKENS), NULL, f->room, state_size(p)};
  size_t blocks = smaller(op->B * op->H, FLOW_BLOCKS), near = q.room * sizeof(real);
  if (near > NEAR_BYTES) q.far = (real *)device_scratch(blocks * near), near = 0;
  LAUNCH(steps_forward, (unsigned)blocks, f->threads, near, *op, q);
  free(f);
}
