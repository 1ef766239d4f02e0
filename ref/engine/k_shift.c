/* The token shift: every position sees the row before it; the first one sees what was carried in. */
#include "kernels.h"

void k_shift(real *prev, const real *x, const real *carry, size_t B, size_t T, size_t C)
{
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++)
        prev[(b * T + t) * C + c] = t == 0 ? carry[b * C + c] : x[(b * T + t - 1) * C + c];
}

void k_shift_backward(real *gx, real *gcarry, const real *g, size_t B, size_t T, size_t C)
{
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t c = 0; c < C; c++) {
        if (t > 0 && gx) gx[(b * T + t - 1) * C + c] += g[(b * T + t) * C + c];
        if (t == 0 && gcarry) gcarry[b * C + c] += g[(b * T + t) * C + c];
      }
}
