#include "f_round.h"

#include <string.h>

#ifdef AVIARY_DOUBLE
void fast_round_in_real(real *out, const real *x, size_t step, size_t rows, size_t n)
{
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < n; j++) out[i * n + j] = packed_bf16(x[i * step + j]);
}
#else
/* What is cut off decides, half of a step together with the last digit that stays; a NaN stays one. */
INLINE uint32_t rounded(float x)
{
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  uint32_t near = u + 0x7fff + (u >> 16 & 1);
  return (u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : near;
}

JOB void fast_round(uint16_t *restrict out, const real *restrict x, size_t step, size_t rows, size_t n)
{
  for (size_t i = 0; i < rows; i++) {
    SIMD
    for (size_t j = 0; j < n; j++) out[i * n + j] = (uint16_t)(rounded(x[i * step + j]) >> 16);
  }
}

JOB void fast_round_in_real(real *restrict out, const real *restrict x, size_t step, size_t rows, size_t n)
{
  for (size_t i = 0; i < rows; i++) {
    SIMD
    for (size_t j = 0; j < n; j++) {
      uint32_t u = rounded(x[i * step + j]) & 0xffff0000;
      memcpy(&out[i * n + j], &u, sizeof u);
    }
  }
}
#endif
