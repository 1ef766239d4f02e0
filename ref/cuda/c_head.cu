/* The head with its loss. As many positions at a time as there is room for: their logits become the gradient by them,
   where they stand, and give gx and their part of gw. */
#include "blas.h"
#include "largest.h"

/* Positions first .. first + n - 1: g [n,V] their logits, then (softmax - 1 at the target) / scored, or zeros where
   there is no target. loss: of each position. A team has a row. */
template <int TEAM>
KERNEL head_rows(HeadLoss op, real *g, acc *loss, const int *target, size_t first, size_t n, acc scored)
{
  size_t row = TEAM_ROW(TEAM), V = op.V, i = first + row;
  if (row >= n) return;
  real *x = g + row * V, sum = 0;
  Largest top = largest<TEAM>(x, V);
  TEAM_EACH(j, V, TEAM) sum += exp(x[j] - top.x);
  acc total = team_sum<TEAM>((acc)sum), log_sum = (acc)top.x + log(total);
  acc own = target[i] < 0 ? 0 : log_sum - (acc)x[target[i] < 0 ? 0 : target[i]];
  if (TEAM == WARP) __syncwarp();
  else __syncthreads(); /* everybody has read the target's logit */
  if (threadIdx.x % TEAM == 0) op.best[i] = (int)top.at, op.largest[i] = top.x, loss[i] = own;
  real by = (real)(1 / scored);
  TEAM_EACH(j, V, TEAM) x[j] = target[i] < 0 ? 0 : by * (exp(less(x[j], log_sum)) - (real)((size_t)target[i] == j));
}

/* The mean over the scored rows, by one block. */
KERNEL mean_of(real *mean, const acc *loss, size_t rows, size_t scored)
{
  acc total = 0;
  for (size_t i = threadIdx.x; i < rows; i += blockDim.x) total += loss[i];
  total = block_sum(total);
  if (threadIdx.x == 0) mean[0] = (real)(scored ? total / (acc)scored : 0);
}

void c_head_loss(const HeadLoss *op)
{
  size_t rows = op->rows, C = op->C, V = op->V, scored = k_scored(op->target, rows);
  size_t most = smaller(rows, larger(1, PRODUCT_ROOM / (V * sizeof(real))));
  const int *target = device_index(op->target, rows);
  acc *loss = (acc *)device_scratch(rows * sizeof *loss);
  real *g = (real *)device_scratch(most * V * sizeof *g);
  for (size_t first = 0, n; first < rows; first += n) {
    Product y = {}, gx = {}, gw = {};
    n = smaller(most, rows - first);
    y.C = g, y.A = op->x + first * C, y.B = op->w, y.B_is_turned = true, y.M = n, y.N = V, y.K = C;
    gx.C = op->gx + first * C, gx.A = g, gx.B = op->w, gx.M = n, gx.N = C, gx.K = V;
    gw.C = op->gw, gw.A = g, gw.A_is_turned = true, gw.B = op->x + first * C, gw.add = first > 0;
    gw.M = V, gw.N = C, gw.K = n;
    y.factors = gx.factors = gw.factors = op->factors;
    product(&y);
    TEAM_LAUNCH(head_rows, n, V, *op, g, loss, target, first, n, (acc)larger(scored, 1));
    if (op->gx) product(&gx);
    if (op->gw) product(&gw);
  }
  LAUNCH(mean_of, 1, BLOCK, 0, op->loss, loss, rows, scored);
}

/* ---- backward ---- */

/* l2wrap's part by the largest logit of position i */
DEVICE real by_largest(const HeadLossBackward &op, const int *target, size_t i, acc scored)
{
  return target[i] < 0 ? 0 : (real)(op.l2wrap * (acc)op.forward.largest[i] / scored);
}

/* gx [rows,C]: a thread for each number. */
KERNEL head_back(HeadLossBackward op, const int *target, acc scored)
{
  const HeadLoss &f = op.forward;
  EACH(n, f.rows * f.C) {
    size_t i = n / f.C;
    real by = op.l2wrap > 0 ? by_largest(op, target, i, scored) : 0;
    op.gx[n] += op.g[0] * f.gx[n] + (by != 0 ? by * f.w[(size_t)f.best[i] * f.C + n % f.C] : 0);
  }
}

KERNEL weights_back(HeadLossBackward op)
{
  EACH(n, op.forward.V * op.forward.C) op.gw[n] += op.g[0] * op.forward.gw[n];
}

/* Rows of gw may meet: a thread has a column, and adds to it in the order of the positions. */
KERNEL largest_back(HeadLossBackward op, const int *target, acc scored)
{
  const HeadLoss &f = op.forward;
  EACH(c, f.C)
    for (size_t i = 0; i < f.rows; i++)
      op.gw[(size_t)f.best[i] * f.C + c] += by_largest(op, target, i, scored) * f.x[i * f.C + c];
}

void c_head_loss_backward(const HeadLossBackward *op)
{
  const HeadLoss *f = &op->forward;
  if (!f->rows || !f->C) return;
  const int *target = device_index(f->target, f->rows);
  acc scored = (acc)larger(k_scored(f->target, f->rows), 1);
  if (op->gx) LAUNCH(head_back, BLOCKS_FOR(f->rows * f->C), BLOCK, 0, *op, target, scored);
  if (!op->gw) return;
  LAUNCH(weights_back, BLOCKS_FOR(f->V * f->C), BLOCK, 0, *op);
  if (op->l2wrap > 0) LAUNCH(largest_back, BLOCKS_FOR(f->C), BLOCK, 0, *op, target, scored);
}
