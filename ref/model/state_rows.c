/* Batches of states, taken apart and put together. */
#include "layout.h"
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

/* Sequences of `from` to the place `at` of `to`. What grows may be longer or shorter there; behind it are zeros. */
static void copy_rows(State *to, int at, const State *from, int first, int count)
{
  for (int i = 0; i < to->count; i++) {
    size_t row = from->now[i]->n / (size_t)from->B, wide = to->own[i]->n / (size_t)to->B;
    size_t part = row < wide ? row : wide;
    for (int b = 0; b < count; b++)
      copy_numbers(to->own[i], (size_t)(at + b) * wide, from->now[i], (size_t)(first + b) * row, part);
  }
  memcpy(to->seen + at, from->seen + first, (size_t)count * sizeof *to->seen);
}

/* The longest of these sequences, if the state grows; it is not longer than memory then. */
static int history_of(const State *s, int first, int count)
{
  int64_t longest = 0;
  if (!version_state_grows(s->version, &s->d)) return 0;
  for (int b = first; b < first + count; b++) longest = s->seen[b] > longest ? s->seen[b] : longest;
  return (int)longest;
}

State *state_rows(const State *s, int first, int count)
{
  if (first < 0 || count < 1 || first > s->B - count)
    rwkv_fail("rows: %d to %d is not within 1 to %d", first + 1, first + count, s->B);
  State *rows = state_sized(s->version, &s->d, count, history_of(s, first, count));
  copy_rows(rows, 0, s, first, count);
  return rows;
}

static void check_alike(const State *a, const State *b, int place)
{
  if (a->version != b->version || a->count != b->count)
    rwkv_fail("join: state %d is of another model than the first", place);
  for (int i = 0; i < a->count; i++) {
    const Tensor *x = a->now[i], *y = b->now[i];
    LayoutState p = layout_state(a->version, &a->d, i), q = layout_state(b->version, &b->d, i);
    bool alike = strcmp(p.spec->name, q.spec->name) == 0 && p.layer == q.layer && p.slot == q.slot;
    if (!alike) rwkv_fail("join: state %d is of another model than the first", place);
    alike = x->axes == y->axes;
    for (int axis = 0; alike && axis < x->axes - 1; axis++)
      alike = x->shape[axis + 1] == y->shape[axis + 1] || (axis == 0 && layout_grows(&p));
    if (!alike)
      rwkv_fail("join: %s of state %d is %s, of the first %s; they must be alike", state_name(a, i), place,
                tensor_shape(y), tensor_shape(x));
  }
}

State *state_join(const State *const *list, int count)
{
  int B = 0, longest = 0;
  for (int k = 0; k < count; k++) {
    check_alike(list[0], list[k], k + 1);
    if (list[k]->B > (1 << 24) - B) rwkv_fail("join: a batch of more than %d sequences", 1 << 24);
    int history = history_of(list[k], 0, list[k]->B);
    B += list[k]->B, longest = history > longest ? history : longest;
  }
  State *all = state_sized(list[0]->version, &list[0]->d, B, longest);
  for (int k = 0, at = 0; k < count; at += list[k++]->B) copy_rows(all, at, list[k], 0, list[k]->B);
  return all;
}
