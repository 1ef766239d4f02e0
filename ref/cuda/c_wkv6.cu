/* The recurrence of RWKV-5 and RWKV-6, as it stands in ref/wkv6.c, token by token:

     y_t = r' (S_{t-1} + diag(u) k v')
     S_t = diag(e^w) S_{t-1} + k v'

   A thread has a column i of S: it needs v_i alone, and r, k, e^w of all keys, which the block shares. It reads r,
   w, k, v once for each 64 keys and each 64 values, writes y, and holds S in registers: 4 instructions a token and
   number of the state. */
#include "c_wkv6_columns.h"

template <int ROWS, int COLUMNS> KERNEL __launch_bounds__(COLUMNS, sizeof(real) == 4 ? 6 : 2) wkv6_forward(Wkv6 op)
{
  SHARED(Keys<ROWS>, shared, [1]);
  SHARED(real, v, [WKV_SEGMENT][COLUMNS]);
  Keys<ROWS> &keys = shared[0];
  Head head = head_of(blockIdx.x, op.H);
  size_t N = op.N, i = blockIdx.y * (size_t)COLUMNS + threadIdx.x;
  for (size_t j0 = 0; j0 < N; j0 += ROWS) {
    real S[ROWS];
    load_column<ROWS>(S, op.S0 + head.bh * N * N, N, j0, i);
    NO_UNROLL
    for (size_t from = 0; from < op.T; from += WKV_SEGMENT) {
      int count = (int)smaller(WKV_SEGMENT, op.T - from);
      real *y = op.y + token_at(op, head, from) + i;
      if (op.segments) store_column<ROWS, false>(op.segments + kept_state(op, head, from / WKV_SEGMENT), S, N, j0, i);
      UNROLL
      for (int n = 0; n < WKV_SEGMENT; n++)
        v[n][threadIdx.x] = i < N && n < count ? op.v[token_at(op, head, from + (size_t)n) + i] : 0;
      load_keys<ROWS, COLUMNS>(keys, op, head, from, count, j0);
      NO_UNROLL
      for (int n = 0; n < count; n++) {
        Four sum = {};
        real vi = v[n][threadIdx.x];
        UNROLL
        for (int q = 0; q < ROWS / 4; q++) {
          Four r = keys.r[n][q], k = keys.k[n][q], e = keys.decay[n][q];
          UNROLL
          for (int x = 0; x < 4; x++) {
            sum.x[x] += r.x[x] * S[4 * q + x];
            S[4 * q + x] = e.x[x] * S[4 * q + x] + k.x[x] * vi;
          }
        }
        real all = (sum.x[0] + sum.x[1]) + (sum.x[2] + sum.x[3]) + keys.own[n] * vi;
        real *to = y + (size_t)n * op.H * N;
        if (i < N) *to = j0 ? *to + all : all;
      }
      __syncthreads(); /* all have read the keys */
    }
    store_column<ROWS, false>(op.S1 + head.bh * N * N, S, N, j0, i);
  }
}

void c_wkv6(const Wkv6 *op)
{
  if (!op->B || !op->H || !op->N) return;
  if (products_in == PRODUCTS_BF16 && wkv6_chunks(op, products_in)) return;
  LAUNCH_COLUMNS(wkv6_forward, op, *op);
}
