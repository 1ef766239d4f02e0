/* Which slices of an array are found in which order, and which indices are off. */
#include "compare.h"

#include "engine/err.h"

#include <math.h>
#include <stdlib.h>

enum { PART = 512 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* A random number from -1 to 1 for each place in a slice. */
static double weight(size_t place)
{
  uint64_t z = ((uint64_t)place + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
}

static void project(CompareNumbers x, size_t outer, size_t size, size_t inner, CompareSlice *slices)
{
  double part[PART];
  for (size_t j = 0; j < size; j++) slices[j] = (CompareSlice){.zeros = true, .at = (int)j};
  for (size_t at = 0, m, all = outer * size * inner; at < all; at += m) {
    size_t in = at % inner, out = at / inner / size;
    CompareSlice *s = &slices[at / inner % size];
    rwkv_poll();
    m = least(inner - in, PART);
    x.read(x.from, at, m, part);
    for (size_t i = 0; i < m; i++) {
      s->key += weight(out * inner + in + i) * part[i];
      s->zeros = s->zeros && part[i] == 0;
    }
  }
}

static int by_key(const void *a, const void *b)
{
  double x = ((const CompareSlice *)a)->key, y = ((const CompareSlice *)b)->key;
  return x < y ? -1 : x > y ? 1 : ((const CompareSlice *)a)->at - ((const CompareSlice *)b)->at;
}

/* Among slices in the order of their keys the one whose key is nearest. */
static int nearest_key(const CompareSlice *sorted, size_t size, double key)
{
  size_t low = 0, high = size - 1;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (sorted[middle].key <= key) low = middle;
    else high = middle;
  }
  return fabs(sorted[low].key - key) <= fabs(sorted[high].key - key) ? sorted[low].at : sorted[high].at;
}

static void check_count(const Likeness *l, size_t n)
{
  if (l->found_n != n || l->expected_n != n)
    rwkv_fail("compare: %zu found numbers and %zu expected, the sizes are for %zu", l->found_n, l->expected_n, n);
}

void compare_order(Likeness *l, size_t outer, size_t size, size_t inner, CompareSlice *room, int *order)
{
  CompareSlice *found = room, *expected = room + size;
  check_count(l, outer * size * inner);
  if (l->found_n == 0) return;
  project(l->found, outer, size, inner, found);
  project(l->expected, outer, size, inner, expected);
  for (size_t j = 0; j < size; j++)
    if (isnan(expected[j].key)) expected[j].key = INFINITY; /* qsort wants an order */
  qsort(expected, size, sizeof *expected, by_key);
  CompareBox b = {.axes = 2, .size = {outer, inner}};
  b.found_step[0] = b.expected_step[0] = (ptrdiff_t)(size * inner), b.found_step[1] = b.expected_step[1] = 1;
  for (size_t j = 0; j < size; j++) {
    int nearest = nearest_key(expected, size, found[j].key);
    b.found_from = j * inner;
    b.expected_from = j * inner;
    order[j] = (int)j;
    if (compare_like(l, &b)) continue;
    b.expected_from = (size_t)nearest * inner;
    order[j] = compare_like(l, &b) ? nearest : found[j].zeros ? COMPARE_ZEROS : COMPARE_NONE;
  }
}

void compare_marks(const Likeness *l, int axes, const size_t *size, bool *const *off)
{
  double found[PART], expected[PART];
  size_t n = 1;
  for (int i = 0; i < axes; i++) n *= size[i];
  check_count(l, n);
  for (size_t at = 0, m; at < n; at += m) {
    rwkv_poll();
    m = least(n - at, PART);
    l->found.read(l->found.from, at, m, found);
    l->expected.read(l->expected.from, at, m, expected);
    for (size_t i = 0; i < m; i++) {
      if (compare_error(found[i], expected[i], l->scale) <= l->tol) continue;
      for (size_t left = at + i, axis = (size_t)axes; axis-- > 0; left /= size[axis])
        off[axis][left % size[axis]] = true;
    }
  }
}
