#include "fast.h"

#include "f_inside.h"

#include <cblas.h>
#include <omp.h>

static int threads; /* 0: not chosen yet */

/* What is not named here stays with the reference. */
static const Ops fast_ops = {
    .unary = f_unary,
    .unary_backward = f_unary_backward,
    .binary = f_binary,
    .binary_backward = f_binary_backward,
    .affine = f_affine,
    .affine_backward = f_affine_backward,
    .lerp = f_lerp,
    .lerp_backward = f_lerp_backward,
    .linear = f_linear,
    .linear_backward = f_linear_backward,
    .matmul = f_matmul,
    .matmul_backward = f_matmul_backward,
    .rows = f_rows,
    .rows_backward = f_rows_backward,
    .linear_packed = f_linear_packed,
    .matmul_packed = f_matmul_packed,
    .rows_packed = f_rows_packed,
    .norm = f_norm,
    .norm_backward = f_norm_backward,
    .l2norm = f_l2norm,
    .l2norm_backward = f_l2norm_backward,
    .shift = f_shift,
    .shift_backward = f_shift_backward,
    .slice = f_slice,
    .slice_add = f_slice_add,
    .unslice = f_unslice,
    .unslice_add = f_unslice_add,
    .sum = f_sum,
    .sum_backward = f_sum_backward,
    .cross_entropy = f_cross_entropy,
    .cross_entropy_backward = f_cross_entropy_backward,
    .argmax = f_argmax,
    .adamw = f_adamw,
    .sum_squares = f_sum_squares,
    .bmm = f_bmm,
    .bmm_backward = f_bmm_backward,
    .copy_scores = f_copy_scores,
    .copy_scores_backward = f_copy_scores_backward,
    .linear_attention = f_linear_attention,
    .linear_attention_backward = f_linear_attention_backward,
    .attention = f_attention,
    .attention_backward = f_attention_backward,
    .wkv1 = f_wkv1,
    .wkv1_backward = f_wkv1_backward,
    .wkv2 = f_wkv2,
    .wkv2_backward = f_wkv2_backward,
    .wkv4 = f_wkv4,
    .wkv4_backward = f_wkv4_backward,
    .wkv6 = f_wkv6,
    .wkv6_backward = f_wkv6_backward,
    .wkv7 = f_wkv7,
    .wkv7_backward = f_wkv7_backward,
    .selective_scan = f_selective_scan,
    .selective_scan_backward = f_selective_scan_backward,
};

void fast_enable(int on)
{
  ops = reference_ops;
  if (!on) return;
  fast_threads();              /* before the next line, which also sets OpenMP's default */
  openblas_set_num_threads(1); /* threads are taken outside of it, see fast_for */
#define TAKE(name) \
  if (fast_ops.name) ops.name = fast_ops.name;
  OPS(TAKE)
#undef TAKE
}

void fast_set_threads(int n) { threads = n < 1 ? 1 : n > 256 ? 256 : n; }

int fast_threads(void)
{
  if (!threads) { /* OMP_NUM_THREADS is heard, but more threads than processors only wait for each other */
    int wanted = omp_get_max_threads(), there = omp_get_num_procs();
    fast_set_threads(wanted < there ? wanted : there);
  }
  return threads;
}

static void piece(size_t i, size_t n, size_t grain, Job *job, const void *arg)
{
  job(arg, i * grain, smaller(n, (i + 1) * grain));
}

void fast_for(size_t n, size_t grain, Job *job, const void *arg)
{
  size_t count = pieces(n, grain), team = smaller((size_t)fast_threads(), count);
  if (team <= 1) {
    for (size_t i = 0; i < count; i++) piece(i, n, grain, job, arg);
    return;
  }
#pragma omp parallel for schedule(static) num_threads((int)team)
  for (size_t i = 0; i < count; i++) piece(i, n, grain, job, arg);
}
