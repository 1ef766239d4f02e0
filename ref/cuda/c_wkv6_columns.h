/* Columns of the state, a thread each, for c_wkv6.cu and c_wkv6_back.cu: what goes down a column needs no other thread.
   A block has a head of a sequence and COLUMNS values i; ROWS keys j of the state are in the thread's registers. Where
   there are more keys, all tokens are gone through once for every ROWS of them. */
#ifndef AVIARY_C_WKV6_COLUMNS_H
#define AVIARY_C_WKV6_COLUMNS_H

#include "c_wkv6.h"

/* Of the tokens of a segment, and of ROWS keys; 0 beyond the last key. Rows are a bit longer, so that tokens stand in
   different banks. */
template <int ROWS> struct Keys {
  Four r[WKV_SEGMENT][ROWS / 4 + 1], k[WKV_SEGMENT][ROWS / 4 + 1], decay[WKV_SEGMENT][ROWS / 4 + 1];
  real own[WKV_SEGMENT]; /* sum_j r_j u_j k_j: what token t's own pair gives */
};

/* All threads; what was read before has to be done with. */
template <int ROWS, int COLUMNS>
DEVICE void load_keys(Keys<ROWS> &keys, const Wkv6 &op, const Head &head, size_t from, int count, size_t j0)
{
  const real *u = op.u + head.h * op.N + j0;
  int rows = (int)smaller(ROWS, op.N - j0);
  for (int x = (int)threadIdx.x; x < WKV_SEGMENT * ROWS; x += COLUMNS) {
    int n = x / ROWS, j = x % ROWS;
    bool there = n < count && j < rows;
    size_t at = there ? token_at(op, head, from + (size_t)n) + j0 + (size_t)j : 0;
    keys.r[n][j / 4].x[j % 4] = there ? op.r[at] : 0;
    keys.k[n][j / 4].x[j % 4] = there ? op.k[at] : 0;
    keys.decay[n][j / 4].x[j % 4] = there ? exp(decay_at(op, head, from + (size_t)n)[j0 + (size_t)j]) : 0;
  }
  __syncthreads();
  sums_of_tokens<COLUMNS / WKV_SEGMENT>(
      keys.own, rows, [&](int n, int j) { return keys.r[n][j / 4].x[j % 4] * u[j] * keys.k[n][j / 4].x[j % 4]; });
  __syncthreads();
}

/* Rows j0.. of a column of S [N,N]: to registers (0 beyond the last row), and from them. */
template <int ROWS> DEVICE void load_column(real *column, const real *S, size_t N, size_t j0, size_t i)
{
  UNROLL
  for (int j = 0; j < ROWS; j++) column[j] = i < N && j0 + (size_t)j < N ? S[(j0 + (size_t)j) * N + i] : 0;
}
template <int ROWS, bool ADD> DEVICE void store_column(real *S, const real *column, size_t N, size_t j0, size_t i)
{
  if (i >= N) return;
  UNROLL
  for (int j = 0; j < ROWS; j++) {
    if (j0 + (size_t)j >= N) continue;
    real *to = S + (j0 + (size_t)j) * N + i;
    *to = ADD ? *to + column[j] : column[j];
  }
}

enum { MOST_ROWS = 64 };
/* kernel<ROWS, COLUMNS> for the sizes of op, a wkv6. */
#define LAUNCH_COLUMNS(kernel, forward, ...)                                     \
  do {                                                                           \
    const Wkv6 *f_ = forward;                                                    \
    size_t columns_ = f_->N <= 32 ? 32 : 64;                                     \
    dim3 blocks_((unsigned)(f_->B * f_->H), (unsigned)pieces(f_->N, columns_));  \
    if (f_->N <= 16) LAUNCH((kernel<16, 32>), blocks_, 32, 0, __VA_ARGS__);      \
    else if (f_->N <= 32) LAUNCH((kernel<32, 32>), blocks_, 32, 0, __VA_ARGS__); \
    else LAUNCH((kernel<MOST_ROWS, 64>), blocks_, 64, 0, __VA_ARGS__);           \
  } while (0)

#endif
