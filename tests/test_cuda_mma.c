/* Products by warps, as the processor makes them (cuda/mma_on_host.h), against loops. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SIDE = 16, SIZE = SIDE * SIDE, MATRICES = 3 };
enum { BY_ROWS, B_BY_COLUMNS, C_TURNED, TF32 };

void mma_case(int way, float *C, const float *A, const float *B);

/* To a mantissa of so many bits, 1 included. */
static float rounded(double x, int bits)
{
  int e;
  double m = frexp(x, &e);
  return (float)ldexp(rint(ldexp(m, bits)), e - bits);
}

static double factor(const float *M, int row, int column, int bits) { return rounded(M[row * SIDE + column], bits); }

static void check_way(void **state)
{
  int way = *(int *)*state, bits = way == TF32 ? 11 : 8;
  static float A[MATRICES * SIZE], B[MATRICES * SIZE], C[MATRICES * SIZE];
  static double want[MATRICES * SIZE], got[MATRICES * SIZE];
  Rng rng = rng_new(5, 7);
  for (int i = 0; i < MATRICES * SIZE; i++)
    A[i] = (float)rng_normal(&rng), B[i] = (float)rng_normal(&rng), C[i] = (float)rng_normal(&rng);
  for (int m = 0; m < MATRICES; m++)
    for (int i = 0; i < SIDE; i++)
      for (int j = 0; j < SIDE; j++) {
        const float *a = A + m * SIZE, *b = B + m * SIZE;
        double sum = 0;
        for (int k = 0; k < SIDE; k++)
          sum += factor(a, i, k, bits) * (way == B_BY_COLUMNS ? factor(b, j, k, bits) : factor(b, k, j, bits));
        want[m * SIZE + (way == C_TURNED ? j * SIDE + i : i * SIDE + j)] = way == TF32
                                                                               ? 2 * sum
                                                                               : sum +
                                                                                     (double)C[m * SIZE + i * SIDE + j];
      }
  mma_case(way, C, A, B);
  for (int i = 0; i < MATRICES * SIZE; i++) got[i] = C[i];
  for (int i = 0; i < MATRICES * SIZE; i++)
    if (!(fabs(got[i] - want[i]) < 1e-5)) fail_msg("way %d, element %d: %g, expected %g", way, i, got[i], want[i]);
}

int main(void)
{
  static int ways[] = {BY_ROWS, B_BY_COLUMNS, C_TURNED, TF32};
  const struct CMUnitTest tests[] = {
      {.name = "bf16", .test_func = check_way, .initial_state = &ways[BY_ROWS]},
      {.name = "bf16, the second factor by columns", .test_func = check_way, .initial_state = &ways[B_BY_COLUMNS]},
      {.name = "bf16, the product stored by columns", .test_func = check_way, .initial_state = &ways[C_TURNED]},
      {.name = "tf32, and numbers of a fragment", .test_func = check_way, .initial_state = &ways[TF32]},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
