/* The sums of wkv7's backward pass down the columns of S and G, over one segment: who has a column, and what happens
   to 4 rows of it (1 in float64). c_wkv7_back.cu says what for. */
#ifndef AVIARY_CUDA_WKV7_COLUMNS_H
#define AVIARY_CUDA_WKV7_COLUMNS_H

#include "c_wkv7.h"

enum { COLUMNS = 64, AT_ONCE = sizeof(real) == 4 ? 4 : 1, STAGED = 16 }; /* of a block; rows, and as many loaded */
enum { ROW_V, ROW_SA, ROW_GY, ROW_GSA, ROWS };                           /* vectors over rows */

struct alignas(AT_ONCE * sizeof(real)) RowNumbers {
  real x[AT_ONCE];
};

/* What stands in row i of column j of [N,N], and in the rows after it. */
DEVICE RowNumbers column_load(const real *from, unsigned i, unsigned j, unsigned N)
{
  RowNumbers got;
  UNROLL
  for (unsigned n = 0; n < AT_ONCE; n++) got.x[n] = i + n < N && j < N ? from[(i + n) * N + j] : (real)0;
  return got;
}

typedef real KeyNumbers[KEYS][WKV_SEGMENT][COLUMNS];
typedef RowNumbers RowVectors[ROWS][WKV_SEGMENT]; /* of AT_ONCE rows */

/* Which sums a kernel makes, a bit for each. In float64 there are not registers for all at once: it runs twice. */
enum { SUMS_OF_S = 1 << KEY_R | 1 << KEY_DECAY | 1 << KEY_A, SUMS_OF_G = 1 << KEY_K | 1 << KEY_B };

/* Rows i.. of a column: its states from the first one, then back with its G. sum: of r, w, k, a, b. */
template <int SUMS>
DEVICE void column_back(real (&sum)[KEYS][WKV_SEGMENT], const RowNumbers &S, const RowNumbers &G,
                        const KeyNumbers &keys, const RowVectors &rows, unsigned j)
{
  RowNumbers s[WKV_SEGMENT], now = S, g = G;
  UNROLL
  for (int t = 0; t < WKV_SEGMENT; t++) {
    const RowNumbers v = rows[ROW_V][t];
    const RowNumbers sa = rows[ROW_SA][t];
    const RowNumbers gy = rows[ROW_GY][t];
    real w = keys[KEY_DECAY][t][j], k = keys[KEY_K][t][j], b = keys[KEY_B][t][j];
    s[t] = now;
    UNROLL
    for (int n = 0; n < AT_ONCE; n++) {
      now.x[n] = now.x[n] * w + sa.x[n] * b + v.x[n] * k;
      if (SUMS >> KEY_R & 1) sum[KEY_R][t] += gy.x[n] * now.x[n];
    }
  }
  __syncwarp(); /* from here on vectors are read once more: kept, they would take more registers than there are */
  UNROLL
  for (int t = WKV_SEGMENT - 1; t >= 0; t--) {
    const RowNumbers v = rows[ROW_V][t];
    const RowNumbers sa = rows[ROW_SA][t];
    const RowNumbers gy = rows[ROW_GY][t];
    const RowNumbers gsa = rows[ROW_GSA][t];
    real r = keys[KEY_R][t][j], w = keys[KEY_DECAY][t][j], a = keys[KEY_A][t][j];
    UNROLL
    for (int n = 0; n < AT_ONCE; n++) {
      g.x[n] += gy.x[n] * r;
      if (SUMS >> KEY_DECAY & 1) sum[KEY_DECAY][t] += g.x[n] * s[t].x[n];
      if (SUMS >> KEY_K & 1) sum[KEY_K][t] += g.x[n] * v.x[n];
      if (SUMS >> KEY_B & 1) sum[KEY_B][t] += g.x[n] * sa.x[n];
      if (SUMS >> KEY_A & 1) sum[KEY_A][t] += gsa.x[n] * s[t].x[n];
      g.x[n] = g.x[n] * w + gsa.x[n] * a;
    }
  }
}

/* What a segment is that ends early: tokens after its end change nothing. */
DEVICE void keys_load(KeyNumbers &keys, const TokenVectors *from, size_t at, unsigned count, size_t column0)
{
  for (unsigned x = threadIdx.x; x < WKV_SEGMENT * COLUMNS; x += blockDim.x) {
    unsigned t = x / COLUMNS, j = x % COLUMNS;
    size_t i = at + t * from->step + column0 + j;
    bool there = t < count && column0 + j < from->N;
    real got[KEYS];
    UNROLL
    for (int n = 0; n < KEYS; n++) got[n] = there && from->key[n] ? from->key[n][i] : (real)0;
    got[KEY_DECAY] = exp(got[KEY_DECAY]);
    UNROLL
    for (int n = 0; n < KEYS; n++) keys[n][t][j] = got[n];
  }
}

/* from: a vector of the segment's first token, whose numbers are `step` after each other; or NULL. */
DEVICE void vector_load(RowVectors *rows, int n, const real *from, size_t step, unsigned count, size_t row0, size_t N)
{
  for (unsigned x = threadIdx.x; x < WKV_SEGMENT * STAGED; x += blockDim.x) {
    unsigned t = x / STAGED, i = x % STAGED;
    rows[i / AT_ONCE][n][t].x[i % AT_ONCE] = from && t < count && row0 + i < N ? from[t * step + row0 + i] : (real)0;
  }
}

#endif
