#include "tape.h"

#include "backend.h"
#include "err.h"
#include "node.h"

#include <string.h>

Tape *tape_new(void)
{
  Tape *tp = rwkv_alloc(1, sizeof *tp, "tape");
  tp->numbers = tensor_arena();
  tp->checks = bounds_new();
  tp->recording = true;
  tp->generation = 1;
  return tp;
}

static void reset(Tape *tp)
{
  backend_flush();
  for (TapeWatcher *w = tp->watchers, *next; w; w = next) {
    next = w->next;
    w->before_reset(w);
  }
  for (Tensor *t = tp->disposed, *next; t; t = next) {
    next = t->next;
    tensor_free(t);
  }
  tp->disposed = NULL;
  tp->last = NULL;
  tp->spare = NULL;
  tp->generation++;
  arena_reset(&tp->arena);
  arena_reset(&tp->numbers);
}

/* A check that fails does so when the step is over: the next one begins afresh all the same. */
void tape_reset(Tape *tp)
{
  reset(tp);
  bounds_look();
}

void tape_free(Tape *tp)
{
  if (!tp) return;
  bounds_free(tp->checks);
  reset(tp); /* whoever watches saves what it needs */
  arena_free(&tp->arena);
  arena_free(&tp->numbers);
  rwkv_release(tp);
}

size_t tape_bytes(const Tape *tp) { return arena_bytes(&tp->arena) + arena_bytes(&tp->numbers); }

TapeMark tape_mark(const Tape *tp) { return (TapeMark){arena_mark(&tp->arena), arena_mark(&tp->numbers)}; }

void tape_rewind(Tape *tp, TapeMark mark)
{
  backend_flush();
  arena_rewind(&tp->arena, mark.arena);
  arena_rewind(&tp->numbers, mark.numbers);
  bounds_look();
}

void tape_dispose(Tape *tp, Tensor *t)
{
  t->next = tp->disposed;
  tp->disposed = t;
}

void tape_batch(Tape *tp, size_t B, size_t T, size_t C)
{
  (void)tp;
  backend_now()->batch(B, T, C);
}

Tensor *tape_tensor(Tape *tp, int axes, const int *shape)
{
  size_t n = shape_count(axes, shape);
  Tensor *t = arena_alloc(&tp->arena, sizeof *t);
  memset(t, 0, sizeof *t);
  t->n = n;
  t->axes = axes;
  if (axes) memcpy(t->shape, shape, (size_t)axes * sizeof *shape);
  t->data = node_numbers(tp, n, sizeof(real));
  return t;
}

Tensor *tape_zeros(Tape *tp, int axes, const int *shape)
{
  Tensor *t = tape_tensor(tp, axes, shape);
  run_clear(&(Clear){t->data, t->n});
  return t;
}

Tensor *tape_number(Tape *tp, double value)
{
  Tensor *t = tape_tensor(tp, 0, NULL);
  backend_write_new(t->data, &(real){(real)value}, sizeof(real));
  return t;
}

Tensor *tape_copy(Tape *tp, const Tensor *t)
{
  Tensor *c = tape_tensor(tp, t->axes, t->shape);
  tensor_copy(c, t);
  return c;
}

/* ---- nodes ---- */

static bool is_spent(const Tensor *t)
{
  while (t->base) t = t->base;
  return t->spent;
}

Node *node_new(Tape *tp, void (*backward)(Node *), int n_in, Tensor *const *in, int n_out, Tensor *const *out)
{
  bool needed = false;
  for (int i = 0; i < n_in; i++) needed |= in[i]->needs_grad;
  if (!needed || !tp->recording) return NULL;
  Node *node = arena_alloc(&tp->arena, sizeof *node);
  memset(node, 0, sizeof *node);
  node->tape = tp;
  node->backward = backward;
  for (int i = 0; i < n_in; i++) {
    if (is_spent(in[i]))
      rwkv_fail("a tensor of shape %s comes from before backward(): no gradient can flow through it any "
                "more (detach it, or compute it again)",
                tensor_shape(in[i]));
    node->in[i] = in[i];
  }
  for (int i = 0; i < n_out; i++) {
    node->out[i] = out[i];
    node->first[i] = !out[i]->needs_grad;
    out[i]->needs_grad = true;
  }
  node->when = tensor_clock();
  node->prev = tp->last;
  tp->last = node;
  return node;
}

/* Gradients come and go all through the backward pass: those that have been passed on lend their memory, which is still
   in the cache, to the next of the same size. */
struct Spare {
  Spare *next;
  real *data;
  size_t n;
};

static real *new_grad(Tape *tp, size_t n)
{
  for (Spare **s = &tp->spare; *s; s = &(*s)->next)
    if ((*s)->n == n && !backend_now()->read_later((*s)->data)) {
      real *data = (*s)->data;
      *s = (*s)->next;
      return data;
    }
  return node_numbers(tp, n, sizeof(real));
}

static void pass_on(Tape *tp, Tensor *t)
{
  if (t->base || !t->grad || !t->n) return;
  Spare *s = arena_alloc(&tp->arena, sizeof *s);
  *s = (Spare){tp->spare, t->grad, t->n};
  tp->spare = s;
  t->grad = NULL;
}

real *node_grad(Node *node, Tensor *t)
{
  if (!t || !t->needs_grad) return NULL;
  if (t->base) return node_grad(node, t->base);
  t->reached = true;
  if (!t->grad) {
    real *zeros = new_grad(node->tape, t->n);
    run_clear(&(Clear){zeros, t->n});
    t->grad = zeros; /* not before: it may fail for want of memory */
  }
  return t->grad;
}

void *node_keep(Tape *tp, const void *from, size_t bytes)
{
  void *copy = arena_alloc(&tp->arena, bytes);
  if (bytes) memcpy(copy, from, bytes);
  return copy;
}

void *node_numbers(Tape *tp, size_t count, size_t size)
{
  if (count > SIZE_MAX / size) memory_fail(SIZE_MAX, "one tensor");
  return arena_alloc(&tp->numbers, count * size);
}

Tensor *node_state_after(Tape *tp, Tensor *S)
{
  Tensor *heir = tp->recording ? NULL : S->heir;
  S->heir = NULL;
  return heir ? heir : tape_tensor(tp, S->axes, S->shape);
}

real *node_flow(const Tensor *t)
{
  while (t->base) t = t->base;
  return t->grad;
}

/* The way back reads what an op read and gave: neither may be another number now. */
static void check_list(const Node *node, Tensor *const *list, int most)
{
  for (int i = 0; i < most && list[i]; i++)
    if (tensor_written(list[i]) > node->when)
      rwkv_fail("backward: a tensor of shape %s was written to after it was computed with, and the way back needs what "
                "it was: write to it after backward(), or compute with a copy of it (x:clone())",
                tensor_shape(list[i]));
}

static Tensor *root(Tensor *t)
{
  while (t->base) t = t->base;
  return t;
}

/* Before any gradient flows, so that a failure changes nothing: goes the way that it will. */
static void check_unwritten(const Tape *tp, Tensor *loss)
{
  static uint64_t walk;
  root(loss)->walk = ++walk;
  for (const Node *node = tp->last; node; node = node->prev) {
    bool reached = false;
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++) reached |= root(node->out[i])->walk == walk;
    if (!reached) continue;
    if (!node->linear) check_list(node, node->in, NODE_INPUTS);
    check_list(node, node->out, NODE_OUTPUTS);
    for (int i = 0; i < NODE_INPUTS && node->in[i]; i++)
      if (node->in[i]->needs_grad) root(node->in[i])->walk = walk;
  }
}

void tape_backward(Tape *tp, Tensor *loss)
{
  if (loss->n != 1) rwkv_fail("backward starts from a single number, not from shape %s", tensor_shape(loss));
  if (!loss->needs_grad) rwkv_fail("backward: nothing that this number depends on needs a gradient");
  if (is_spent(loss)) rwkv_fail("backward was already run on this number, or on one computed after it");
  bounds_look();
  check_unwritten(tp, loss);
  Node start = {.tape = tp};
  real *seed = node_grad(&start, loss);
  if (!seed) rwkv_fail("backward: what this number is a view of needs no gradient any more");
  const Tensor *one = tape_number(tp, 1);
  run_affine_backward(&(AffineBackward){.gx = seed, .g = one->data, .forward = {.scale = 1, .n = 1}});
  for (Node *node = tp->last; node; node = node->prev) {
    bool reached = false;
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++) {
      reached |= node->out[i]->n && node_flow(node->out[i]);
      node->out[i]->spent = true;
    }
    if (reached) node->backward(node);
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++)
      if (node->first[i]) pass_on(tp, node->out[i]);
  }
  tp->last = NULL;
}
