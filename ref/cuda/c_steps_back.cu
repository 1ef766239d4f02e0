/* The way back through programs of steps. A block takes a head from its last segment to its first: it makes the states
   of the segment once more, and goes back through its tokens. Gradients by inputs that are the same for all tokens are
   added up for each head, in double, and then over heads, in their order. */
#include "flow_run.h"

#include <stdlib.h>

typedef struct {
  FlowRun again, back;                        /* a token once more; back through it: its states are the gradients */
  Port before[STEP_STATES], gin[STEP_INPUTS]; /* in back: states before the token; gradients by inputs */
  int ins;
  real *far, *states, *G0; /* rooms, NULL: in shared memory; the states of a segment of each block; gradients by S0 */
  acc *left;               /* [B,H,lefts]: gradients by what is the same for all tokens */
  size_t room, state, lefts;
} Backward;

/* The states before the tokens of a segment: those of the first are there. */
DEVICE void make_states(const Steps &op, const Backward &q, real *room, real *states, size_t row, size_t count,
                        size_t h)
{
  const FlowRun &f = q.again;
  Ahead ahead;
  ahead_begin(&ahead, f, h, op.H);
  load_states(f.state, f.states, room, states);
  if (count > 1) ahead_fetch(&ahead, row);
  for (size_t n = 0; n + 1 < count; n++) {
    ahead_put(&ahead, f, room, row + n, h, op.H);
    __syncthreads();
    if (n + 2 < count) ahead_fetch(&ahead, row + n + 1);
    run_token(f, room);
    __syncthreads();
    next_states(f, room);
    save_states(f.state, f.states, room, states += q.state);
  }
}

/* What a token gives to the inputs. */
DEVICE void give(const Backward &q, const real *room, size_t row, size_t h, size_t H, acc *left)
{
  for (int i = 0; i < q.ins; i++) {
    const Port &p = q.gin[i];
    if (p.kind == OF_TOKENS) {
      real *to = p.there + port_place(p, row, h, H);
      EACH_OF(n, p.n) to[n] += room[p.at + n];
    } else {
      EACH_OF(n, p.n) left[n] += (acc)room[p.at + n];
      left += p.n;
    }
  }
}

DEVICE void go_back(const Steps &op, const Backward &q, real *room, const real *states, size_t row, size_t count,
                    size_t h, acc *left)
{
  const FlowRun &f = q.back;
  Ahead ahead;
  ahead_begin(&ahead, f, h, op.H);
  ahead_fetch(&ahead, row + count - 1);
  for (size_t n = count; n-- > 0;) {
    ahead_put(&ahead, f, room, row + n, h, op.H);
    load_states(q.before, q.again.states, room, states + n * q.state);
    __syncthreads();
    if (n) ahead_fetch(&ahead, row + n - 1);
    run_token(f, room);
    __syncthreads();
    give(q, room, row + n, h, op.H, left);
    next_states(f, room);
  }
}

DEVICE void backward_head(const StepsBackward &op, const Backward &q, real *room, size_t b, size_t h)
{
  const Steps &f = op.forward;
  size_t bh = b * f.H + h, segments = pieces(f.T, WKV_SEGMENT);
  real *states = q.states + blockIdx.x * WKV_SEGMENT * q.state;
  acc *left = q.left + bh * q.lefts;
  load_lasting(q.again, room, h, f.H);
  for (int i = 0, from = 0; i < q.back.states; from += (int)q.back.state[i++].n)
    EACH_OF(n, q.back.state[i].n) room[q.back.state[i].at + n] = op.gS1 ? op.gS1[bh * q.state + from + n] : 0;
  EACH_OF(n, q.lefts) left[n] = 0;
  for (size_t s = segments; s-- > 0;) {
    size_t row = b * f.T + s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, f.T - s * WKV_SEGMENT);
    EACH_OF(n, q.state) states[n] = f.segments[(bh * segments + s) * q.state + n];
    __syncthreads();
    make_states(f, q, room, states, row, count, h);
    __syncthreads();
    go_back(f, q, room, states, row, count, h, left);
    __syncthreads();
  }
  save_states(q.back.state, q.back.states, room, q.G0 + bh * q.state);
}

KERNEL steps_backward(StepsBackward op, Backward q)
{
  DYNAMIC_SHARED(real, near);
  real *room = q.far ? q.far + blockIdx.x * q.room : near;
  for (size_t bh = blockIdx.x; bh < op.forward.B * op.forward.H; bh += gridDim.x) {
    backward_head(op, q, room, bh / op.forward.H, bh % op.forward.H);
    __syncthreads();
  }
}

/* gS0 += G0 */
KERNEL steps_give_state(real *gS0, const real *G0, size_t n)
{
  EACH(i, n) gS0[i] += G0[i];
}

/* The gradients by inputs that heads share: a warp has number k of all of them, for two may be the same memory. */
KERNEL steps_collect(Backward q, size_t B, size_t H, size_t most)
{
  size_t warps = gridDim.x * (size_t)(blockDim.x / WARP), lane = threadIdx.x % WARP;
  for (size_t k = blockIdx.x * (size_t)(blockDim.x / WARP) + threadIdx.x / WARP; k < most; k += warps) {
    const acc *left = q.left;
    for (int i = 0; i < q.ins; i++) {
      const Port &p = q.gin[i];
      if (p.kind == OF_TOKENS) continue;
      size_t apart = p.kind == OF_HEADS ? H : 1, count = B * H / apart;
      if (k < p.n * apart) {
        acc sum = 0;
        for (size_t m = lane; m < count; m += WARP) sum += left[(m * apart + k / p.n) * q.lefts + k % p.n];
        sum = warp_sum(sum);
        if (!lane) p.there[k] += (real)sum;
      }
      left += p.n;
    }
  }
}

/* ---- the flows ---- */

typedef struct {
  int y, G[STEP_STATES], gin[STEP_INPUTS]; /* values of the way back; NO_VALUE */
} Ends;

/* Both have what lasts in the same places: inputs, then the gradients by the states. */
static void begin_flow(Flow *f, const StepProgram *p, int *G)
{
  flow_lasting(f, p);
  for (int i = 0; i < p->states; i++) G[i] = flow_given(f, p->shape[p->inputs + i], true, i);
}

static void make_again(Flow *f, const StepProgram *p)
{
  int G[STEP_STATES];
  begin_flow(f, p, G);
  for (int i = 0; i < p->states; i++) f->value[G[i]].state = NO_VALUE; /* they wait here */
  flow_program(f, p, true);
  for (int i = 0; i < p->states; i++) flow_output(f, flow_own(f, f->seen[p->after[i]], p->shape[p->after[i]]), i);
}

static Ends make_back(Flow *f, const StepsBackward *op)
{
  const StepProgram *p = op->forward.program;
  View g[STEP_REGISTERS];
  Ends e = {};
  begin_flow(f, p, e.G);
  flow_program(f, p, false);
  for (int reg = 0; reg < flow_registers(p); reg++) g[reg] = flow_nothing;
  e.y = op->gy ? flow_given(f, p->shape[p->y], false, NO_VALUE) : NO_VALUE;
  if (op->gy) g[p->y] = flow_view(f, e.y);
  for (int i = 0; i < p->states; i++) flow_give(f, p, g, p->after[i], flow_view(f, e.G[i]));
  flow_back(f, p, g);
  for (int i = 0; i < p->inputs; i++) {
    e.gin[i] = NO_VALUE;
    if (op->gin[i] && !flow_none(g[i])) e.gin[i] = flow_output(f, flow_own(f, g[i], p->shape[i]), NO_VALUE);
  }
  for (int i = 0; i < p->states; i++) {
    StepShape s = p->shape[p->inputs + i];
    View none = flow_none(g[p->inputs + i]) ? flow_add(f, flow_code(TERM_NUMBER, s, flow_nothing, flow_nothing))
                                            : g[p->inputs + i];
    flow_output(f, flow_own(f, none, s), i);
  }
  return e;
}

static void set_ports(Backward *q, const Flow *back, const Ends *e, const StepsBackward *op)
{
  const StepProgram *p = op->forward.program;
  if (op->gy) flow_token(&q->back, back, e->y, op->gy);
  for (int i = 0; i < p->states; i++) q->before[i] = flow_port(back, back->seen[p->inputs + i].value, NULL, OF_TOKENS);
  for (int i = 0; i < p->inputs; i++) {
    if (e->gin[i] == NO_VALUE) continue;
    Port port = flow_port(back, e->gin[i], op->gin[i], p->input[i]);
    if (p->input[i] != OF_TOKENS) q->lefts += port.n;
    q->gin[q->ins++] = port;
  }
  for (int i = 0; i < p->states; i++) q->state += q->before[i].n;
}

/* ---- the op ---- */

enum { MOST_STATES = 256 << 20 }; /* bytes for the states of segments: so many blocks at once, but not fewer than FEW */
enum { FEW = 264 };

static void launch(const StepsBackward *op, Backward *q, unsigned threads)
{
  size_t heads = op->forward.B * op->forward.H, states = WKV_SEGMENT * q->state * sizeof(real);
  size_t blocks = smaller(smaller(heads, FLOW_BLOCKS), larger(FEW, MOST_STATES / states));
  size_t near = q->room * sizeof(real), most = 0;
  if (near > NEAR_BYTES) q->far = (real *)device_scratch(blocks * near), near = 0;
  q->states = (real *)device_scratch(blocks * states);
  q->G0 = (real *)device_scratch(heads * q->state * sizeof(real));
  q->left = (acc *)device_scratch(heads * q->lefts * sizeof(acc));
  LAUNCH(steps_backward, (unsigned)blocks, threads, near, *op, *q);
  if (op->gS0) LAUNCH(steps_give_state, BLOCKS_FOR(heads * q->state), BLOCK, 0, op->gS0, q->G0, heads * q->state);
  for (int i = 0; i < q->ins; i++)
    if (q->gin[i].kind != OF_TOKENS)
      most = larger(most, q->gin[i].n * (q->gin[i].kind == OF_HEADS ? op->forward.H : 1));
  if (most) LAUNCH(steps_collect, BLOCKS_FOR(most * WARP), BLOCK, 0, *q, op->forward.B, op->forward.H, most);
}

void c_steps_backward(const StepsBackward *op)
{
  const StepProgram *p = op->forward.program;
  if (!op->forward.B || !op->forward.H) return;
  Flow *f = (Flow *)calloc(2, sizeof *f), *again = f, *back = f + 1;
  if (!f) device_fail("out of memory");
  make_again(again, p);
  Ends ends = make_back(back, op);
  for (int i = 0; i < 2; i++) flow_simplify(&f[i]), flow_plan(&f[i]);
  unsigned threads = again->threads > back->threads ? again->threads : back->threads;
  Backward q = {};
  q.room = larger(again->room, back->room);
  q.again = flow_run(again, &op->forward, threads), q.back = flow_run(back, &op->forward, threads);
  set_ports(&q, back, &ends, op);
  launch(op, &q, threads);
  free(f);
}
