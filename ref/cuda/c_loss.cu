/* The loss, and the largest entry of a row. A team of threads (team.h) has a row. */
#include "largest.h"

#include <limits.h>

template <int TEAM> KERNEL argmax(Argmax op)
{
  size_t row = TEAM_ROW(TEAM);
  if (row >= op.rows) return;
  Largest best = largest<TEAM>(op.x + row * op.n, op.n);
  if (threadIdx.x % TEAM == 0) op.best[row] = (int)best.at;
}

void c_argmax(const Argmax *op)
{
  if (op->rows && op->n) TEAM_LAUNCH(argmax, op->rows, op->n, *op);
}

/* ---- cross-entropy ---- */

/* log_sum of a row, read once: a thread keeps the largest x that it has seen, and the sum of exp(x - largest). */
template <int TEAM> KERNEL log_sums(CrossEntropy op)
{
  size_t row = TEAM_ROW(TEAM);
  if (row >= op.rows) return;
  const real *x = op.logits + row * op.V;
  real top = -INFINITY, sum = 0;
  TEAM_EACH(j, op.V, TEAM)
  {
    if (x[j] > top) {
      sum = sum * exp(top - x[j]) + 1;
      top = x[j];
    } else sum += x[j] == top ? 1 : exp(x[j] - top);
  }
  real all = team_max<TEAM>(top);
  acc total = team_sum<TEAM>((acc)sum * exp((acc)top - (acc)all));
  if (threadIdx.x % TEAM == 0) op.log_sum[row] = (acc)all + log(total);
}

/* The mean over the scored rows, by one block. */
KERNEL mean_loss(CrossEntropy op, const int *target, size_t scored)
{
  acc total = 0;
  for (size_t i = threadIdx.x; i < op.rows; i += blockDim.x)
    if (target[i] >= 0) total += op.log_sum[i] - (acc)op.logits[i * op.V + (size_t)target[i]];
  total = block_sum(total);
  if (threadIdx.x == 0) op.loss[0] = (real)(scored ? total / (acc)scored : 0);
}

void c_cross_entropy(const CrossEntropy *op)
{
  enum { MOST = 1024 };
  const int *target = device_index(op->target, op->rows);
  size_t threads = smaller(MOST, larger(1, pieces(op->rows, WARP)) * WARP);
  if (op->rows) TEAM_LAUNCH(log_sums, op->rows, op->V, *op);
  LAUNCH(mean_loss, 1, (unsigned)threads, 0, *op, target, k_scored(op->target, op->rows));
}

/* glogits += g (softmax - 1 at the target) / scored, of scored rows; with l2wrap, that much of the largest is added to
   it. */
template <int TEAM> KERNEL cross_entropy_back(CrossEntropyBackward op, const int *target, acc scored)
{
  const CrossEntropy *f = &op.forward;
  size_t row = TEAM_ROW(TEAM), V = f->V;
  if (row >= f->rows || target[row] < 0) return;
  const real *x = f->logits + row * V;
  real *gx = op.glogits + row * V, by = (real)((acc)op.g[0] / scored);
  acc log_sum = f->log_sum[row];
  TEAM_EACH(j, V, TEAM) gx[j] += by * (exp(less(x[j], log_sum)) - (real)((size_t)target[row] == j));
  if (!(op.l2wrap > 0)) return;
  Largest m = largest<TEAM>(x, V);
  if (m.at % TEAM == threadIdx.x % TEAM) gx[m.at] += (real)(op.l2wrap * (acc)m.x / scored);
}

void c_cross_entropy_backward(const CrossEntropyBackward *op)
{
  const CrossEntropy *f = &op->forward;
  size_t scored = k_scored(f->target, f->rows);
  if (!scored) return;
  const int *target = device_index(f->target, f->rows);
  TEAM_LAUNCH(cross_entropy_back, f->rows, f->V, *op, target, (acc)scored);
}
