#include "f_onednn.h"

#ifdef ONEDNN
#include <dnnl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* ---- kernels, each with the memory objects of one thread ---- */

typedef struct { /* what a kernel is made for; all of it is compared */
  size_t m, n, k;
  char a_turned, b_turned, add, b_laid_out, factors, lays_out;
  char unused[2];
} Shape;

enum { A, B, C, ARGUMENTS };

typedef struct {
  Shape shape;
  bool tried;
  dnnl_primitive_t kernel; /* NULL: there is none for this shape */
  dnnl_exec_arg_t argument[ARGUMENTS];
  size_t laid_out; /* bytes that it lays B out in */
} Kernel;

enum { KERNELS = 256 }; /* places for a thread's kernels, of which half are used: a power of two */

static _Thread_local struct {
  Kernel kernel[KERNELS];
  size_t count;
  dnnl_stream_t stream;
} mine;

static dnnl_engine_t engine;

static void open_engine(void)
{
  if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}

static bool ready(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_engine);
  if (engine && !mine.stream && dnnl_stream_create(&mine.stream, engine, dnnl_stream_default_flags) != dnnl_success)
    mine.stream = NULL;
  return mine.stream != NULL;
}

static void forget(Kernel *q)
{
  for (int i = 0; i < ARGUMENTS; i++)
    if (q->argument[i].memory) dnnl_memory_destroy(q->argument[i].memory);
  if (q->kernel) dnnl_primitive_destroy(q->kernel);
  *q = (Kernel){0};
}

/* The place of a shape's kernel: `tried` if it has been asked for before. */
static Kernel *place_of(const Shape *s)
{
  uint64_t words[sizeof *s / 8], h = 0;
  memcpy(words, s, sizeof words);
  for (size_t i = 0; i < sizeof *s / 8; i++) h = (h ^ words[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
  if (mine.count == KERNELS / 2) { /* as many shapes as no model has: begin anew */
    for (size_t i = 0; i < KERNELS; i++) forget(&mine.kernel[i]);
    mine.count = 0;
  }
  size_t i = h % KERNELS;
  while (mine.kernel[i].tried && memcmp(&mine.kernel[i].shape, s, sizeof *s) != 0) i = (i + 1) % KERNELS;
  return &mine.kernel[i];
}

/* ---- making one ---- */

typedef dnnl_memory_desc_t Layout;

/* A dense matrix. */
static bool matrix(Layout *l, size_t rows, size_t columns, bool turned, Factors as)
{
  dnnl_dims_t size = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
  return dnnl_memory_desc_init_by_tag(l, 2, size, as == FACTORS_BF16 ? dnnl_bf16 : dnnl_f32,
                                      turned ? dnnl_ba : dnnl_ab) == dnnl_success;
}

static dnnl_primitive_desc_t product(const Layout *a, const Layout *b, const Layout *c, bool add)
{
  dnnl_matmul_desc_t wish;
  dnnl_primitive_attr_t how = NULL;
  dnnl_post_ops_t after = NULL;
  dnnl_primitive_desc_t made = NULL;
  bool good = dnnl_matmul_desc_init(&wish, a, b, NULL, c) == dnnl_success &&
              dnnl_primitive_attr_create(&how) == dnnl_success;
  if (good && add)
    good = dnnl_post_ops_create(&after) == dnnl_success && dnnl_post_ops_append_sum(after, 1) == dnnl_success &&
           dnnl_primitive_attr_set_post_ops(how, after) == dnnl_success;
  if (good && dnnl_primitive_desc_create(&made, &wish, how, engine, NULL) != dnnl_success) made = NULL;
  if (after) dnnl_post_ops_destroy(after);
  if (how) dnnl_primitive_attr_destroy(how);
  return made;
}

/* Its other kernels are no faster than its sgemm, or than rounding to bfloat16 and calling that. */
static bool is_good(const_dnnl_primitive_desc_t d, Factors factors)
{
  const char *name = "";
  dnnl_primitive_desc_query(d, dnnl_query_impl_info_str, 0, &name);
  return strncmp(name, "brg:", 4) == 0 && (factors == FACTORS_FULL || strstr(name, "bf16"));
}

/* B as the kernel for many rows would have it. */
static bool laid_out(Layout *l, size_t n, size_t k, Factors factors)
{
  enum { ROWS = 256 };
  Layout a, b, c;
  dnnl_dims_t size = {(dnnl_dim_t)k, (dnnl_dim_t)n};
  dnnl_data_type_t type = factors == FACTORS_BF16 ? dnnl_bf16 : dnnl_f32;
  if (!matrix(&a, ROWS, k, false, factors) || !matrix(&c, ROWS, n, false, FACTORS_FULL) ||
      dnnl_memory_desc_init_by_tag(&b, 2, size, type, dnnl_format_tag_any) != dnnl_success)
    return false;
  dnnl_primitive_desc_t d = product(&a, &b, &c, false);
  if (!d) return false;
  bool good = is_good(d, factors);
  if (good) *l = *dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 0);
  dnnl_primitive_desc_destroy(d);
  return good;
}

static bool add_argument(Kernel *q, int i, int as, const Layout *l)
{
  q->argument[i].arg = as;
  return dnnl_memory_create(&q->argument[i].memory, l, engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static bool make_product(Kernel *q)
{
  const Shape *s = &q->shape;
  Factors factors = (Factors)s->factors;
  Layout a, b, c;
  if (!matrix(&a, s->m, s->k, s->a_turned, factors) || !matrix(&c, s->m, s->n, false, FACTORS_FULL)) return false;
  if (!(s->b_laid_out ? laid_out(&b, s->n, s->k, factors) : matrix(&b, s->k, s->n, s->b_turned, factors))) return false;
  dnnl_primitive_desc_t d = product(&a, &b, &c, s->add);
  if (!d) return false;
  bool good = is_good(d, factors) && add_argument(q, A, DNNL_ARG_SRC, &a) && add_argument(q, B, DNNL_ARG_WEIGHTS, &b) &&
              add_argument(q, C, DNNL_ARG_DST, &c) && dnnl_primitive_create(&q->kernel, d) == dnnl_success;
  dnnl_primitive_desc_destroy(d);
  return good;
}

static bool make_lay_out(Kernel *q)
{
  const Shape *s = &q->shape;
  Layout from, to;
  dnnl_primitive_attr_t how = NULL;
  dnnl_primitive_desc_t d = NULL;
  bool good = matrix(&from, s->k, s->n, s->b_turned, FACTORS_FULL) && laid_out(&to, s->n, s->k, (Factors)s->factors) &&
              dnnl_primitive_attr_create(&how) == dnnl_success &&
              dnnl_reorder_primitive_desc_create(&d, &from, engine, &to, engine, how) == dnnl_success &&
              add_argument(q, B, DNNL_ARG_FROM, &from) && add_argument(q, C, DNNL_ARG_TO, &to) &&
              dnnl_primitive_create(&q->kernel, d) == dnnl_success;
  if (good) q->laid_out = dnnl_memory_desc_get_size(&to);
  if (d) dnnl_primitive_desc_destroy(d);
  if (how) dnnl_primitive_attr_destroy(how);
  return good;
}

static Kernel *kernel_for(const Gemm *q, bool lays_out)
{
  if (!ready()) return NULL;
  Shape s = {.n = q->n, .k = q->k, .factors = (char)q->factors, .lays_out = lays_out};
  if (!lays_out) s.m = q->m, s.a_turned = q->a_turned, s.add = q->add;
  if (q->b_laid_out && !lays_out) s.b_laid_out = true;
  else s.b_turned = q->b_turned;
  Kernel *kernel = place_of(&s);
  if (!kernel->tried) {
    *kernel = (Kernel){.shape = s, .tried = true};
    mine.count++;
    if (!(lays_out ? make_lay_out(kernel) : make_product(kernel))) {
      forget(kernel);
      kernel->shape = s, kernel->tried = true;
    }
  }
  return kernel->kernel ? kernel : NULL;
}

/* ---- calling one ---- */

static bool set(Kernel *q, int i, const void *numbers)
{
  return dnnl_memory_set_data_handle(q->argument[i].memory, (void *)(uintptr_t)numbers) == dnnl_success;
}

static bool run(Kernel *q, int first)
{
  return dnnl_primitive_execute(q->kernel, mine.stream, ARGUMENTS - first, q->argument + first) == dnnl_success;
}

bool onednn_has_bfloat16(void)
{
  return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

bool onednn_gemm(const Gemm *q, const void *a, const void *b)
{
  Kernel *kernel = kernel_for(q, false);
  return kernel && set(kernel, A, a) && set(kernel, B, b) && set(kernel, C, q->c) && run(kernel, A);
}

size_t onednn_laid_out_bytes(const Gemm *q)
{
  Kernel *kernel = kernel_for(q, true);
  return kernel ? kernel->laid_out : 0;
}

bool onednn_lay_out(void *to, const Gemm *q)
{
  Kernel *kernel = kernel_for(q, true);
  return kernel && set(kernel, B, q->b) && set(kernel, C, to) && run(kernel, B);
}

/* oneDNN's sgemm for AVX-512 uses the stack pointer as one register more (seen in 2.6). A handler of a signal would
   write its frame wherever that points, into the heap: no signal comes before the kernel is done. */
void onednn_sgemm(const Gemm *q)
{
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS), sigdelset(&all, SIGSEGV); /* faults, blocked, would end the process without a word */
  pthread_sigmask(SIG_BLOCK, &all, &before);
  dnnl_sgemm(q->a_turned ? 'T' : 'N', q->b_turned ? 'T' : 'N', (dnnl_dim_t)q->m, (dnnl_dim_t)q->n, (dnnl_dim_t)q->k, 1,
             q->a, (dnnl_dim_t)q->a_step, q->b, (dnnl_dim_t)q->b_step, q->add, q->c, (dnnl_dim_t)q->c_step);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
#endif
