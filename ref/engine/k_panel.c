#include "k_panel.h"

/* Compiled once for each generation of processors; as nothing is fused and no sum reordered, the bits are the same. Not
   with the address sanitizer, which is not ready yet when the loader picks one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_PROCESSOR
#endif
/* Without it gcc keeps the sums in memory, at half the speed. */
#define UNROLLED _Pragma("GCC unroll 32")

/* Arguments, as gcc believes `restrict` of nothing else. */
EACH_PROCESSOR static void along(acc *restrict s, const acc *restrict x, const acc *restrict q, size_t stride,
                                 size_t rows, size_t n)
{
  for (size_t j = 0; j < rows; j++, q += stride, s += PANEL) {
    acc sum[PANEL];
    for (int c = 0; c < PANEL; c++) sum[c] = s[c];
    for (size_t i = 0; i < n; i++) UNROLLED for (int c = 0; c < PANEL; c++) sum[c] += q[i] * x[i * PANEL + c];
    for (int c = 0; c < PANEL; c++) s[c] = sum[c];
  }
}

/* Four rows at a time: x is brought and taken away once for them. */
EACH_PROCESSOR static void without_4(acc *restrict x, const acc *restrict s, const acc *restrict q, size_t stride,
                                     size_t n)
{
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < PANEL; c++)
      x[i * PANEL + c] -= q[i] * s[c] + q[i + stride] * s[PANEL + c] + q[i + 2 * stride] * s[2 * PANEL + c] +
                          q[i + 3 * stride] * s[3 * PANEL + c];
}

EACH_PROCESSOR static void without_1(acc *restrict x, const acc *restrict s, const acc *restrict q, size_t n)
{
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < PANEL; c++) x[i * PANEL + c] -= q[i] * s[c];
}

void k_panel_along(const Panel *op) { along(op->s, op->x, op->q, op->stride, op->rows, op->n); }

void k_panel_without(const Panel *op)
{
  size_t j = 0;
  for (; j + 4 <= op->rows; j += 4) without_4(op->x, op->s + j * PANEL, op->q + j * op->stride, op->stride, op->n);
  for (; j < op->rows; j++) without_1(op->x, op->s + j * PANEL, op->q + j * op->stride, op->n);
}
