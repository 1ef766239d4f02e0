/* Batches of states, taken apart and put together. */
#include "model.h"

#include "engine/err.h"

#include <string.h>

/* n numbers, which may lie where this process cannot read: in parts. */
static void copy_numbers(Tensor *to, size_t to_at, const Tensor *from, size_t from_at, size_t n)
{
  real part[512];
  for (size_t done = 0, m; done < n; done += m) {
    m = n - done < sizeof part / sizeof *part ? n - done : sizeof part / sizeof *part;
    tensor_read(from, from_at + done, m, part);
    tensor_write(to, to_at + done, m, part);
  }
}

/* Sequences of `from` to the place `at` of `to`. */
static void copy_rows(State *to, int at, const State *from, int first, int count)
{
  for (int i = 0; i < to->count; i++) {
    size_t row = from->now[i]->n / (size_t)from->B;
    copy_numbers(to->own[i], (size_t)at * row, from->now[i], (size_t)first * row, (size_t)count * row);
  }
  memcpy(to->seen + at, from->seen + first, (size_t)count * sizeof *to->seen);
}

static int history_of(const State *s)
{
  return version_state_grows(s->version, &s->d) ? (int)s->seen[0]
                                                : 0; /* a state that grows is not longer than memory */
}

State *state_rows(const State *s, int first, int count)
{
  if (first < 0 || count < 1 || first > s->B - count)
    rwkv_fail("rows: %d to %d is not within 1 to %d", first + 1, first + count, s->B);
  State *rows = state_sized(s->version, &s->d, count, history_of(s));
  copy_rows(rows, 0, s, first, count);
  return rows;
}

static void check_alike(const State *a, const State *b, int place)
{
  bool alike = a->version == b->version && a->count == b->count && memcmp(a->d.hook, b->d.hook, sizeof a->d.hook) == 0;
  if (!alike) rwkv_fail("join: state %d is of another model than the first", place);
  for (int i = 0; i < a->count; i++) {
    const Tensor *x = a->now[i], *y = b->now[i];
    if (x->axes != y->axes || memcmp(x->shape + 1, y->shape + 1, (size_t)(x->axes - 1) * sizeof *x->shape))
      rwkv_fail("join: %s of state %d is %s, of the first %s; all but the first size must be equal", state_name(a, i),
                place, tensor_shape(y), tensor_shape(x));
  }
}

State *state_join(const State *const *list, int count)
{
  int B = 0;
  for (int k = 0; k < count; k++) {
    check_alike(list[0], list[k], k + 1);
    if (list[k]->B > (1 << 24) - B) rwkv_fail("join: a batch of more than %d sequences", 1 << 24);
    B += list[k]->B;
  }
  State *all = state_sized(list[0]->version, &list[0]->d, B, history_of(list[0]));
  for (int k = 0, at = 0; k < count; at += list[k++]->B) copy_rows(all, at, list[k], 0, list[k]->B);
  return all;
}
