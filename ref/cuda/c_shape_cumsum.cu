/* Running sums along one axis of [outer, size, inner], and their way back, which is the same from the other end. */
#include "reduce.h"
#include "walk.h"

/* to[o,s,i] = the sum of from[o,q,i] over q <= s; or, ADDS, it is added, over q >= s. k counts o and i, which is
   inside; r counts s in the order of the sum. */
struct Running {
  typedef real Value;
  real *to;
  const real *from;
  size_t size, inner;
  Divisor inners;
  bool adds;
  __device__ size_t place(size_t k, size_t r) const
  {
    return k + (quotient(k, inners) * (size - 1) + (adds ? size - 1 - r : r)) * inner;
  }
  __device__ real term(size_t k, size_t r) const { return from[place(k, r)]; }
  __device__ real had(size_t k, size_t r) const { return adds ? to[place(k, r)] : 0; }
  __device__ void store(size_t, real) const {}
};

/* A thread for each k and part of its terms, blockIdx.y: neighbours have neighbouring k. part [parts,K] has the sums of
   all parts; those before this one are where it begins. Some terms are read before the first sum is written. */
enum { AHEAD = 4 };
KERNEL cumsum_down(Running sum, const real *part, size_t K, size_t terms_a_part)
{
  size_t k = blockIdx.x * (size_t)blockDim.x + threadIdx.x, from = blockIdx.y * terms_a_part;
  size_t to = smaller(sum.size, from + terms_a_part);
  real before = 0;
  if (k >= K) return;
  for (size_t p = 0; p < blockIdx.y; p++) before += part[p * K + k];
  for (size_t r = from; r < to; r += AHEAD) {
    real term[AHEAD], had[AHEAD];
    for (int u = 0; u < AHEAD; u++) {
      bool in = r + u < to;
      term[u] = in ? sum.term(k, r + u) : 0, had[u] = in ? sum.had(k, r + u) : 0;
    }
    for (int u = 0; u < AHEAD; u++) {
      before += term[u];
      if (r + u < to) sum.to[sum.place(k, r + u)] = had[u] + before;
    }
  }
}

/* A warp for each k and part: lanes have neighbouring terms. */
KERNEL cumsum_along(Running sum, const real *part, size_t K, size_t terms_a_part)
{
  size_t k = blockIdx.x * (size_t)(BLOCK / WARP) + threadIdx.x / WARP, from = blockIdx.y * terms_a_part;
  size_t to = smaller(sum.size, from + terms_a_part);
  unsigned lane = threadIdx.x % WARP;
  real before = 0;
  if (k >= K) return;
  for (size_t p = lane; p < blockIdx.y; p += WARP) before += part[p * K + k];
  before = warp_sum(before);
  for (size_t r = from + lane; r < to + lane; r += WARP) { /* all lanes as often */
    real v = r < to ? sum.term(k, r) : 0;
    for (unsigned by = 1; by < WARP; by *= 2) {
      real lower = __shfl_up_sync(0xffffffffu, v, by);
      if (lane >= by) v += lower;
    }
    if (r < to) sum.to[sum.place(k, r)] = sum.had(k, r) + (before + v);
    before += __shfl_sync(0xffffffffu, v, WARP - 1);
  }
}

static void cumsum(Running sum, size_t K)
{
  enum { LEAST_ALONG = 1024, WARPS = 1 << 12, LEAST_DOWN = 64, THREADS = 1 << 17, MOST_PARTS = 512 };
  bool along = sum.inner == 1;
  size_t most = along ? smaller(pieces(sum.size, LEAST_ALONG), pieces(WARPS, K))
                      : smaller(pieces(sum.size, LEAST_DOWN), pieces(THREADS, K));
  size_t terms = pieces(sum.size, smaller(most, MOST_PARTS)), parts = pieces(sum.size, terms);
  real *part = NULL;
  if (parts > 1) {
    part = (real *)device_scratch(parts * K * sizeof(real));
    reduce_parts(sum, part, K, sum.size, parts, terms, along);
  }
  unsigned threads = (unsigned)(along ? (size_t)BLOCK : smaller(K, BLOCK));
  dim3 blocks((unsigned)pieces(K, along ? BLOCK / WARP : threads), (unsigned)parts);
  if (along) LAUNCH(cumsum_along, blocks, threads, 0, sum, part, K, terms);
  else LAUNCH(cumsum_down, blocks, threads, 0, sum, part, K, terms);
}

void c_cumsum(const Cumsum *op)
{
  size_t K = op->outer * op->inner;
  if (K && op->size) cumsum(Running{op->y, op->x, op->size, op->inner, divisor(op->inner), false}, K);
}

void c_cumsum_backward(const CumsumBackward *op)
{
  const Cumsum *f = &op->forward;
  size_t K = f->outer * f->inner;
  if (K && f->size && op->gx) cumsum(Running{op->gx, op->g, f->size, f->inner, divisor(f->inner), true}, K);
}
