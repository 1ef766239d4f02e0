/* Runs flows: a block has a head of a sequence, and takes it token by token. */
#ifndef AVIARY_CUDA_FLOW_RUN_H
#define AVIARY_CUDA_FLOW_RUN_H

#include "flow.h"
#include "functions.h"

/* ---- what the device has of a flow ---- */

typedef struct {
  unsigned at, row, col; /* number i, j of an operand in the room */
} Place;

typedef struct {
  int term, which, over;
  bool waits, more;                        /* for the other threads; there is a `plus` */
  unsigned rows, cols, next_row, next_col; /* of the terms; from a thread's number to its next one */
  unsigned first, out;
  Place of[OPERANDS];
  real scale, offset;
} Step;

#define NOWHERE 0xffffffffu

/* What stands elsewhere for each token of a head, or each head: n numbers, in the room from `at` on. */
typedef struct {
  real *there;
  unsigned at, n;
  int kind; /* a StepInputKind */
} Port;

typedef struct {
  const Step *step;
  int steps, tokens, lasting, states;
  Port token[STEP_INPUTS + 1], last[STEP_INPUTS];
  Port state[STEP_STATES];       /* those that go on from token to token, as they are before it; */
  unsigned becomes[STEP_STATES]; /* and where they are after it */
} FlowRun;

enum { NEAR_BYTES = 99 << 10, FLOW_BLOCKS = 2048 }; /* shared memory that a block can have from sm_80 on; blocks */

/* What runs on the device, of a flow that is simplified and planned: its steps, inputs and states. */
FlowRun flow_run(const Flow *f, const Steps *op, unsigned threads);
Port flow_port(const Flow *f, int value, const real *there, StepInputKind kind);
void flow_token(FlowRun *f, const Flow *of, int value,
                const real *there); /* one more input of tokens, if it is needed */

/* ---- one code ---- */

DEVICE real operand(const Place &p, const real *room, unsigned i, unsigned j)
{
  return room[p.at + i * p.row + j * p.col];
}

template <int TERM> DEVICE real term(const Step &q, const real *room, unsigned i, unsigned j)
{
  if (TERM == TERM_AFFINE) return q.scale * operand(q.of[OF_A], room, i, j) + q.offset;
  if (TERM == TERM_PRODUCT) return q.scale * (operand(q.of[OF_A], room, i, j) * operand(q.of[OF_B], room, i, j));
  if (q.term == TERM_NUMBER) return q.offset;
  real a = operand(q.of[OF_A], room, i, j);
  if (q.term == TERM_UNARY) return unary_value(q.which, a);
  real b = operand(q.of[OF_B], room, i, j);
  switch (q.term) {
  case TERM_BINARY: return binary_value(q.which, a, b);
  case TERM_SLOPE: return operand(q.of[OF_C], room, i, j) * unary_slope(q.which, a, b);
  case TERM_SLOPE_A: return operand(q.of[OF_C], room, i, j) * binary_slope_a(q.which, a, b);
  default: return operand(q.of[OF_C], room, i, j) * binary_slope_b(q.which, a, b);
  }
}

DEVICE void put(const Step &q, real *room, unsigned i, unsigned j, unsigned n, real x)
{
  room[q.out + n] = q.more ? operand(q.of[PLUS], room, i, j) + x : x;
}

/* A thread has every number that its own index is a part of, modulo the threads. */
template <int TERM> DEVICE void each_number(const Step &q, real *room)
{
  unsigned i = threadIdx.x / q.cols, j = threadIdx.x % q.cols;
  for (unsigned n = threadIdx.x; n < q.rows * q.cols; n += blockDim.x) {
    put(q, room, i, j, n, term<TERM>(q, room, i, j));
    i += q.next_row, j += q.next_col;
    if (j >= q.cols) j -= q.cols, i++;
  }
}

/* Threads share a row, as many as flow_share says, and have the rows that their group is a part of, modulo the
   groups. Each group begins a piece further along its row than the one before: where rows are as long as the banks
   are many, they read from different ones. */
template <int TERM> DEVICE void sum_rows(const Step &q, real *room)
{
  unsigned share = flow_share(q.cols), lane = threadIdx.x % share, group = threadIdx.x / share;
  unsigned groups = blockDim.x / share, count = (unsigned)pieces(q.cols, share);
  for (unsigned from = 0; from < q.rows; from += groups) {
    unsigned i = from + group, piece = group % count;
    real sum = 0;
    for (unsigned k = 0; k < count && i < q.rows; k++) {
      unsigned j = piece * share + lane;
      if (j < q.cols) sum += term<TERM>(q, room, i, j);
      piece = piece + 1 < count ? piece + 1 : 0;
    }
    for (unsigned other = share / 2; other; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, (int)other);
    if (!lane && i < q.rows) put(q, room, i, 0, i, sum);
  }
}

/* A thread has a column, in four sums. */
template <int TERM> DEVICE void sum_columns(const Step &q, real *room)
{
  unsigned me = threadIdx.x >= q.first ? threadIdx.x - q.first : threadIdx.x + blockDim.x - q.first;
  for (unsigned j = me; j < q.cols; j += blockDim.x) {
    real a = 0, b = 0, c = 0, d = 0;
    unsigned i = 0;
    for (; i + 4 <= q.rows; i += 4) {
      a += term<TERM>(q, room, i, j), b += term<TERM>(q, room, i + 1, j);
      c += term<TERM>(q, room, i + 2, j), d += term<TERM>(q, room, i + 3, j);
    }
    for (; i < q.rows; i++) a += term<TERM>(q, room, i, j);
    put(q, room, 0, j, j, (a + b) + (c + d));
  }
}

/* The first warp has all, or the first thread if they are few. */
template <int TERM> DEVICE void sum_all(const Step &q, real *room)
{
  unsigned all = q.rows * q.cols, share = all <= FLOW_NARROW ? 1u : (unsigned)WARP;
  if (threadIdx.x >= share) return;
  real sum = 0;
  for (unsigned n = threadIdx.x; n < all; n += share) sum += term<TERM>(q, room, n / q.cols, n % q.cols);
  if (share == WARP) sum = warp_sum(sum);
  if (!threadIdx.x) put(q, room, 0, 0, 0, sum);
}

template <int TERM> DEVICE void run_step(const Step &q, real *room)
{
  switch (q.over) {
  case OVER_NOTHING: each_number<TERM>(q, room); break;
  case OVER_COLS: sum_rows<TERM>(q, room); break;
  case OVER_ROWS: sum_columns<TERM>(q, room); break;
  default: sum_all<TERM>(q, room);
  }
}

/* One token: what is given is in the room, and all threads know of it. */
DEVICE void run_token(const FlowRun &f, real *room)
{
  for (int s = 0; s < f.steps; s++) {
    const Step &q = f.step[s];
    if (q.waits) __syncthreads();
    switch (q.term) {
    case TERM_AFFINE: run_step<TERM_AFFINE>(q, room); break;
    case TERM_PRODUCT: run_step<TERM_PRODUCT>(q, room); break;
    default: run_step<TERM_NUMBER>(q, room);
    }
  }
}

/* ---- between tokens: number n of a port is thread n's, modulo the threads ---- */

#define EACH_OF(n, count) for (unsigned n = threadIdx.x; n < (count); n += blockDim.x)

DEVICE size_t port_place(const Port &p, size_t row, size_t h, size_t H)
{
  return p.kind == OF_TOKENS ? (row * H + h) * p.n : p.kind == OF_HEADS ? h * p.n : 0;
}

DEVICE void load_lasting(const FlowRun &f, real *room, size_t h, size_t H)
{
  for (int i = 0; i < f.lasting; i++) {
    const real *from = f.last[i].there + port_place(f.last[i], 0, h, H);
    EACH_OF(n, f.last[i].n) room[f.last[i].at + n] = from[n];
  }
}

/* States that stand one behind the other, elsewhere: only what has a place. */
DEVICE void load_states(const Port *state, int states, real *room, const real *from)
{
  for (int i = 0; i < states; from += state[i++].n) {
    if (state[i].at == NOWHERE) continue;
    EACH_OF(n, state[i].n) room[state[i].at + n] = from[n];
  }
}

DEVICE void save_states(const Port *state, int states, const real *room, real *to)
{
  for (int i = 0; i < states; to += state[i++].n) EACH_OF(n, state[i].n) to[n] = room[state[i].at + n];
}

DEVICE void next_states(const FlowRun &f, real *room)
{
  for (int i = 0; i < f.states; i++)
    if (f.state[i].at != f.becomes[i]) EACH_OF(n, f.state[i].n) room[f.state[i].at + n] = room[f.becomes[i] + n];
}

/* The inputs of a token come from far: a thread fetches its few numbers of the next one while this one is at work. */
enum { AHEAD = 2 };

typedef struct {
  const real *from[AHEAD]; /* that of the first token; NULL: this thread has no such number */
  size_t step[AHEAD];      /* to the next token's */
  unsigned to[AHEAD];
  real held[AHEAD];
} Ahead;

DEVICE void ahead_begin(Ahead *q, const FlowRun &f, size_t h, size_t H)
{
  for (int k = 0; k < AHEAD; k++) {
    unsigned e = threadIdx.x + (unsigned)k * blockDim.x;
    int i = 0;
    while (i < f.tokens && e >= f.token[i].n) e -= f.token[i++].n;
    bool any = i < f.tokens;
    q->from[k] = any ? f.token[i].there + h * f.token[i].n + e : NULL;
    q->step[k] = any ? H * f.token[i].n : 0;
    q->to[k] = any ? f.token[i].at + e : 0;
  }
}

DEVICE void ahead_fetch(Ahead *q, size_t row)
{
  for (int k = 0; k < AHEAD; k++)
    if (q->from[k]) q->held[k] = q->from[k][row * q->step[k]];
}

/* Puts what was fetched where it belongs, and with it all that is too much to be fetched ahead. */
DEVICE void ahead_put(const Ahead *q, const FlowRun &f, real *room, size_t row, size_t h, size_t H)
{
  for (int k = 0; k < AHEAD; k++)
    if (q->from[k]) room[q->to[k]] = q->held[k];
  unsigned before = 0, fetched = AHEAD * blockDim.x;
  for (int i = 0; i < f.tokens; before += f.token[i++].n) {
    if (before + f.token[i].n <= fetched) continue;
    const real *from = f.token[i].there + (row * H + h) * f.token[i].n;
    EACH_OF(n, f.token[i].n)
    if (before + n >= fetched) room[f.token[i].at + n] = from[n];
  }
}

#endif
