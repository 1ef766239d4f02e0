#include "fast.h"

#include "f_inside.h"
#include "pool.h"

#include <sched.h>
#include <stdlib.h>

static int threads; /* 0: not chosen yet */

/* What is not named here stays with the reference. */
static const Ops fast_ops = {
    .clear = f_clear,
    .unary = f_unary,
    .unary_backward = f_unary_backward,
    .binary = f_binary,
    .binary_backward = f_binary_backward,
    .affine = f_affine,
    .affine_backward = f_affine_backward,
    .compare = f_compare,
    .where = f_where,
    .where_backward = f_where_backward,
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
    .cumsum = f_cumsum,
    .cumsum_backward = f_cumsum_backward,
    .permute = f_permute,
    .permute_backward = f_permute_backward,
    .max = f_max,
    .max_backward = f_max_backward,
    .gather = f_gather,
    .gather_backward = f_gather_backward,
    .softmax = f_softmax,
    .softmax_backward = f_softmax_backward,
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
  fast_settle();
  ops = reference_ops;
  if (!on) return;
  ops.settle = fast_settle;
  ops.batch = fast_batch;
  ops.read_later = fast_read_later;
#define TAKE(name) \
  if (fast_ops.name) ops.name = fast_ops.name;
  OPS(TAKE)
#undef TAKE
}

void fast_set_threads(int n) { threads = n < 1 ? 1 : n > POOL_MOST ? POOL_MOST : n; }

/* Those that this process may run on. */
static int processors(void)
{
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int fast_threads(void)
{
  if (!threads) { /* OMP_NUM_THREADS is heard, but more threads than processors only wait for each other */
    const char *text = getenv("OMP_NUM_THREADS");
    int wanted = text ? atoi(text) : 0, there = processors();
    fast_set_threads(wanted > 0 && wanted < there ? wanted : there);
  }
  return threads;
}

Job *fast_width(Job *wide, Job *middle, Job *narrow, size_t N)
{
#ifdef WIDE_VECTORS
  if (N % (64 / REAL_SIZE) == 0 && __builtin_cpu_supports("x86-64-v4")) return wide;
  if (N % (32 / REAL_SIZE) == 0 && __builtin_cpu_supports("x86-64-v3")) return middle;
#endif
  (void)wide, (void)middle;
  return N % 4 == 0 ? narrow : NULL;
}

typedef struct {
  Job *job;
  const void *arg;
  size_t n, grain;
} Loop;

static void piece(const void *arg, size_t i)
{
  const Loop *q = arg;
  q->job(q->arg, i * q->grain, smaller(q->n, (i + 1) * q->grain));
}

void fast_for(size_t n, size_t grain, Job *job, const void *arg)
{
  pool_run(fast_threads(), pieces(n, grain), piece, &(Loop){job, arg, n, grain});
}
