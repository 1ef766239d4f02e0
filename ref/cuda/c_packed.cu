/* Linear maps and table look-up with a matrix that is kept in 16 or 32 bits. For few rows, as decoding has them, each
   number of the matrix is brought once and multiplied with all of them; for many, the matrix is made one of `real`,
   as much of it at a time as there is room for. */
#include "blas.h"
#include "look_up.h"
#include "stored.h"

enum { FEW = 8, GROUP = 4 }; /* rows; those of a block */

/* ---- the matrix as numbers of `real` ---- */

template <class T> KERNEL expand(real *to, const T *from, size_t n)
{
  EACH(i, n) to[i] = number(from[i]);
}

template <class T> static const real *expanded(real *to, const T *from, size_t n)
{
  LAUNCH(expand<T>, BLOCKS_FOR(n), BLOCK, 0, to, from, n);
  return to;
}

/* How many of the matrix's rows there is room for at a time. */
static size_t rows_at_once(size_t rows, size_t size)
{
  return smaller(rows, larger(1, PRODUCT_ROOM / (larger(size, 1) * sizeof(real))));
}

/* ---- y = x W' + bias ---- */

enum { OUTPUTS = 4 }; /* warps of a block */

/* A warp has output o of ROWS rows: each lane eight inputs at a time. */
template <class T, int ROWS> KERNEL __launch_bounds__(OUTPUTS *WARP) linear_few(LinearPacked op)
{
  size_t groups = pieces(op.rows, ROWS), first = blockIdx.x % groups * ROWS, in = op.in;
  size_t o = blockIdx.x / groups * OUTPUTS + threadIdx.x / WARP;
  if (o >= op.out) return;
  const T *w = (const T *)op.w.bits + o * in;
  real sum[ROWS] = {0}, wi[EIGHT], xi[EIGHT];
  for (size_t c = threadIdx.x % WARP * EIGHT; c < in; c += WARP * EIGHT) {
    take_eight(wi, w + c, in - c);
    for (int r = 0; r < ROWS; r++) {
      if (first + r >= op.rows) break;
      take_eight(xi, op.x + (first + r) * in + c, in - c);
      for (int i = 0; i < EIGHT; i++) sum[r] += xi[i] * wi[i];
    }
  }
  for (int r = 0; r < ROWS; r++) {
    real y = warp_sum(sum[r]) + (op.bias ? op.bias[o] : 0);
    if (threadIdx.x % WARP == 0 && first + r < op.rows) op.y[(first + r) * op.out + o] = y;
  }
}

template <class T> static void linear_many(const LinearPacked *op)
{
  size_t in = op->in, out = op->out, at_once = rows_at_once(out, in);
  real *room = (real *)device_scratch(at_once * in * sizeof(real));
  if (op->bias) write_bias(op->y, op->bias, op->rows, out);
  for (size_t o = 0; o < out; o += at_once) {
    Product y = {};
    y.factors = op->factors;
    y.C = op->y + o, y.row_C = out, y.A = op->x, y.B_is_turned = true, y.add = op->bias != NULL;
    y.M = op->rows, y.N = smaller(at_once, out - o), y.K = in;
    y.B = expanded(room, (const T *)op->w.bits + o * in, y.N * in);
    product(&y);
  }
}

template <class T> static void linear(const LinearPacked *op)
{
  unsigned blocks = (unsigned)pieces(op->out, OUTPUTS);
  if (op->factors != FACTORS_FULL && op->in) linear_many<T>(op);
  else if (op->rows == 1) LAUNCH((linear_few<T, 1>), blocks, OUTPUTS * WARP, 0, *op);
  else if (op->rows <= FEW || !op->in)
    LAUNCH((linear_few<T, GROUP>), blocks * pieces(op->rows, GROUP), OUTPUTS * WARP, 0, *op);
  else linear_many<T>(op);
}

void c_linear_packed(const LinearPacked *op)
{
  static void (*const of[STORAGE_COUNT])(const LinearPacked *) = OF_EACH_STORAGE(linear);
  if (op->rows && op->out) of[op->w.storage](op);
}

/* ---- y = x M ---- */

enum { LANES = 8, TURNS = 64, WARPS = LANES * TURNS / WARP, COLUMNS = LANES * EIGHT }; /* of a block */

/* A block has COLUMNS outputs of ROWS rows: a thread eight of them, and every TURNS-th row of M. What the threads of a
   warp have of the same columns is added first, then what the warps have. */
template <class T, int ROWS> KERNEL __launch_bounds__(LANES *TURNS) matmul_few(MatmulPacked op)
{
  SHARED(real, part, [WARPS][ROWS][COLUMNS]);
  size_t groups = pieces(op.rows, ROWS), first = blockIdx.x % groups * ROWS, in = op.in, out = op.out;
  size_t start = blockIdx.x / groups * COLUMNS, o = start + threadIdx.x % LANES * EIGHT;
  real sum[ROWS][EIGHT] = {}, m[EIGHT];
  for (size_t c = threadIdx.x / LANES; o < out && c < in; c += TURNS) {
    take_eight(m, (const T *)op.m.bits + c * out + o, out - o);
    for (int r = 0; r < ROWS; r++) {
      if (first + r >= op.rows) break;
      real x = op.x[(first + r) * in + c];
      for (int i = 0; i < EIGHT; i++) sum[r][i] += x * m[i];
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int i = 0; i < EIGHT; i++) {
      for (int other = LANES; other < WARP; other *= 2) sum[r][i] += __shfl_xor_sync(0xffffffffu, sum[r][i], other);
      if (threadIdx.x % WARP < LANES) part[threadIdx.x / WARP][r][threadIdx.x % WARP * EIGHT + i] = sum[r][i];
    }
  __syncthreads();
  size_t r = threadIdx.x / COLUMNS, c = threadIdx.x % COLUMNS;
  if (r >= ROWS || first + r >= op.rows || start + c >= out) return;
  real y = 0;
  for (int w = 0; w < WARPS; w++) y += part[w][r][c];
  op.y[(first + r) * out + start + c] = y;
}

template <class T> static void matmul_many(const MatmulPacked *op)
{
  size_t in = op->in, out = op->out, at_once = rows_at_once(in, out);
  real *room = (real *)device_scratch(at_once * out * sizeof(real));
  for (size_t c = 0; c < in; c += at_once) {
    Product y = {};
    y.factors = op->factors;
    y.C = op->y, y.A = op->x + c, y.row_A = in, y.add = c > 0;
    y.M = op->rows, y.N = out, y.K = smaller(at_once, in - c);
    y.B = expanded(room, (const T *)op->m.bits + c * out, y.K * out);
    product(&y);
  }
}

template <class T> static void matmul(const MatmulPacked *op)
{
  unsigned blocks = (unsigned)pieces(op->out, COLUMNS);
  if (op->factors != FACTORS_FULL && op->in) matmul_many<T>(op);
  else if (op->rows == 1) LAUNCH((matmul_few<T, 1>), blocks, LANES * TURNS, 0, *op);
  else if (op->rows <= FEW || !op->in)
    LAUNCH((matmul_few<T, GROUP>), blocks * pieces(op->rows, GROUP), LANES * TURNS, 0, *op);
  else matmul_many<T>(op);
}

void c_matmul_packed(const MatmulPacked *op)
{
  static void (*const of[STORAGE_COUNT])(const MatmulPacked *) = OF_EACH_STORAGE(matmul);
  if (op->rows && op->out) of[op->m.storage](op);
}

/* ---- look-up ---- */

template <class T> struct PackedTable {
  const T *numbers;
  __device__ real operator()(size_t i) const { return number(numbers[i]); }
};

template <class T> static void rows(const RowsPacked *op)
{
  look_up(op->y, PackedTable<T>{(const T *)op->table.bits}, op->index, op->count, op->C);
}

void c_rows_packed(const RowsPacked *op)
{
  static void (*const of[STORAGE_COUNT])(const RowsPacked *) = OF_EACH_STORAGE(rows);
  of[op->table.storage](op);
}
