/* A recurrence as a program: the instructions one after the other, each as plain loops, and back in reverse.
   Every number is rounded as the op of the tape rounds it that the instruction stands for. */
#include "k_steps.h"

#include <string.h>

static int first_made(const StepProgram *p) { return p->inputs + p->states; }
int k_steps_registers(const StepProgram *p) { return first_made(p) + p->instructions; }
size_t k_steps_size(const StepProgram *p, int reg) { return p->shape[reg].rows * p->shape[reg].cols; }

static size_t total(const StepProgram *p, int from, int to)
{
  size_t n = 0;
  for (int reg = from; reg < to; reg++) n += k_steps_size(p, reg);
  return n;
}

size_t k_steps_state(const StepProgram *p) { return total(p, p->inputs, first_made(p)); }
size_t k_steps_made(const StepProgram *p) { return total(p, first_made(p), k_steps_registers(p)); }

size_t k_steps_held(const Steps *op, int input)
{
  const StepProgram *p = op->program;
  if (input >= p->inputs) return 0;
  size_t n = k_steps_size(p, input);
  return p->input[input] == OF_TOKENS ? op->B * op->T * op->H * n : p->input[input] == OF_HEADS ? op->H * n : n;
}

size_t k_steps_terms(const Steps *op) { return op->T * op->B * op->H * k_steps_state(op->program); }

/* Made by the instructions, and the gradients by all registers; the states of a segment, and the gradient by one. */
size_t k_steps_back(const StepProgram *p)
{
  return k_steps_made(p) + total(p, 0, k_steps_registers(p)) + (1 + WKV_SEGMENT) * k_steps_state(p);
}

/* ---- one token of one head ---- */

size_t k_steps_place(const Steps *op, int input, size_t row, size_t h)
{
  size_t n = k_steps_size(op->program, input);
  StepInputKind kind = op->program->input[input];
  return kind == OF_TOKENS ? (row * op->H + h) * n : kind == OF_HEADS ? h * n : 0;
}

/* The number of a register of this shape that belongs to row i and column j. */
static size_t at(StepShape s, size_t i, size_t j) { return (s.rows == 1 ? 0 : i) * s.cols + (s.cols == 1 ? 0 : j); }

/* The numbers that sum n of an instruction is made of: `count`, from `from` on, `step` apart. */
typedef struct {
  size_t from, step, count;
} Terms;

static Terms terms(StepKind kind, StepShape s, size_t n)
{
  return kind == STEP_SUM ? (Terms){n * s.cols, 1, s.cols} : (Terms){n, s.cols, s.rows};
}

static acc sum(const StepInstruction *q, StepShape s, const real *a, size_t n)
{
  Terms t = terms(q->kind, s, n);
  acc all = 0;
  for (size_t k = 0; k < t.count; k++) all += (acc)a[t.from + k * t.step];
  return q->scale * all;
}

/* y = what instruction `reg` makes of the registers before it */
static void make(const StepProgram *p, int reg, const real *const *x, real *y)
{
  const StepInstruction *q = &p->instruction[reg - first_made(p)];
  StepShape s = p->shape[reg], sa = p->shape[q->a], sb = p->shape[q->b];
  const real *a = x[q->a], *b = x[q->b];
  for (size_t i = 0; i < s.rows; i++)
    for (size_t j = 0; j < s.cols; j++) {
      size_t n = i * s.cols + j;
      acc value;
      switch (q->kind) {
      case STEP_NUMBER: value = q->offset; break;
      case STEP_UNARY: value = k_unary_functions[q->which].f(a[n]); break;
      case STEP_BINARY: value = k_binary_functions[q->which].f(a[at(sa, i, j)], b[at(sb, i, j)]); break;
      case STEP_AFFINE: value = q->scale * (acc)a[n] + q->offset; break;
      case STEP_TURN: value = a[n]; break;
      default: value = sum(q, sa, a, n);
      }
      y[n] = (real)value;
    }
}

/* All registers of a token, but for the states: x[reg] is where each stands. */
static void step(const Steps *op, size_t row, size_t h, real *made, const real **x)
{
  const StepProgram *p = op->program;
  for (int i = 0; i < p->inputs; i++) x[i] = op->in[i] + k_steps_place(op, i, row, h);
  for (int reg = first_made(p); reg < k_steps_registers(p); made += k_steps_size(p, reg++)) {
    make(p, reg, x, made);
    x[reg] = made;
  }
}

static void place_states(const StepProgram *p, const real **x, const real *S)
{
  for (int reg = p->inputs; reg < first_made(p); S += k_steps_size(p, reg++)) x[reg] = S;
}

static void states_after(const StepProgram *p, const real *const *x, real *S1)
{
  for (int i = 0; i < p->states; i++) {
    size_t n = k_steps_size(p, p->after[i]);
    memcpy(S1, x[p->after[i]], n * sizeof *S1);
    S1 += n;
  }
}

void k_steps(const Steps *op)
{
  const StepProgram *p = op->program;
  const real *x[STEP_REGISTERS];
  size_t T = op->T, H = op->H, state = k_steps_state(p), ny = k_steps_size(p, p->y);
  real *next = op->scratch + k_steps_made(p);
  memcpy(op->S1, op->S0, op->B * H * state * sizeof *op->S1);
  for (size_t bh = 0; bh < op->B * H; bh++) {
    size_t b = bh / H, h = bh % H;
    real *S = op->S1 + bh * state;
    place_states(p, x, S);
    for (size_t t = 0; t < T; t++) {
      size_t row = b * T + t;
      if (op->segments && t % WKV_SEGMENT == 0)
        memcpy(op->segments + (bh * k_segments(T) + t / WKV_SEGMENT) * state, S, state * sizeof *S);
      step(op, row, h, op->scratch, x);
      memcpy(op->y + (row * H + h) * ny, x[p->y], ny * sizeof *op->y);
      states_after(p, x, next);
      memcpy(S, next, state * sizeof *S);
    }
  }
}

/* ---- backward ---- */

/* Through instruction `reg`: from the gradient g by what it made to those by its operands. */
static void back(const StepProgram *p, int reg, const real *const *x, real *const *g)
{
  const StepInstruction *q = &p->instruction[reg - first_made(p)];
  StepShape s = p->shape[reg], sa = p->shape[q->a], sb = p->shape[q->b];
  const real *a = x[q->a], *b = x[q->b];
  for (size_t i = 0; i < s.rows; i++)
    for (size_t j = 0; j < s.cols; j++) {
      size_t n = i * s.cols + j, na = at(sa, i, j), nb = at(sb, i, j);
      acc gy = g[reg][n];
      Terms t = terms(q->kind, sa, n);
      switch (q->kind) {
      case STEP_NUMBER: break;
      case STEP_UNARY: g[q->a][n] += (real)(gy * k_unary_functions[q->which].df(a[n], x[reg][n])); break;
      case STEP_BINARY:
        g[q->a][na] += (real)(gy * k_binary_functions[q->which].dfa(a[na], b[nb]));
        g[q->b][nb] += (real)(gy * k_binary_functions[q->which].dfb(a[na], b[nb]));
        break;
      case STEP_AFFINE: g[q->a][n] += (real)(q->scale * gy); break;
      case STEP_TURN: g[q->a][n] += g[reg][n]; break;
      default:
        for (size_t k = 0; k < t.count; k++) g[q->a][t.from + k * t.step] += (real)(q->scale * gy);
      }
    }
}

/* Where a head's token has its numbers while it is gone back through. */
typedef struct {
  real *G, *states, *made, *grads; /* by the state; the states of one segment; registers; the gradients by all */
  size_t grad_bytes;
  real *g[STEP_REGISTERS]; /* in grads */
} Room;

static Room room(const StepProgram *p, real *scratch)
{
  Room r = {.G = scratch};
  r.states = r.G + k_steps_state(p);
  r.made = r.states + WKV_SEGMENT * k_steps_state(p);
  r.grads = r.made + k_steps_made(p);
  real *end = r.grads;
  for (int reg = 0; reg < k_steps_registers(p); end += k_steps_size(p, reg++)) r.g[reg] = end;
  r.grad_bytes = (size_t)(end - r.grads) * sizeof *end;
  return r;
}

static void add(real *to, const real *from, size_t n)
{
  for (size_t i = 0; i < n; i++) to[i] += from[i];
}

/* One token backwards: x has the states before it, r->G enters as the gradient by those after it. */
static void step_backward(const StepsBackward *op, size_t row, size_t h, const Room *r, const real **x)
{
  const Steps *f = &op->forward;
  const StepProgram *p = f->program;
  size_t ny = k_steps_size(p, p->y), state = k_steps_state(p);
  const real *G = r->G;
  step(f, row, h, r->made, x);
  memset(r->grads, 0, r->grad_bytes);
  if (op->gy) add(r->g[p->y], op->gy + (row * f->H + h) * ny, ny);
  for (int i = 0; i < p->states; G += k_steps_size(p, p->after[i++]))
    add(r->g[p->after[i]], G, k_steps_size(p, p->after[i]));
  for (int reg = k_steps_registers(p); reg-- > first_made(p);) back(p, reg, x, r->g);
  for (int i = 0; i < p->inputs; i++)
    if (op->gin[i]) add(op->gin[i] + k_steps_place(f, i, row, h), r->g[i], k_steps_size(p, i));
  memcpy(r->G, r->g[p->inputs], state * sizeof *r->G);
}

void k_steps_backward(const StepsBackward *op)
{
  const Steps *f = &op->forward;
  const StepProgram *p = f->program;
  const real *x[STEP_REGISTERS];
  size_t T = f->T, H = f->H, n_segments = k_segments(T), state = k_steps_state(p);
  Room r = room(p, op->scratch);
  for (size_t bh = 0; bh < f->B * H; bh++) {
    size_t b = bh / H, h = bh % H;
    for (size_t i = 0; i < state; i++) r.G[i] = op->gS1 ? op->gS1[bh * state + i] : 0;
    for (size_t s = n_segments; s-- > 0;) {
      size_t from = s * WKV_SEGMENT, count = T - from < WKV_SEGMENT ? T - from : WKV_SEGMENT;
      memcpy(r.states, f->segments + (bh * n_segments + s) * state, state * sizeof *r.states);
      for (size_t n = 0; n + 1 < count; n++) { /* the states of this segment once more */
        place_states(p, x, r.states + n * state);
        step(f, b * T + from + n, h, r.made, x);
        states_after(p, x, r.states + (n + 1) * state);
      }
      for (size_t n = count; n-- > 0;) {
        place_states(p, x, r.states + n * state);
        step_backward(op, b * T + from + n, h, &r, x);
      }
    }
    if (op->gS0) add(op->gS0 + bh * state, r.G, state);
  }
}
