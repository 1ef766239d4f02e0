/* The optimiser's arithmetic. */
#include "device.h"

#include <float.h>

/* Adamw as the kernel takes it: in `real`, and what is the same for all numbers worked out. */
typedef struct {
  real *p, *m, *v;
  const real *g;
  real scale, lr, beta1, rest1, beta2, rest2, eps, decay, unbias1, unbias2;
  size_t n;
} Step;

/* Smaller than this eps would vanish beside nothing, and a parameter that nothing moves be 0 / 0. */
static real not_nothing(double eps)
{
#ifdef AVIARY_DOUBLE
  return eps;
#else
  return eps < (double)FLT_MIN ? FLT_MIN : (real)eps;
#endif
}

KERNEL adamw(Step s)
{
  EACH(i, s.n) {
    real g = s.scale * s.g[i], m = s.beta1 * s.m[i] + s.rest1 * g, v = s.beta2 * s.v[i] + s.rest2 * g * g;
    s.m[i] = m, s.v[i] = v;
    s.p[i] -= s.lr * (s.decay * s.p[i] + m / s.unbias1 / (sqrt(v / s.unbias2) + s.eps));
  }
}

void c_adamw(const Adamw *op)
{
  Step s = {op->p,
            op->m,
            op->v,
            op->g,
            (real)op->scale,
            (real)op->lr,
            (real)op->beta1,
            (real)(1 - op->beta1),
            (real)op->beta2,
            (real)(1 - op->beta2),
            not_nothing(op->eps),
            (real)op->decay,
            (real)op->unbias1,
            (real)op->unbias2,
            op->n};
  if (op->n) LAUNCH(adamw, BLOCKS_FOR(op->n), BLOCK, 0, s);
}

/* ---- sum += the squares of x ---- */

enum { SUMMED = 32 * BLOCK }; /* numbers of a block, at least */

/* part[b] = the squares of block b; one block alone adds them itself. In double: squares leave the range of float32
   early. */
KERNEL square_parts(acc *part, SumSquares op)
{
  acc sum = 0;
  EACH(i, op.n) sum += (acc)op.x[i] * (acc)op.x[i];
  sum = block_sum(sum);
  if (threadIdx.x) return;
  if (gridDim.x == 1) op.sum[0] += sum;
  else part[blockIdx.x] = sum;
}

KERNEL add_squares(acc *to, const acc *part, size_t parts)
{
  acc sum = 0;
  EACH(i, parts) sum += part[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) to[0] += sum;
}

void c_sum_squares(const SumSquares *op)
{
  enum { MOST = 512 };
  if (!op->n) return;
  size_t parts = smaller(MOST, pieces(op->n, SUMMED));
  acc *part = (acc *)device_scratch(parts * sizeof(acc));
  LAUNCH(square_parts, (unsigned)parts, BLOCK, 0, part, *op);
  if (parts > 1) LAUNCH(add_squares, 1, BLOCK, 0, op->sum, part, parts);
}
