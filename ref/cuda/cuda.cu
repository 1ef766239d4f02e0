/* The backend: each op of the table has a kernel, or this file does not link. */
#include "blas.h"
#include "open.h"

#include <stdio.h>
#include <string.h>

#define OP(name, Struct, ...) \
  static void call_##name(const void *op) { c_##name((const Struct *)op); }
#include "../engine/op_table.h"

#define OP(name, ...) call_##name,
static void (*const kernels[OP_COUNT])(const void *op) = {
#include "../engine/op_table.h"
};

/* With the time that the device takes for it, if that is asked for: then it waits. */
static void run_timed(OpId id, const void *op)
{
  static cudaEvent_t from, to;
  float ms = 0;
  if (!from) device_check(cudaEventCreate(&from), "event"), device_check(cudaEventCreate(&to), "event");
  device_check(cudaEventRecord(from, device_stream), "event");
  kernels[id](op);
  device_now();
  device_check(cudaEventRecord(to, device_stream), "event");
  device_flush();
  device_check(cudaEventElapsedTime(&ms, from, to), "event");
  device_counts.seconds += (double)ms / 1e3;
}

static void run(OpId id, const void *op)
{
  static OpId last;
  if (id != last) device_now();
  last = id;
  device_begin();
  device_counts.ops++;
  if (device_counts.timed) run_timed(id, op);
  else kernels[id](op);
}

static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }
static bool never(const void *p) { return (void)p, false; }

const Backend backend_cuda = {"cuda", &device_memory, run,         device_flush, any_batch, never,
                              NULL,   &device_counts, device_name, &device_ranks};

static const Backend *open_cuda(const BackendChoice *choice, char *why, size_t size)
{
  static const char *const names[] = {"full", "tf32", "bf16"};
  int in = 0;
  while (in < 3 && strcmp(choice->matmul, names[in])) in++;
  if (in == 3) snprintf(why, size, "--matmul %s: expected full, tf32 or bf16", choice->matmul);
  else if (in && sizeof(real) == 8) snprintf(why, size, "--matmul %s: float64 has only full", choice->matmul);
  else if (device_open(choice, why, size)) {
    products_in = (ProductsIn)in;
    blas_open();
    return &backend_cuda;
  }
  return NULL;
}

extern "C" __attribute__((visibility("default"))) const BackendModule rwkv_backend_module;
const BackendModule rwkv_backend_module = {backend_layout, device_list, open_cuda};
