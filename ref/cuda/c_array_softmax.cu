/* Softmax of each row, and its way back. */
#include "device.h"

enum { SHORT_ROW = 1024 }; /* a warp has a row; a longer one has a block */

template <int LANES, class T> DEVICE T row_sum(T x) { return LANES == WARP ? warp_sum(x) : block_sum(x); }
template <int LANES> DEVICE real row_max(real x) { return LANES == WARP ? warp_max(x) : block_max(x); }

/* y[j] = exp(x[j] - top) / sum; LANES threads have a row, each every LANES-th number. A NaN makes top, and so all of
   the row, NaN. */
template <int LANES> KERNEL softmax(Softmax op)
{
  size_t row = blockIdx.x * (size_t)(BLOCK / LANES) + threadIdx.x / LANES, lane = threadIdx.x % LANES;
  if (row >= op.rows) return;
  const real *x = op.x + row * op.n;
  real *y = op.y + row * op.n;
  real top = x[0], sum = 0;
  for (size_t j = lane; j < op.n; j += LANES) {
    real v = x[j];
    top = v > top || v != v ? v : top;
  }
  top = row_max<LANES>(top);
  for (size_t j = lane; j < op.n; j += LANES) sum += exp(x[j] - top);
  sum = row_sum<LANES>(sum);
  for (size_t j = lane; j < op.n; j += LANES) y[j] = exp(x[j] - top) / sum;
}

/* gx[j] += y[j] (g[j] - sum of y g). The difference may be much less than both, so the sum is in double. */
template <int LANES> KERNEL softmax_backward(SoftmaxBackward op)
{
  size_t n = op.forward.n, lane = threadIdx.x % LANES;
  size_t row = blockIdx.x * (size_t)(BLOCK / LANES) + threadIdx.x / LANES;
  if (row >= op.forward.rows) return;
  const real *g = op.g + row * n, *y = op.forward.y + row * n;
  real *gx = op.gx + row * n;
  acc along = 0;
  for (size_t j = lane; j < n; j += LANES) along += (acc)y[j] * (acc)g[j];
  along = row_sum<LANES>(along);
  for (size_t j = lane; j < n; j += LANES) gx[j] += y[j] * (real)((acc)g[j] - along);
}

void c_softmax(const Softmax *op)
{
  if (!op->rows || !op->n) return;
  if (op->n <= SHORT_ROW) LAUNCH(softmax<WARP>, (unsigned)pieces(op->rows, BLOCK / WARP), BLOCK, 0, *op);
  else LAUNCH(softmax<BLOCK>, (unsigned)op->rows, BLOCK, 0, *op);
}

void c_softmax_backward(const SoftmaxBackward *op)
{
  const Softmax *f = &op->forward;
  if (!f->rows || !f->n || !op->gx) return;
  if (f->n <= SHORT_ROW) LAUNCH(softmax_backward<WARP>, (unsigned)pieces(f->rows, BLOCK / WARP), BLOCK, 0, *op);
  else LAUNCH(softmax_backward<BLOCK>, (unsigned)f->rows, BLOCK, 0, *op);
}
