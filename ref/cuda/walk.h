/* Where number i of an array stands in others that have the same axes: permuted, broadcast, or sliced ones. */
#ifndef AVIARY_CUDA_WALK_H
#define AVIARY_CUDA_WALK_H

#include "device.h"

/* Division by a number that only the host knows: a 64-bit division takes a device longer than reading memory, so what
   is below 2^31 is divided by a product and a shift. With 2^shift >= by > 2^(shift-1) and magic = floor(2^32 (2^shift
   - by) / by) + 1,  n / by = (n + floor(n magic / 2^32)) / 2^shift. */
typedef struct {
  size_t by;
  unsigned magic, shift;
} Divisor;

static Divisor divisor(size_t by) /* by > 0 */
{
  Divisor d = {by, 0, 31};
  if (by >> 31) return d; /* n below 2^31 gives 0 */
  for (d.shift = 0; (size_t)1 << d.shift < by;) d.shift++;
  d.magic = (unsigned)(((((uint64_t)1 << d.shift) - by) << 32) / by + 1);
  return d;
}

DEVICE size_t quotient(size_t n, Divisor d)
{
  if (n >> 31) return n / d.by;
  unsigned low = (unsigned)n;
  return (low + (unsigned)((uint64_t)low * d.magic >> 32)) >> d.shift;
}

DEVICE size_t remainder_of(size_t n, Divisor d) { return n - quotient(n, d) * d.by; }

/* Axes from the innermost one outwards, and how far each of COUNT arrays moves along them. Those that are 1 long are
   left out, and neighbours that all arrays walk through as through one axis are one. */
template <int COUNT> struct Walk {
  int axes;
  Divisor n[4];
  size_t step[4][COUNT];
};
template <int COUNT> struct Place {
  size_t at[COUNT];
};

/* Adds an axis outside those that are there. */
template <int COUNT> static void walk_axis(Walk<COUNT> *w, size_t n, const size_t (&step)[COUNT])
{
  int last = w->axes - 1;
  if (n == 1) return;
  bool joins = last >= 0;
  for (int c = 0; joins && c < COUNT; c++) joins = step[c] == w->step[last][c] * w->n[last].by;
  if (joins) w->n[last] = divisor(w->n[last].by * n);
  else {
    w->n[w->axes] = divisor(n);
    for (int c = 0; c < COUNT; c++) w->step[w->axes][c] = step[c];
    w->axes++;
  }
}

template <int COUNT> static size_t walk_size(const Walk<COUNT> *w)
{
  size_t n = 1;
  for (int d = 0; d < w->axes; d++) n *= w->n[d].by;
  return n;
}

template <int COUNT> DEVICE Place<COUNT> place_of(const Walk<COUNT> &w, size_t i)
{
  Place<COUNT> p = {};
  for (int d = 0; d < 4; d++) {
    if (d >= w.axes) break;
    size_t outside = d + 1 < w.axes ? quotient(i, w.n[d]) : 0, along = i - outside * w.n[d].by;
    for (int c = 0; c < COUNT; c++) p.at[c] += along * w.step[d][c];
    i = outside;
  }
  return p;
}

#endif
