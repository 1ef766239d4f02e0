#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "step_subject.h"

#include "engine/backend.h"
#include "fast/fast.h"

static void keep(Result *r, const Tensor *t, bool grad)
{
  assert_true(r->n + t->n <= MOST);
  if (grad) tensor_read_grad(t, 0, t->n, r->number + r->n);
  else tensor_read(t, 0, t->n, r->number + r->n);
  r->n += t->n;
}

/* The loss is a sum of y and of the states, each number with a weight of its own. */
void subject_run(Run *f, Subject *s, Result *r)
{
  Tape *tp = tape_new();
  Tensor *S = s->S, *y = f(tp, s, &S), *parts[] = {y, S}, *loss = NULL;
  Rng rng = rng_new(9, 1);
  r->n = 0;
  for (int i = 0; i < 2; i++) {
    Tensor *flat = t_reshape(tp, parts[i], 1, (int[]){-1}), *weight = random_leaf(1, flat->shape, &rng, 1, false);
    tape_dispose(tp, weight);
    keep(r, parts[i], false);
    Tensor *sum = t_sum_all(tp, t_mul(tp, flat, weight));
    loss = loss ? t_add(tp, loss, sum) : sum;
  }
  zero_grads(s->in, s->p->inputs), zero_grads(&s->S, 1);
  tape_backward(tp, loss);
  for (int i = 0; i < s->p->inputs; i++) keep(r, s->in[i], true);
  keep(r, s->S, true);
  tape_free(tp);
}

Tensor *subject_as_steps(Tape *tp, const Subject *s, Tensor **S) { return t_steps(tp, s->p, s->in, s->z.T, S); }

/* ---- the same from ops of the tape ---- */

/* A register as [B or 1,H or 1,rows,cols]. */
static Tensor *in_heads(Tape *tp, const Subject *s, int input, int t)
{
  const StepProgram *p = s->p;
  int rows = (int)p->shape[input].rows, cols = (int)p->shape[input].cols;
  Tensor *x = s->in[input];
  if (p->input[input] == OF_ALL) return t_reshape(tp, x, 4, (int[]){1, 1, rows, cols});
  if (p->input[input] == OF_HEADS) return t_reshape(tp, x, 4, (int[]){1, s->z.H, rows, cols});
  x = t_reshape(tp, x, 3, (int[]){s->z.B, s->z.T, -1});
  return t_reshape(tp, t_slice(tp, x, 1, t, 1), 4, (int[]){s->z.B, s->z.H, rows, cols});
}

static Tensor *made(Tape *tp, const StepInstruction *q, Tensor *const *x)
{
  switch (q->kind) {
  case STEP_NUMBER: return t_reshape(tp, tape_number(tp, q->offset), 4, (int[]){1, 1, 1, 1});
  case STEP_UNARY: return t_unary(tp, (UnaryKind)q->which, x[q->a]);
  case STEP_BINARY: return t_binary(tp, (BinaryKind)q->which, x[q->a], x[q->b]);
  case STEP_AFFINE: return t_affine(tp, x[q->a], q->scale, q->offset);
  case STEP_TURN: return t_transpose(tp, x[q->a], 2, 3);
  default: return t_affine(tp, t_sum(tp, x[q->a], q->kind == STEP_SUM ? 3 : 2, true), q->scale, 0);
  }
}

/* In full: a register may be the same for all heads or sequences. */
static Tensor *spread(Tape *tp, const Subject *s, Tensor *x, int reg)
{
  Tensor *zeros = tape_zeros(tp, 4, (int[]){s->z.B, s->z.H, 1, 1});
  return t_reshape(tp, t_add(tp, x, zeros), 3, (int[]){s->z.B, s->z.H, (int)k_steps_size(s->p, reg)});
}

Tensor *subject_as_ops(Tape *tp, const Subject *s, Tensor **S)
{
  const StepProgram *p = s->p;
  Tensor *x[STEP_REGISTERS], *y[64], *state[STEP_STATES];
  for (int t = 0; t < s->z.T; t++) {
    for (int i = 0; i < p->inputs; i++) x[i] = in_heads(tp, s, i, t);
    for (int i = 0, from = 0; i < p->states; i++) {
      int reg = p->inputs + i, n = (int)k_steps_size(p, reg);
      x[reg] = t_reshape(tp, t_slice(tp, *S, 2, from, n), 4,
                         (int[]){s->z.B, s->z.H, (int)p->shape[reg].rows, (int)p->shape[reg].cols});
      from += n;
    }
    for (int i = 0; i < p->instructions; i++) x[p->inputs + p->states + i] = made(tp, &p->instruction[i], x);
    y[t] = t_reshape(tp, spread(tp, s, x[p->y], p->y), 3, (int[]){s->z.B, 1, -1});
    for (int i = 0; i < p->states; i++) state[i] = spread(tp, s, x[p->after[i]], p->after[i]);
    *S = t_concat(tp, state, p->states, 2);
  }
  return t_concat(tp, y, s->z.T, 1);
}

/* ---- subjects ---- */

Subject subject_new(const StepProgram *p, Sizes z, uint64_t seed)
{
  Subject s = {.p = p, .z = z};
  Rng rng = rng_new(seed, 0);
  for (int i = 0; i < p->inputs; i++) {
    int n = (int)k_steps_size(p, i), many[] = {z.B * z.T * z.H * n, z.H * n, n};
    s.in[i] = random_leaf(1, &many[p->input[i]], &rng, 0.5, true);
  }
  s.S = random_leaf(3, (int[]){z.B, z.H, (int)k_steps_state(p)}, &rng, 0.5, true);
  return s;
}

void subject_free(Subject *s)
{
  free_leaves(s->in, s->p->inputs);
  tensor_free(s->S);
}

/* The program, on the reference and on the fast backend, against g on the reference, gradients included. */
void subject_compare(const char *what, Subject *s, Run *g, double tol)
{
  static Result reference, fast, want;
  subject_run(g, s, &want);
  subject_run(subject_as_steps, s, &reference);
  check_close(what, reference.number, want.number, want.n, tol);
  backend_use(&backend_fast);
  subject_run(subject_as_steps, s, &fast);
  backend_use(&backend_reference);
  check_close(what, fast.number, want.number, want.n, tol);
}
