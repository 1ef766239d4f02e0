/* The token shift: every position sees the row before it; the first one sees what was carried in. */
#include "k_shift.h"

void k_shift(const Shift *op)
{
  size_t T = op->T, C = op->C;
  for (size_t b = 0; b < op->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++)
        op->prev[(b * T + t) * C + c] = t == 0 ? op->carry[b * C + c] : op->x[(b * T + t - 1) * C + c];
}

void k_shift_backward(const ShiftBackward *op)
{
  const Shift *f = &op->forward;
  size_t T = f->T, C = f->C;
  for (size_t b = 0; b < f->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++) {
        if (t > 0 && op->gx) op->gx[(b * T + t - 1) * C + c] += op->g[(b * T + t) * C + c];
        if (t == 0 && op->gcarry) op->gcarry[b * C + c] += op->g[(b * T + t) * C + c];
      }
}
