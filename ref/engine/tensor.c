#include "tensor.h"

#include "err.h"
#include "ops.h"

#include <stdio.h>
#include <string.h>

size_t shape_count(int axes, const int *shape)
{
  if (axes < 0 || axes > MAX_AXES)
    rwkv_fail("a tensor has 0 to %d axes, not %d", MAX_AXES, axes);
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
  t->data = rwkv_try_alloc(n, sizeof(real));
  if (!t->data) {
    rwkv_release(t);
    memory_fail(n * sizeof(real), "a tensor of shape %s", shape_text(axes, shape));
  }
  return t;
}

Tensor *tensor_in(Arena *arena, int axes, const int *shape, const Storage *as)
{
  size_t n = shape_count(axes, shape);
  Tensor *t = arena_alloc(arena, sizeof *t);
  *t = (Tensor){.n = n, .axes = axes};
  if (axes) memcpy(t->shape, shape, (size_t)axes * sizeof *shape);
  void *numbers = arena_alloc(arena, n * (as ? storage_size(*as) : sizeof(real)));
  if (as) t->packed = (Packed){numbers, *as};
  else t->data = memset(numbers, 0, n * sizeof(real));
  return t;
}

void tensor_free(Tensor *t)
{
  if (!t) return;
  ops.settle();
  rwkv_release(t->data);
  rwkv_release(t->grad);
  rwkv_release(t);
}

static void check_range(const char *what, const Tensor *t, size_t from, size_t n)
{
  if (from > t->n || n > t->n - from) rwkv_fail("%s of %zu elements at %zu, the tensor has %zu", what, n, from, t->n);
}

void tensor_read(const Tensor *t, size_t from, size_t n, real *out)
{
  check_range("read", t, from, n);
  ops.settle();
  for (size_t i = 0; t->packed.bits && i < n; i++) out[i] = (real)packed_number(t->packed, from + i);
  if (n && !t->packed.bits) memcpy(out, t->data + from, n * sizeof *out);
}

static void check_writable(const Tensor *t)
{
  if (t->packed.bits)
    rwkv_fail("a tensor %s kept as %s can only be read", tensor_shape(t), storage_names[t->packed.storage]);
}

void tensor_write(Tensor *t, size_t from, size_t n, const real *in)
{
  check_range("write", t, from, n);
  ops.settle();
  check_writable(t);
  if (n) memcpy(t->data + from, in, n * sizeof *in);
}

void tensor_write_packed(Tensor *t, size_t from, size_t n, const void *bits)
{
  check_range("write", t, from, n);
  size_t size = storage_size(t->packed.storage);
  ops.settle();
  if (n) memcpy((char *)t->packed.bits + from * size, bits, n * size);
}

void tensor_copy(Tensor *to, const Tensor *from)
{
  if (to->n != from->n) rwkv_fail("copy of a tensor %s to one of shape %s", tensor_shape(from), tensor_shape(to));
  check_writable(to);
  tensor_read(from, 0, from->n, to->data);
}

/* ---- the gradient ---- */

static const Tensor *root(const Tensor *t)
{
  while (t->base) t = t->base;
  return t;
}

bool tensor_has_grad(const Tensor *t) { return root(t)->grad != NULL; }

void tensor_need_grad(Tensor *t)
{
  t->needs_grad = true;
  if (!t->grad) t->grad = rwkv_alloc(t->n, sizeof(real), "a gradient");
}

void tensor_clear_grad(Tensor *t)
{
  const Tensor *r = root(t);
  if (r->grad) ops.clear(r->grad, r->n);
}

void tensor_read_grad(const Tensor *t, size_t from, size_t n, real *out)
{
  check_range("read", t, from, n);
  const real *grad = root(t)->grad;
  ops.settle();
  if (n && grad) memcpy(out, grad + from, n * sizeof *out);
  else if (n) memset(out, 0, n * sizeof *out);
}

/* ---- shapes ---- */

void tensor_fill(Tensor *t, real value)
{
  ops.settle();
  check_writable(t);
  for (size_t i = 0; i < t->n; i++) t->data[i] = value;
}

bool same_shape(const Tensor *a, const Tensor *b)
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
