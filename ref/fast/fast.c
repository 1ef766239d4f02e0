#include "fast.h"

#include "f_job.h"
#include "pool.h"

#include <omp.h>

static int threads; /* 0: not chosen yet */

/* The ops that have a fast kernel. The reference does the others, after what waits. */
/* clang-format off */
#define FAST_OPS(X)                                                                                           \
  X(clear) X(unary) X(unary_backward) X(binary) X(binary_backward) X(affine) X(affine_backward) X(lerp)       \
  X(lerp_backward) X(linear) X(linear_backward) X(matmul) X(matmul_backward) X(rows) X(rows_backward)         \
  X(linear_packed) X(matmul_packed) X(rows_packed) X(norm) X(norm_backward) X(l2norm) X(l2norm_backward)      \
  X(shift) X(shift_backward) X(slice) X(slice_add) X(unslice) X(unslice_add) X(sum) X(sum_backward)           \
  X(bmm) X(bmm_backward) X(cross_entropy) X(cross_entropy_backward) X(head_loss) X(head_loss_backward)        \
  X(argmax) X(adamw) X(sum_squares)                                                                            \
  X(copy_scores) X(copy_scores_backward) X(linear_attention) X(linear_attention_backward) X(attention)        \
  X(attention_backward) X(wkv1) X(wkv1_backward) X(wkv2) X(wkv2_backward) X(wkv4) X(wkv4_backward) X(wkv6)    \
  X(wkv6_backward) X(wkv7) X(wkv7_backward) X(selective_scan) X(selective_scan_backward) \
  X(steps) X(steps_backward) X(rosa) X(rosa_backward)
/* clang-format on */

#define CALL(name) \
  static void call_##name(const void *op) { f_##name(op); }
FAST_OPS(CALL)

#define ENTRY(name) [OP_##name] = call_##name,
static void (*const kernels[OP_COUNT])(const void *op) = {FAST_OPS(ENTRY)};
static bool left_out[OP_COUNT];

void fast_leave_out(OpId id, bool out) { left_out[id] = out; }
bool fast_has(OpId id) { return kernels[id] != NULL; }

void fast_reference(OpId id, const void *op)
{
  fast_flush();
  backend_reference.run(id, op);
}

static void fast_run(OpId id, const void *op)
{
  if (kernels[id] && !left_out[id]) kernels[id](op);
  else fast_reference(id, op);
}

static void fast_share(size_t count, ShareWork *work, const void *arg) { pool_run(fast_threads(), count, work, arg); }

const Backend backend_fast = {"fast",          &memory_host, fast_run, fast_flush, fast_batch,
                              fast_read_later, fast_share,   NULL,     NULL,       NULL};

/* ---- threads ---- */

void fast_set_threads(int n) { threads = n < 1 ? 1 : n > POOL_MOST ? POOL_MOST : n; }

/* As many as OpenMP's variables say, for clusters do; but no more than the processors that this process may run on:
   they would only wait for each other. (OpenMP knows how many these are also where it has tied this thread to one.) */
static int usual_threads(void)
{
  int limit = omp_get_thread_limit(), there = omp_get_num_procs(), wanted = omp_get_max_threads();
  if (wanted > limit) wanted = limit;
  return wanted < there ? wanted : there;
}

int fast_threads(void)
{
  if (!threads) fast_set_threads(usual_threads());
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
