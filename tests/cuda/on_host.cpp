#include "on_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;
unsigned on_host_block;
unsigned char *on_host_dynamic;

/* ---- fibers ---- */

enum { MOST_THREADS = 1024, LANES = 32, STACK = 256 * 1024, MOST_SHARED = 227 * 1024, GUARD = 64 };

/* Saves what a called function must keep on the stack, leaves its address in *from, and goes on at `to`. */
extern "C" void on_host_switch(void **from, void *to);
#if defined(__x86_64__)
__asm__(".text\n.globl on_host_switch\n.hidden on_host_switch\n.type on_host_switch,@function\non_host_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size on_host_switch,.-on_host_switch\n");
enum { SAVED = 6, RETURN = 6, FRAME = 8 };
#elif defined(__aarch64__)
__asm__(".text\n.globl on_host_switch\n.hidden on_host_switch\n.type on_host_switch,%function\non_host_switch:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n  add sp, sp, #160\n  ret\n"
        ".size on_host_switch,.-on_host_switch\n");
enum { SAVED = 20, RETURN = 11, FRAME = 20 };
#else
#error "fibers are written for x86-64 and aarch64"
#endif

typedef enum { READY, AT_BARRIER, AT_WARP, DONE } Where;

typedef struct {
  void *at; /* where its stack ends while it waits */
  Where where;
  dim3 index;
  unsigned mask;  /* AT_WARP: who else must come */
  unsigned turns; /* of shuffles */
  uint64_t brought[2];
} Fiber;

static struct {
  const char *name;
  void (*call)(const void *arg);
  const void *arg;
  Fiber fiber[MOST_THREADS];
  unsigned count, now;
  void *scheduler;
  unsigned char *stacks;
  OnHostOrder order;
  uint64_t random;
} block;

static void complain(const char *what)
{
  fprintf(stderr, "kernel %s, block (%u,%u,%u), thread %u: %s\n", block.name, blockIdx.x, blockIdx.y, blockIdx.z,
          block.now, what);
  abort();
}

static unsigned char *stack_of(unsigned i) { return block.stacks + (size_t)i * STACK; }

#ifdef WATCHED
static const void *scheduler_stack;
static size_t scheduler_size;
#endif

static void to_scheduler(Where where)
{
  Fiber *f = &block.fiber[block.now];
  f->where = where;
#ifdef WATCHED
  void *fake = NULL;
  __sanitizer_start_switch_fiber(where == DONE ? NULL : &fake, scheduler_stack, scheduler_size);
#endif
  on_host_switch(&f->at, block.scheduler);
#ifdef WATCHED
  __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_size);
#endif
}

static void fiber_main(void)
{
#ifdef WATCHED
  __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_size);
#endif
  block.call(block.arg);
  to_scheduler(DONE);
  abort();
}

static void start(unsigned i)
{
  void **top = (void **)(void *)(stack_of(i) + STACK) - FRAME - 2;
#ifdef WATCHED
  enum { LEFT = 4096 }; /* what the last thread here was in when it ended */
  __asan_unpoison_memory_region(stack_of(i) + STACK - LEFT, LEFT);
#endif
  memset(top, 0, (FRAME + 2) * sizeof *top);
  top[RETURN] = (void *)fiber_main;
  block.fiber[i].at = top;
  block.fiber[i].where = READY;
  block.fiber[i].turns = 0;
  block.fiber[i].index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
}

static void go_on(unsigned i)
{
  block.now = i;
  threadIdx = block.fiber[i].index;
#ifdef WATCHED
  void *fake = NULL;
  __sanitizer_start_switch_fiber(&fake, stack_of(i), STACK);
#endif
  on_host_switch(&block.scheduler, block.fiber[i].at);
#ifdef WATCHED
  __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

/* ---- orders ---- */

extern "C" void on_host_order(OnHostOrder order) { block.order = order; }

static uint64_t next_random(void) { return block.random = block.random * 6364136223846793005u + 1442695040888963407u; }

static void make_order(unsigned *order, unsigned n)
{
  for (unsigned i = 0; i < n; i++) order[i] = block.order == ORDER_BACKWARD ? n - 1 - i : i;
  for (unsigned i = n; block.order == ORDER_SHUFFLED && i > 1; i--) {
    unsigned j = (unsigned)((next_random() >> 33) % i), other = order[j];
    order[j] = order[i - 1], order[i - 1] = other;
  }
}

/* ---- barriers ---- */

void __syncthreads(void) { to_scheduler(AT_BARRIER); }

unsigned on_host_lane(void) { return block.now % LANES; }

void __syncwarp(unsigned mask)
{
  block.fiber[block.now].mask = mask;
  to_scheduler(AT_WARP);
}

uint64_t on_host_shuffle(unsigned mask, uint64_t mine, unsigned from)
{
  Fiber *f = &block.fiber[block.now];
  unsigned source = block.now / LANES * LANES + from % LANES, turn = f->turns++ % 2;
  if (!(mask >> (block.now % LANES) & 1)) complain("a shuffle by a lane that is not in its mask");
  f->brought[turn] = mine;
  __syncwarp(mask);
  if (source >= block.count || !(mask >> (source % LANES) & 1)) complain("a shuffle from a lane that is not there");
  return block.fiber[source].brought[turn];
}

/* Whether all lanes that fiber i waits for are here. */
static bool warp_is_here(unsigned i)
{
  unsigned base = i / LANES * LANES, mask = block.fiber[i].mask;
  for (unsigned lane = 0; lane < LANES; lane++) {
    if (!(mask >> lane & 1)) continue;
    if (base + lane >= block.count) continue; /* the block has no such thread */
    const Fiber *f = &block.fiber[base + lane];
    if (f->where != AT_WARP || f->mask != mask) return false;
  }
  return true;
}

/* Of the threads from .. to - 1, whole warps. */
static bool release_warps(unsigned from, unsigned to)
{
  bool any = false;
  for (unsigned i = from; i < to; i++) {
    if (block.fiber[i].where != AT_WARP || !warp_is_here(i)) continue;
    unsigned base = i / LANES * LANES;
    for (unsigned lane = 0; lane < LANES && base + lane < block.count; lane++)
      if (block.fiber[i].mask >> lane & 1) block.fiber[base + lane].where = READY;
    any = true;
  }
  return any;
}

static bool release_barrier(void)
{
  unsigned waiting = 0;
  for (unsigned i = 0; i < block.count; i++) waiting += block.fiber[i].where == AT_BARRIER;
  if (waiting < block.count) return false;
  for (unsigned i = 0; i < block.count; i++) block.fiber[i].where = READY;
  return true;
}

static void run_ready(const unsigned *order, unsigned from, unsigned to)
{
  for (unsigned k = from; k < to; k++)
    if (block.fiber[order[k]].where == READY) go_on(order[k]);
}

/* Until all are at a barrier or have ended: each warp as far as it goes before the next one begins; or shuffled, all of
   them side by side, from shuffle to shuffle. */
static void run_to_barrier(unsigned *order)
{
  bool shuffled = block.order == ORDER_SHUFFLED, backward = block.order == ORDER_BACKWARD;
  unsigned all = block.count, warps = shuffled ? 1 : (all + LANES - 1) / LANES;
  for (unsigned w = 0; w < warps; w++) {
    unsigned warp = backward ? warps - 1 - w : w, from = shuffled ? 0 : warp * LANES;
    unsigned to = shuffled || from + LANES > all ? all : from + LANES;
    do {
      if (shuffled) make_order(order, all);
      /* backward, `order` has the threads from the last one on */
      run_ready(order, backward ? all - to : from, backward ? all - from : to);
    } while (release_warps(from, to));
  }
}

static void run_block(void)
{
  unsigned order[MOST_THREADS];
  make_order(order, block.count);
  for (unsigned i = 0; i < block.count; i++) start(i);
  for (;;) {
    run_to_barrier(order);
    unsigned done = 0;
    for (unsigned i = 0; i < block.count; i++) done += block.fiber[i].where == DONE;
    if (done == block.count) return;
    if (!release_barrier()) complain("threads wait for others that have ended, or are at another barrier");
  }
}

void on_host_run(dim3 blocks, dim3 threads, size_t bytes, const char *name, void (*call)(const void *), const void *arg)
{
  static unsigned char dynamic[MOST_SHARED + GUARD] __attribute__((aligned(128)));
  block.name = name, block.call = call, block.arg = arg;
  block.count = threads.x * threads.y * threads.z;
  blockDim = threads, gridDim = blocks, blockIdx = threadIdx = dim3(0, 0, 0);
  if (!block.stacks) {
    block.stacks = (unsigned char *)mmap(NULL, (size_t)MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block.stacks == MAP_FAILED) abort();
  }
  if (!block.count || block.count > MOST_THREADS) complain("expected 1 to 1024 threads a block");
  if (bytes > MOST_SHARED) complain("more shared memory than a block can have");
  size_t all = (size_t)blocks.x * blocks.y * blocks.z;
  if (!all || blocks.y > 65535 || blocks.z > 65535) complain("expected 1 or more blocks, 65535 at most in y and z");
  on_host_dynamic = dynamic;
  size_t turn = block.order == ORDER_SHUFFLED && all > 1 ? (size_t)(next_random() >> 33) % all : 0;
  for (size_t i = 0; i < all; i++) {
    size_t b = block.order == ORDER_BACKWARD ? all - 1 - i : (i + turn) % all;
    blockIdx = dim3((unsigned)(b % blocks.x), (unsigned)(b / blocks.x % blocks.y), (unsigned)(b / blocks.x / blocks.y));
    on_host_block++;
    memset(dynamic, 0xff, bytes);
    memset(dynamic + bytes, 0x5a, GUARD);
    run_block();
    for (size_t k = 0; k < GUARD; k++)
      if (dynamic[bytes + k] != 0x5a) complain("wrote beyond its shared memory");
  }
}

/* ---- the runtime: one device, whose memory is the process's ---- */

/* In the environment: how many devices there are (1), and what keeps them from being used, if it is set. */
static const char devices[] = "ON_HOST_DEVICES", no_driver[] = "ON_HOST_NO_DRIVER", too_old[] = "ON_HOST_TOO_OLD";

cudaError_t cudaGetDeviceCount(int *count)
{
  const char *number = getenv(devices);
  *count = getenv(no_driver) ? 0 : number ? atoi(number) : 1;
  return getenv(no_driver) ? cudaErrorInsufficientDriver : *count ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
cudaError_t cudaStreamCreate(cudaStream_t *s) { return *s = NULL, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int) { return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t *e) { return *e = NULL, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t) { return *ms = 0, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
  *p = cudaDeviceProp();
  strcpy(p->name, "this processor, thread by thread");
  if (device) snprintf(p->name, sizeof p->name, "this processor again, as device %d", device);
  p->major = getenv(too_old) ? 7 : 8, p->multiProcessorCount = 1, p->totalGlobalMem = (size_t)1 << 34;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int) { return *value = MOST_SHARED, cudaSuccess; }
cudaError_t cudaMallocHost(void **p, size_t bytes)
{
  *p = malloc(bytes);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaMalloc(void **p, size_t bytes)
{
  *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*p) memset(*p, 0xff, bytes);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void *p) { return free(p), cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
  return *free_bytes = *total = (size_t)1 << 34, cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
  return memcpy(to, from, bytes), cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int byte, size_t bytes, cudaStream_t)
{
  return memset(p, byte, bytes), cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void *p, size_t row, int byte, size_t bytes, size_t rows, cudaStream_t)
{
  for (size_t i = 0; i < rows; i++) memset((char *)p + i * row, byte, bytes);
  return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
  return e == cudaSuccess                   ? "no error"
         : e == cudaErrorNoDevice           ? "no CUDA-capable device is detected"
         : e == cudaErrorInsufficientDriver ? "CUDA driver version is insufficient for CUDA runtime version"
                                            : "out of memory";
}
