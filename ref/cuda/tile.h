/* Attention of every kind is made of squares of scores: TILE rows by TILE others, their products, and sums of the
   others' rows weighted by them. A block has SIDE x SIDE threads. Of a square, thread (x, y) has the rows y, y + SIDE,
   ..; of scores, the columns x, x + SIDE, ..; of sums, the columns 4 x to 4 x + 3. Rows in shared memory are TILE_ROW
   apart, so that the lanes of a warp reach different banks with four numbers each. */
#ifndef AVIARY_CUDA_TILE_H
#define AVIARY_CUDA_TILE_H

#include "registers.h"

enum {
  TILE = sizeof(real) == 8 ? 32 : 64,
  SIDE = TILE / 4,
  TILE_THREADS = SIDE * SIDE,
  TILE_ROW = TILE + 16 / sizeof(real),
  TILE_ROOM = TILE * TILE_ROW /* numbers of a tile in shared memory */
};
/* On a multiprocessor at least so many blocks at once: so many registers a thread has. */
#define TILE_KERNEL static __global__ void __launch_bounds__(TILE_THREADS, sizeof(real) == 8 ? 1 : 2)
#define TILE_BYTES(tiles) ((tiles)*TILE_ROOM * sizeof(real))
#define TILE_X (threadIdx.x % SIDE)
#define TILE_Y (threadIdx.x / SIDE)

typedef struct {
  real at[4][4]; /* [row][column] */
} Square;

/* `count` rows of `width` numbers, `step` apart; the order says which ones, if it is not NULL. */
typedef struct {
  const real *at;
  size_t step, count, width;
  const int *order;
} Strip;

/* room = the columns from `first` on of the rows; zeros where there are none. */
DEVICE void tile_load(real *room, const Strip &r, size_t first)
{
  unsigned width = (unsigned)smaller(TILE, r.width - first);
  for (unsigned p = threadIdx.x; p < TILE * TILE; p += TILE_THREADS) {
    unsigned i = p / TILE, k = p % TILE;
    size_t row = r.order && i < r.count ? (size_t)r.order[i] : i;
    room[i * TILE_ROW + k] = i < r.count && k < width ? r.at[row * r.step + first + k] : 0;
  }
}

/* s[i,j] += a_i . b_j over the first `width` columns; 16 of them are summed before they are added, so that s is rounded
   less often. */
DEVICE void tile_products(Square &s, const real *a, const real *b, unsigned width)
{
  for (unsigned first = 0; first < width; first += 16) {
    Square part = {};
    for (unsigned k = first; k < first + 16 && k < width; k += 4) {
      Four p[4], q[4];
      for (int i = 0; i < 4; i++) p[i] = *(const Four *)(a + (TILE_Y + SIDE * i) * TILE_ROW + k);
      for (int j = 0; j < 4; j++) q[j] = *(const Four *)(b + (TILE_X + SIDE * j) * TILE_ROW + k);
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
          for (int e = 0; e < 4; e++) part.at[i][j] += p[i].x[e] * q[j].x[e];
    }
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) s.at[i][j] += part.at[i][j];
  }
}

/* The same over all columns, a tile of them after the other; the last ones stay in the rooms. With `a_stays` a is there
   already, if it is no wider than a tile. All threads come here, and none may still read the rooms' numbers of before
   without having passed a barrier: the first thing is one. */
DEVICE void tile_scores(Square &s, real *a_room, real *b_room, const Strip &a, const Strip &b, bool a_stays)
{
  s = Square();
  for (size_t first = 0; first < a.width; first += TILE) {
    __syncthreads();
    if (!a_stays || a.width > TILE) tile_load(a_room, a, first);
    tile_load(b_room, b, first);
    __syncthreads();
    tile_products(s, a_room, b_room, (unsigned)smaller(TILE, a.width - first));
  }
}

/* Which of the others a thread's four rows see: from <= u < to. Counted from the tile's first other, so may be < 0. */
typedef struct {
  int from[4], to[4];
} Seen;

DEVICE bool tile_sees(const Seen &seen, int i, int u) { return seen.from[i] <= u && u < seen.to[i]; }

DEVICE bool tile_sees_all(const Seen &seen)
{
  for (int i = 0; i < 4; i++)
    if (seen.from[i] > 0 || seen.to[i] < TILE) return false;
  return true;
}

/* sum[i,c] += sum_u w[i,u] x[u,c], for u < count; what a row does not see is left out, be it NaN */
template <bool ALL>
DEVICE void tile_add_seen(Square &sum, const real *w, const real *x, unsigned count, const Seen &seen)
{
  for (unsigned u = 0; u < count; u += 4) {
    Four p[4], q[4];
    for (int i = 0; i < 4; i++) p[i] = *(const Four *)(w + (TILE_Y + SIDE * i) * TILE_ROW + u);
    for (int e = 0; e < 4; e++) q[e] = *(const Four *)(x + (u + e) * TILE_ROW + 4 * TILE_X);
    for (int i = 0; i < 4; i++)
      for (int e = 0; e < 4; e++)
        if (ALL || tile_sees(seen, i, (int)(u + e)))
          for (int c = 0; c < 4; c++) sum.at[i][c] += p[i].x[e] * q[e].x[c];
  }
}

DEVICE void tile_add(Square &sum, const real *w, const real *x, unsigned count, const Seen &seen)
{
  if (tile_sees_all(seen)) tile_add_seen<true>(sum, w, x, count, seen);
  else tile_add_seen<false>(sum, w, x, count, seen);
}

/* w = the square, 0 where a row does not see it */
DEVICE void tile_put(real *w, const Square &s, const Seen &seen)
{
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      w[(TILE_Y + SIDE * i) * TILE_ROW + TILE_X + SIDE * j] = tile_sees(seen, i, TILE_X + SIDE * j) ? s.at[i][j] : 0;
}

/* The sums to rows `step` apart, of which there are `count`, and `width` columns from here on. */
DEVICE void tile_write(real *to, size_t step, size_t count, size_t width, const Square &s, bool add, const int *order)
{
  for (int i = 0; i < 4; i++) {
    size_t row = TILE_Y + SIDE * i;
    if (row >= count) continue;
    real *p = to + (order ? (size_t)order[row] : row) * step + 4 * TILE_X;
    for (int c = 0; c < 4; c++)
      if (4 * TILE_X + c < width) p[c] = add ? p[c] + s.at[i][c] : s.at[i][c];
  }
}

/* Over the lanes that have the same rows. */
DEVICE real tile_row_sum(real x)
{
  for (int other = SIDE / 2; other; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
  return x;
}

DEVICE real tile_row_max(real x) /* a NaN is passed over */
{
  for (int other = SIDE / 2; other; other /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, other));
  return x;
}

#endif
