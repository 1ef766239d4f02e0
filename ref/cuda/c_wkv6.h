/* What the kernels of RWKV-5's and RWKV-6's recurrence (ref/wkv6.c) share. */
#ifndef AVIARY_C_WKV6_H
#define AVIARY_C_WKV6_H

#include "blas.h"
#include "registers.h"

/* Of a block: its sequence and head. */
struct Head {
  size_t b, h, bh;
};
DEVICE Head head_of(size_t bh, size_t H)
{
  Head head = {bh / H, bh % H, bh};
  return head;
}

/* Where token t of a head begins in [B,T,H,N], and its log-decay. */
DEVICE size_t token_at(const Wkv6 &op, const Head &head, size_t t)
{
  return ((head.b * op.T + t) * op.H + head.h) * op.N;
}
DEVICE const real *decay_at(const Wkv6 &op, const Head &head, size_t t)
{
  return op.w + (op.decay_rows == 1 ? head.h * op.N : token_at(op, head, t));
}

DEVICE size_t kept_state(const Wkv6 &op, const Head &head, size_t segment)
{
  return (head.bh * pieces(op.T, WKV_SEGMENT) + segment) * op.N * op.N;
}

/* out[n] = the sum of term(n, j) over j < count, for the tokens n of a segment: by the first 16 LANES threads, LANES a
   token; they are whole warps. */
template <int LANES, class Term> DEVICE void sums_of_tokens(real *out, int count, Term term)
{
  int n = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
  if (n >= WKV_SEGMENT) return;
  real sum = 0;
  for (int j = lane; j < count; j += LANES) sum += term(n, j);
  for (int other = LANES / 2; other; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
  if (!lane) out[n] = sum;
}

/* gu, and gw where all tokens have one decay, are sums over sequences too: room [B,2,H,N] for those of each, NULL where
   neither is asked for; and what adds them up, in the order of the sequences. */
acc *wkv6_parts(const Wkv6Backward *op);
void wkv6_add_parts(const Wkv6Backward *op, const acc *part);

/* By chunks of tokens, with products on tensor cores (c_wkv6_chunks.cu): false where this N has no such kernel. In FULL
   they are loops, for tests. */
extern "C" bool wkv6_chunks(const Wkv6 *op, ProductsIn in);
extern "C" bool wkv6_chunks_backward(const Wkv6Backward *op, ProductsIn in);

#endif
