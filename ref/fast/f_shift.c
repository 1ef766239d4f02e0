/* The time shift. */
#include "f_job.h"

#include <string.h>

static void shift(const void *arg, size_t from, size_t to)
{
  const Shift *q = arg;
  size_t C = q->C, all = q->T * C;
  for (size_t b = from; b < to; b++) {
    memcpy(q->prev + b * all, q->carry + b * C, C * sizeof(real));
    memcpy(q->prev + b * all + C, q->x + b * all, (all - C) * sizeof(real));
  }
}

static size_t shift_grain(const Shift *q) { return pieces(LIGHT, at_least_1(q->T * q->C)); }

void f_shift(const Shift *q)
{
  if (q->T > 0) RUN(shift, q, q->B, shift_grain(q), shift, *q);
}

JOB static void shift_back(const void *arg, size_t from, size_t to)
{
  const ShiftBackward *q = arg;
  size_t C = q->forward.C, all = q->forward.T * C;
  for (size_t b = from; b < to; b++) {
    if (q->gcarry) fast_add(q->gcarry + b * C, q->g + b * all, C);
    if (q->gx) fast_add(q->gx + b * all, q->g + b * all + C, all - C);
  }
}

void f_shift_backward(const ShiftBackward *q)
{
  if (q->forward.T > 0) RUN(shift_backward, q, q->forward.B, shift_grain(&q->forward), shift_back, *q);
}
