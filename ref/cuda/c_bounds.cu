/* Whether all numbers are finite and in a range. */
#include "device.h"

/* The smallest of the block's threads; all of them get it. */
DEVICE size_t block_min(size_t x)
{
  SHARED(size_t, part, [WARP]);
  for (int other = WARP / 2; other; other /= 2) x = smaller(x, __shfl_xor_sync(0xffffffffu, x, other));
  if (threadIdx.x % WARP == 0) part[threadIdx.x / WARP] = x;
  __syncthreads();
  for (unsigned w = 0; w < blockDim.x / WARP; w++) x = smaller(x, part[w]);
  return x;
}

DEVICE bool is_right(const Bounds &op, acc x)
{
  if (x != x) return op.rule & ALSO_NAN;
  if (!(x >= op.low && x <= op.high)) return false;
  if (x - x != 0 && !(op.rule & ALSO_INFINITE)) return false; /* an infinity without itself is NaN */
  return !(op.rule & ONLY_ENDS) || x == op.low || x == op.high;
}

DEVICE void tell(const Bounds &op, size_t first)
{
  op.found[0] = first < op.n ? (acc)first : -1;
  op.found[1] = first < op.n ? (acc)op.x[first] : 0;
}

/* first[block] = the first bad one of those that the block looks at, or n: a thread goes through them upwards, and
   stops there. One block alone tells it at once. */
KERNEL bounds_first(Bounds op, size_t *first)
{
  size_t mine = op.n;
  EACH(i, op.n) {
    if (is_right(op, (acc)op.x[i])) continue;
    mine = i;
    break;
  }
  mine = block_min(mine);
  if (threadIdx.x) return;
  if (gridDim.x == 1) tell(op, mine);
  else first[blockIdx.x] = mine;
}

/* The smallest of all blocks. */
KERNEL bounds_tell(Bounds op, const size_t *first, size_t blocks)
{
  size_t mine = op.n;
  for (size_t i = threadIdx.x; i < blocks; i += blockDim.x) mine = smaller(mine, first[i]);
  mine = block_min(mine);
  if (!threadIdx.x) tell(op, mine);
}

void c_bounds(const Bounds *op)
{
  enum { A_BLOCK = 16 * BLOCK, MOST = 1024 };
  size_t blocks = smaller(larger(pieces(op->n, A_BLOCK), 1), MOST);
  size_t *first = (size_t *)device_scratch(blocks * sizeof *first);
  LAUNCH(bounds_first, (unsigned)blocks, BLOCK, 0, *op, first);
  if (blocks > 1) LAUNCH(bounds_tell, 1, BLOCK, 0, *op, first, blocks);
}
