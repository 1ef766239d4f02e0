#include "tensor.h"

#include "bounds.h"
#include "err.h"
#include "backend.h"

#include <stdio.h>
#include <string.h>

size_t shape_count(int axes, const int *shape)
{
  if (axes < 0 || axes > MAX_AXES) rwkv_fail("a tensor has 0 to %d axes, not %d", MAX_AXES, axes);
  size_t n = 1;
  for (int i = 0; i < axes; i++) {
    if (shape[i] < 0) rwkv_fail("a tensor's size cannot be negative: %s", shape_text(axes, shape));
    if (shape[i] && n > ((size_t)1 << 46) / (size_t)shape[i])
      rwkv_fail("a tensor of shape %s is too large", shape_text(axes, shape));
    n *= (size_t)shape[i];
  }
  return n;
}

Tensor *tensor_new(int axes, const int *shape)
{
  size_t n = shape_count(axes, shape);
  Tensor *t = rwkv_alloc(1, sizeof *t, "tensor");
  t->n = n;
  t->axes = axes;
  if (axes) memcpy(t->shape, shape, (size_t)axes * sizeof *shape); /* shape may be NULL for a scalar */
  t->data = backend_memory.alloc(n * sizeof(real));
  if (!t->data) {
    rwkv_release(t);
    memory_fail(n * sizeof(real), "a tensor of shape %s", shape_text(axes, shape));
  }
  return t;
}

Arena tensor_arena(void) { return (Arena){.memory = &backend_memory}; }

Tensor *tensor_in(Arena *arena, Arena *numbers, int axes, const int *shape, const Storage *as)
{
  size_t n = shape_count(axes, shape);
  Tensor *t = arena_alloc(arena, sizeof *t);
  *t = (Tensor){.n = n, .axes = axes};
  if (axes) memcpy(t->shape, shape, (size_t)axes * sizeof *shape);
  void *at = arena_alloc(numbers, n * (as ? storage_size(*as) : sizeof(real)));
  if (as) t->packed = (Packed){at, *as};
  else run_clear(&(Clear){t->data = at, n});
  return t;
}

bool tensor_can_see(void) { return backend_memory.in_process(); }

Tensor *tensor_see(Arena *arena, int axes, const int *shape, Packed numbers)
{
  Tensor *t = arena_alloc(arena, sizeof *t);
  *t = (Tensor){.n = shape_count(axes, shape), .axes = axes, .packed = numbers};
  if (axes) memcpy(t->shape, shape, (size_t)axes * sizeof *shape);
  return t;
}

void tensor_free(Tensor *t)
{
  if (!t) return;
  backend_free(t->data, t->n * sizeof(real));
  tensor_free_grad(t);
  rwkv_release(t);
}

/* ---- numbers ---- */

static const Tensor *root(const Tensor *t)
{
  while (t->base) t = t->base;
  return t;
}

static uint64_t writes;

uint64_t tensor_clock(void) { return writes; }
uint64_t tensor_written(const Tensor *t) { return root(t)->written; }

void tensor_wrote(Tensor *t)
{
  while (t->base) t = t->base;
  t->written = ++writes;
}

static void check_range(const char *what, const Tensor *t, size_t from, size_t n)
{
  if (from > t->n || n > t->n - from) rwkv_fail("%s of %zu elements at %zu, the tensor has %zu", what, n, from, t->n);
}

static void check_not_packed(const Tensor *t)
{
  if (t->packed.bits)
    rwkv_fail("a tensor %s kept as %s can only be read", tensor_shape(t), storage_names[t->packed.storage]);
}

enum { PIECE = 4096 }; /* of packed numbers that are unpacked at a time */

static void read_packed(const Tensor *t, size_t from, size_t n, real *out)
{
  size_t size = storage_size(t->packed.storage);
  uint32_t bits[PIECE];
  for (size_t i = 0; i < n; i += PIECE) {
    size_t count = n - i < PIECE ? n - i : PIECE;
    backend_read(bits, (const char *)t->packed.bits + (from + i) * size, count * size);
    for (size_t j = 0; j < count; j++) out[i + j] = (real)packed_number((Packed){bits, t->packed.storage}, j);
  }
}

void tensor_read(const Tensor *t, size_t from, size_t n, real *out)
{
  check_range("read", t, from, n);
  bounds_look();
  if (t->packed.bits) read_packed(t, from, n, out);
  else if (n) backend_read(out, t->data + from, n * sizeof *out);
}

void tensor_write(Tensor *t, size_t from, size_t n, const real *in)
{
  check_range("write", t, from, n);
  check_not_packed(t);
  tensor_wrote(t);
  if (n) backend_write(t->data + from, in, n * sizeof *in);
}

void tensor_write_packed(Tensor *t, size_t from, size_t n, const void *bits)
{
  check_range("write", t, from, n);
  size_t size = storage_size(t->packed.storage);
  tensor_wrote(t);
  if (n) backend_write((char *)t->packed.bits + from * size, bits, n * size);
}

void tensor_fill(Tensor *t, real value)
{
  real piece[PIECE];
  check_not_packed(t);
  for (size_t i = 0; i < PIECE; i++) piece[i] = value;
  for (size_t i = 0; i < t->n; i += PIECE) tensor_write(t, i, t->n - i < PIECE ? t->n - i : PIECE, piece);
}

void tensor_copy(Tensor *to, const Tensor *from)
{
  if (to->n != from->n) rwkv_fail("copy of a tensor %s to one of shape %s", tensor_shape(from), tensor_shape(to));
  check_not_packed(to);
  tensor_wrote(to);
  if (!from->packed.bits) {
    if (to->n) run_slice(&(Slice){to->data, from->data, 1, 1, to->n, 0, 1});
    return;
  }
  real piece[PIECE];
  for (size_t i = 0, count; i < to->n; i += count) {
    count = to->n - i < PIECE ? to->n - i : PIECE;
    read_packed(from, i, count, piece);
    tensor_write(to, i, count, piece);
  }
}

/* ---- the gradient ---- */

bool tensor_has_grad(const Tensor *t) { return root(t)->grad != NULL; }

void tensor_need_grad(Tensor *t)
{
  t->needs_grad = true;
  if (!t->grad) t->grad = backend_alloc(t->n * sizeof(real), "a gradient");
}

void tensor_need_no_grad(Tensor *t)
{
  t->needs_grad = false;
  tensor_free_grad(t);
}

void tensor_free_grad(Tensor *t)
{
  backend_free(t->grad, t->n * sizeof(real));
  t->grad = NULL;
  t->reached = false;
}

void tensor_clear_grad(Tensor *t)
{
  while (t->base) t = t->base;
  if (t->grad) run_clear(&(Clear){t->grad, t->n});
  t->reached = false;
}

void tensor_read_grad(const Tensor *t, size_t from, size_t n, real *out)
{
  check_range("read", t, from, n);
  const real *grad = root(t)->grad;
  if (n && grad) backend_read(out, grad + from, n * sizeof *out);
  else if (n) memset(out, 0, n * sizeof *out);
}

void tensor_write_grad(Tensor *t, const real *in, bool reached)
{
  tensor_need_grad(t);
  if (t->n) backend_write(t->grad, in, t->n * sizeof *in);
  t->reached = reached;
}

void tensor_sum_grad(Tensor *t)
{
  tensor_need_grad(t);
  backend_now()->ranks->sum(t->grad, t->n);
  t->reached = true;
}

/* ---- shapes ---- */

bool tensor_same_shape(const Tensor *a, const Tensor *b)
{
  return a->axes == b->axes && memcmp(a->shape, b->shape, (size_t)a->axes * sizeof(int)) == 0;
}

const char *shape_text(int axes, const int *shape)
{
  static char buffers[8][64];
  static unsigned next;
  char *text = buffers[next++ % 8], *p = text;
  p += sprintf(p, "[");
  for (int i = 0; i < axes && i < MAX_AXES; i++) p += sprintf(p, i ? ",%d" : "%d", shape[i]);
  sprintf(p, "]");
  return text;
}

const char *tensor_shape(const Tensor *t) { return shape_text(t->axes, t->shape); }

const char *shape_place(int axes, const int *shape, size_t i)
{
  int at[MAX_AXES];
  for (int axis = axes - 1; axis >= 0; i /= (size_t)shape[axis--]) at[axis] = (int)(i % (size_t)shape[axis]) + 1;
  return shape_text(axes, at);
}
