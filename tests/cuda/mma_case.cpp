/* A kernel of products by warps, for test_cuda_mma.c: each warp multiplies a pair of 16x16 matrices. */
#include "tensor_cores.h"

using namespace nvcuda;

enum { SIDE = 16, SIZE = SIDE * SIDE, WARPS = 3, STRIDE = 24 };

/* C = A B + C, A given by rows, B by rows or by columns, C stored by rows or by columns. */
template <class LayoutB> KERNEL multiply_bf16(float *C, const __nv_bfloat16 *A, const __nv_bfloat16 *B, bool turned)
{
  unsigned warp = threadIdx.x / WARP;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, LayoutB> b;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> c;
  wmma::load_matrix_sync(a, A + warp * SIDE * STRIDE, STRIDE);
  wmma::load_matrix_sync(b, B + warp * SIZE, SIDE);
  wmma::load_matrix_sync(c, C + warp * SIZE, SIDE, wmma::mem_row_major);
  wmma::mma_sync(c, a, b, c);
  wmma::store_matrix_sync(C + warp * SIZE, c, SIDE, turned ? wmma::mem_col_major : wmma::mem_row_major);
}

/* The same in two halves of 8, with factors rounded to tf32; and twice the sum, element by element. */
KERNEL multiply_tf32(float *C, const float *A, const float *B)
{
  unsigned warp = threadIdx.x / WARP;
  wmma::fragment<wmma::accumulator, 16, 16, 8, float> c;
  wmma::fill_fragment(c, 0.0f);
  for (int half = 0; half < 2; half++) {
    wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> a;
    wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> b;
    wmma::load_matrix_sync(a, A + warp * SIZE + half * 8, SIDE);
    wmma::load_matrix_sync(b, B + warp * SIZE + half * 8 * SIDE, SIDE);
    for (int e = 0; e < a.num_elements; e++) a.x[e] = wmma::__float_to_tf32(a.x[e]);
    for (int e = 0; e < b.num_elements; e++) b.x[e] = wmma::__float_to_tf32(b.x[e]);
    wmma::mma_sync(c, a, b, c);
  }
  for (int e = 0; e < c.num_elements; e++) c.x[e] *= 2;
  wmma::store_matrix_sync(C + warp * SIZE, c, SIDE, wmma::mem_row_major);
}

/* A, B, C: WARPS matrices of 16x16. way: 0 B by rows, 1 B by columns, 2 as 0 with C stored by columns, 3 tf32. What is
   stored turned comes back turned. */
extern "C" void mma_case(int way, float *C, const float *A, const float *B)
{
  alignas(32) static __nv_bfloat16 a[WARPS * SIDE * STRIDE], b[WARPS * SIZE];
  alignas(32) static float in[2][WARPS * SIZE], c[WARPS * SIZE];
  memcpy(in[0], A, sizeof in[0]);
  memcpy(in[1], B, sizeof in[1]);
  memcpy(c, C, sizeof c);
  for (int row = 0; row < WARPS * SIDE; row++)
    for (int i = 0; i < SIDE; i++) a[row * STRIDE + i] = __float2bfloat16(A[row * SIDE + i]);
  for (int i = 0; i < WARPS * SIZE; i++) b[i] = __float2bfloat16(B[i]);
  if (way == 1) LAUNCH(multiply_bf16<wmma::col_major>, 1, WARPS * WARP, 0, c, a, b, false);
  else if (way == 3) LAUNCH(multiply_tf32, 1, WARPS * WARP, 0, c, in[0], in[1]);
  else LAUNCH(multiply_bf16<wmma::row_major>, 1, WARPS * WARP, 0, c, a, b, way == 2);
  memcpy(C, c, sizeof c);
}
