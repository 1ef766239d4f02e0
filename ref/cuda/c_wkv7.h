/* What the kernels of wkv7 share that give a thread rows of the state: R rows, of each E numbers; P lanes of a warp
   have the rows together. A row needs no other: S_t[i,:] = S_{t-1}[i,:] diag(e^w) + (S_{t-1} a)_i b' + v_i k', and of
   its gradient the same is true. So the rows of a head may be on several blocks, and between tokens nobody waits. */
#ifndef AVIARY_CUDA_WKV7_H
#define AVIARY_CUDA_WKV7_H

#include "registers.h"

extern "C" {
#include "../engine/k_segments.h"
#include "../engine/k_wkv.h"
}

/* Vectors of some tokens in shared memory: over keys M numbers each, 0 beyond N, and one over the block's rows. */
enum { KEY_R, KEY_DECAY, KEY_K, KEY_A, KEY_B, KEYS };
typedef struct {
  const real *key[KEYS]; /* [B,T,H,N], KEY_DECAY the log-decay; NULL: 0 */
  const real *row;       /* [B,T,H,N]; NULL: 0 */
  size_t step, N;        /* numbers from a token to the next, and of one */
} TokenVectors;

template <int M>
DEVICE void tokens_load(real *keys, real *rows, const TokenVectors *from, size_t at, unsigned count, size_t row0,
                        unsigned row_count)
{
  for (unsigned x = threadIdx.x; x < count * M; x += blockDim.x) {
    unsigned t = x / M, j = x % M;
    size_t i = at + t * from->step + j;
    bool there = j < from->N;
    real got[KEYS];
    UNROLL
    for (int n = 0; n < KEYS; n++) got[n] = there && from->key[n] ? from->key[n][i] : (real)0;
    got[KEY_DECAY] = exp(got[KEY_DECAY]);
    UNROLL
    for (int n = 0; n < KEYS; n++) keys[(t * KEYS + (unsigned)n) * M + j] = got[n];
  }
  for (unsigned x = threadIdx.x; x < count * row_count; x += blockDim.x) {
    unsigned t = x / row_count, i = x % row_count;
    rows[x] = from->row && row0 + i < from->N ? from->row[at + t * from->step + row0 + i] : (real)0;
  }
}

/* The e-th number of a lane stands in this column: four side by side, then those of the other lanes. */
template <int P> DEVICE unsigned column_of(unsigned lane, int e)
{
  return (unsigned)(e / 4 * P * 4 + e % 4) + lane * 4;
}

template <int P> DEVICE real lanes_sum(real x)
{
  UNROLL
  for (int other = P / 2; other; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
  return x;
}

template <int P, int E, int R>
DEVICE void rows_load(real (&S)[R][E], const real *from, size_t row, unsigned lane, size_t N)
{
  UNROLL
  for (int r = 0; r < R; r++) UNROLL
  for (int e = 0; e < E; e++) {
    size_t i = row + (size_t)r, j = column_of<P>(lane, e);
    S[r][e] = from && i < N && j < N ? from[i * N + j] : (real)0;
  }
}

template <int P, int E, int R>
DEVICE void rows_store(real *to, const real (&S)[R][E], size_t row, unsigned lane, size_t N)
{
  bool whole = N % 4 == 0 && (size_t)to % alignof(Four) == 0;
  UNROLL
  for (int r = 0; r < R; r++) UNROLL
  for (int e = 0; e < E; e += 4) {
    size_t i = row + (size_t)r, j = column_of<P>(lane, e);
    if (i >= N) continue;
    if (whole && j < N) *(Four *)(to + i * N + j) = Four{{S[r][e], S[r][e + 1], S[r][e + 2], S[r][e + 3]}};
    UNROLL
    for (int n = 0; !whole && n < 4; n++)
      if (j + (size_t)n < N) to[i * N + j + (size_t)n] = S[r][e + n];
  }
}

template <int P, int E, int R>
DEVICE void rows_add(real *to, const real (&S)[R][E], size_t row, unsigned lane, size_t N)
{
  UNROLL
  for (int r = 0; r < R; r++) UNROLL
  for (int e = 0; e < E; e++) {
    size_t i = row + (size_t)r, j = column_of<P>(lane, e);
    if (i < N && j < N) to[i * N + j] += S[r][e];
  }
}

template <int P, int E, int R>
DEVICE void rows_times(real (&sum)[R], const real (&S)[R][E], const real *key, unsigned lane)
{
  UNROLL
  for (int r = 0; r < R; r++) sum[r] = 0;
  UNROLL
  for (int e = 0; e < E; e += 4) {
    Four x = *(const Four *)(key + column_of<P>(lane, e));
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int n = 0; n < 4; n++) sum[r] += S[r][e + n] * x.x[n];
  }
  UNROLL
  for (int r = 0; r < R; r++) sum[r] = lanes_sum<P>(sum[r]);
}

/* One token: S -> S diag(e^w) + (S a) b' + v k', and S a. keys: its vectors. */
template <int P, int E, int R>
DEVICE void rows_step(real (&S)[R][E], real (&sa)[R], const real *keys, const real (&v)[R], unsigned lane)
{
  enum { M = P * E };
  rows_times<P, E, R>(sa, S, keys + KEY_A * M, lane);
  UNROLL
  for (int e = 0; e < E; e += 4) {
    unsigned j = column_of<P>(lane, e);
    Four w = *(const Four *)(keys + KEY_DECAY * M + j), k = *(const Four *)(keys + KEY_K * M + j),
         b = *(const Four *)(keys + KEY_B * M + j);
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int n = 0; n < 4; n++) S[r][e + n] = S[r][e + n] * w.x[n] + sa[r] * b.x[n] + v[r] * k.x[n];
  }
}

/* All that is there is read before anything is written: one wait for memory, not one a token. */
DEVICE void column_add(real *to, const real (&sum)[WKV_SEGMENT], size_t step, unsigned count)
{
  real old[WKV_SEGMENT];
  UNROLL
  for (unsigned t = 0; t < WKV_SEGMENT; t++) old[t] = t < count ? to[t * step] : (real)0;
  UNROLL
  for (unsigned t = 0; t < WKV_SEGMENT; t++)
    if (t < count) to[t * step] = old[t] + sum[t];
}

/* ---- for who launches ---- */

extern "C" size_t wkv7_slab_bytes; /* of kept G, at most, on the way back; less in a test */

typedef struct {
  unsigned threads, rows, blocks; /* of a block; of a block; of a head */
  unsigned tokens, bytes;         /* as many as are loaded at once, and their shared memory */
} RowLaunch;

static inline RowLaunch row_launch(size_t N, unsigned lanes, unsigned numbers, unsigned rows_a_thread)
{
  enum { THREADS = 128, MOST_BYTES = 24 * 1024 };
  RowLaunch l;
  size_t needed = pieces(N, rows_a_thread) * lanes;
  l.threads = (unsigned)smaller(THREADS, pieces(needed, WARP) * WARP);
  l.rows = l.threads / lanes * rows_a_thread;
  l.blocks = (unsigned)pieces(N, l.rows);
  size_t token = (KEYS * lanes * numbers + l.rows) * sizeof(real);
  l.tokens = (unsigned)larger(1, smaller(WKV_SEGMENT, MOST_BYTES / token));
  l.bytes = (unsigned)(l.tokens * token);
  return l;
}

/* For each size of a head the tile of its threads: WKV7_SIZE(N at most, P, E, R). */
#define WKV7_SIZES(SIZE) \
  SIZE(16, 2, 8, 1) SIZE(32, 2, 16, 1) SIZE(64, 4, 16, 2) SIZE(128, 8, 16, 2) SIZE(512, 32, 16, 2) SIZE(2048, 32, 64, 1)

#endif
