/* Sizes of operands that are broadcast. A module of a device has this file, too. */
#include "k_point.h"

size_t k_broadcast_size(const Broadcast *s)
{
  return (size_t)s->n[0] * (size_t)s->n[1] * (size_t)s->n[2] * (size_t)s->n[3];
}

size_t k_broadcast_held(const Broadcast *s, const size_t *step)
{
  size_t held = 1;
  for (int d = 0; d < 4; d++) held *= step[d] ? (size_t)s->n[d] : 1;
  return held;
}

static int first_axis(const Broadcast *s)
{
  int d = 0;
  while (d < 3 && s->n[d] == 1) d++;
  return d;
}

size_t k_broadcast_parts(const Broadcast *s) { return (size_t)s->n[first_axis(s)]; }
bool k_broadcast_in_parts(const Broadcast *s, const size_t *step) { return step[first_axis(s)] != 0; }
