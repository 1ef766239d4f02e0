/* The optimiser's arithmetic: what there is to do for each parameter comes in a row, and is done together. */
#include "many.h"
#include "open.h"

#include <float.h>

/* ---- AdamW ---- */

/* Adamw as the kernel takes it: in `real`, and what is the same for all numbers worked out. */
typedef struct {
  real *p, *m, *v;
  const real *g;
  real scale, lr, beta1, rest1, beta2, rest2, eps, decay, unbias1, unbias2;
  size_t n;
} Step;
static Many<Step> steps;

/* Smaller than this eps would vanish beside nothing, and a parameter that nothing moves be 0 / 0. */
static real not_nothing(double eps)
{
#ifdef AVIARY_DOUBLE
  return eps;
#else
  return eps < (double)FLT_MIN ? FLT_MIN : (real)eps;
#endif
}

KERNEL adamw(const __grid_constant__ Many<Step> all)
{
  int k = many_part(all);
  const Step &s = all.part[k];
  MANY_EACH(i, all, k)
  {
    real g = s.scale * s.g[i], m = s.beta1 * s.m[i] + s.rest1 * g, v = s.beta2 * s.v[i] + s.rest2 * g * g;
    s.m[i] = m, s.v[i] = v;
    s.p[i] -= s.lr * (s.decay * s.p[i] + m / s.unbias1 / (sqrt(v / s.unbias2) + s.eps));
  }
}

static void run_all_steps(void)
{
  unsigned blocks = many_blocks(&steps);
  if (blocks) LAUNCH(adamw, blocks, BLOCK, 0, steps);
}

void c_adamw(const Adamw *op)
{
  device_later(run_all_steps);
  for (int k = 0; k < steps.count; k++)
    if (steps.part[k].p == op->p) run_all_steps(); /* a second step of the same numbers comes after the first one */
  Step s = {};
  s.p = op->p, s.m = op->m, s.v = op->v, s.g = op->g, s.n = op->n;
  s.scale = (real)op->scale, s.lr = (real)op->lr, s.eps = not_nothing(op->eps), s.decay = (real)op->decay;
  s.beta1 = (real)op->beta1, s.rest1 = (real)(1 - op->beta1), s.unbias1 = (real)op->unbias1;
  s.beta2 = (real)op->beta2, s.rest2 = (real)(1 - op->beta2), s.unbias2 = (real)op->unbias2;
  many_add(&steps, s);
  if (many_is_full(&steps)) device_now();
}

/* ---- sum += the squares of x ---- */

typedef struct {
  const real *x;
  size_t n;
} Squared;
static Many<Squared> squared;
static acc *squares; /* what all of them are added to */

/* part[b] = the squares of block b; one block alone adds them itself. In double: squares leave the range of float32
   early. */
KERNEL square_parts(acc *to, acc *part, const __grid_constant__ Many<Squared> m)
{
  int k = many_part(m);
  acc sum = 0;
  MANY_EACH(i, m, k) sum += (acc)m.part[k].x[i] * (acc)m.part[k].x[i];
  sum = block_sum(sum);
  if (threadIdx.x) return;
  if (gridDim.x == 1) to[0] += sum;
  else part[blockIdx.x] = sum;
}

KERNEL add_squares(acc *to, const acc *part, size_t parts)
{
  acc sum = 0;
  EACH(i, parts) sum += part[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) to[0] += sum;
}

static void run_all_squares(void)
{
  unsigned parts = many_blocks(&squared);
  if (!parts) return;
  acc *part = (acc *)device_scratch(parts * sizeof(acc));
  LAUNCH(square_parts, parts, BLOCK, 0, squares, part, squared);
  if (parts > 1) LAUNCH(add_squares, 1, BLOCK, 0, squares, part, (size_t)parts);
}

void c_sum_squares(const SumSquares *op)
{
  device_later(run_all_squares);
  if (squares != op->sum) run_all_squares();
  squares = op->sum;
  many_add(&squared, Squared{op->x, op->n});
  if (many_is_full(&squared)) device_now();
}
