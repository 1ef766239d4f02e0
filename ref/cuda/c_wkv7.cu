/* The recurrence of RWKV-7, forward (ref/wkv7.c has the formulas). A block has rows of one head of one sequence, all
   of them up to N = 64; a thread has R rows of E numbers in registers, P lanes a row (c_wkv7.h). The vectors of up to
   16 tokens come through shared memory, the decay as e^w; between them no thread waits for another, but for the sums
   of S a and S r over P lanes. Reads r w k v a b once for each block of rows, writes y, and the state before every
   segment. */
#include "c_wkv7_chunks.h"

template <int P, int E, int R> KERNEL wkv7_rows(Wkv7 op, RowLaunch l)
{
  enum { M = P * E };
  DYNAMIC_SHARED(real, keys);           /* [tokens, KEYS, M] */
  real *v = keys + l.tokens * KEYS * M; /* [tokens, rows] */
  size_t T = op.T, H = op.H, N = op.N, bh = blockIdx.x / l.blocks, row0 = blockIdx.x % l.blocks * l.rows;
  size_t at = (bh / H * T * H + bh % H) * N;
  unsigned lane = threadIdx.x % P, mine = threadIdx.x / P * R;
  TokenVectors from = {{op.r, op.w, op.k, op.a, op.b}, op.v, H * N, N};
  real S[R][E];
  rows_load<P, E, R>(S, op.S0 + bh * N * N, row0 + mine, lane, N);
  for (size_t t0 = 0; t0 < T; t0 += l.tokens) {
    unsigned count = (unsigned)smaller(l.tokens, T - t0);
    __syncthreads();
    tokens_load<M>(keys, v, &from, at + t0 * H * N, count, row0, l.rows);
    __syncthreads();
    for (unsigned t = 0; t < count; t++) {
      if (op.segments && (t0 + t) % WKV_SEGMENT == 0)
        rows_store<P, E, R>(op.segments + (bh * pieces(T, WKV_SEGMENT) + (t0 + t) / WKV_SEGMENT) * N * N, S,
                            row0 + mine, lane, N);
      real y[R], vs[R];
      UNROLL
      for (int r = 0; r < R; r++) vs[r] = v[t * l.rows + mine + (unsigned)r];
      rows_step<P, E, R>(S, y, keys + t * KEYS * M, vs, lane);
      rows_times<P, E, R>(y, S, keys + (t * KEYS + KEY_R) * M, lane);
      UNROLL
      for (int r = 0; r < R; r++)
        if (lane == 0 && row0 + mine + (size_t)r < N) op.y[at + (t0 + t) * H * N + row0 + mine + (size_t)r] = y[r];
    }
  }
  rows_store<P, E, R>(op.S1 + bh * N * N, S, row0 + mine, lane, N);
}

#define SIZE(most, P, E, R)                                           \
  if (N <= most) {                                                    \
    RowLaunch l = row_launch(N, P, E, R);                             \
    unsigned blocks = (unsigned)(op->B * op->H) * l.blocks;           \
    LAUNCH((wkv7_rows<P, E, R>), blocks, l.threads, l.bytes, *op, l); \
    return;                                                           \
  }

void c_wkv7(const Wkv7 *op)
{
  size_t N = op->N;
  if (!op->B || !op->H || !N) return;
  if (wkv7_in_chunks(op->T) && wkv7_chunks(op, products_in)) return;
  WKV7_SIZES(SIZE)
  device_fail("wkv7: a head of %zu: expected 2048 at most", N);
}
