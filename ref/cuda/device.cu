/* The device: its memory, its stream, and what every launch uses. */
#include "device.h"

#include "open.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cudaStream_t device_stream;
char device_name[256];
BackendCounts device_counts;
size_t device_most_shared;

/* ---- errors ---- */

static void (*program_fails)(const char *format, ...);

void device_fail(const char *format, ...)
{
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (program_fails) program_fails("backend cuda: %s", text);
  fprintf(stderr, "backend cuda: %s\n", text);
  exit(1);
}

void device_check(cudaError_t e, const char *what)
{
  if (e != cudaSuccess) device_fail("%s: %s", what, cudaGetErrorString(e));
}

/* ---- launches ---- */

void device_prepare(const char *name, const void *kernel, size_t shared_bytes)
{
  if (shared_bytes <= 48 * 1024) return;
  cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
  if (e == cudaSuccess) return;
  cudaGetLastError(); /* it is told, and forgotten */
  device_fail("%s: a kernel wants %zu bytes of shared memory, and a block of this device has %zu: %s", name,
              shared_bytes, device_most_shared, cudaGetErrorString(e));
}

void device_launched(const char *kernel)
{
  device_counts.launches++;
  device_check(cudaGetLastError(), kernel);
}

/* ---- scratch ---- */

/* One piece of memory, from which the ops take in turn: the stream runs them one after the other. When it is too small,
   a larger one is taken, and the old ones are given back before the next op. */
enum { MOST_ROOMS = 32 };
typedef struct {
  unsigned char *at;
  size_t size;
} Room;
static struct {
  Room room[MOST_ROOMS]; /* the last one is in use */
  int rooms;
  size_t used;
} scratch;

static void count_bytes(size_t more)
{
  device_counts.bytes += more;
  device_counts.most_bytes = larger(device_counts.most_bytes, device_counts.bytes);
}

static bool add_room(size_t size)
{
  void *at = NULL;
  if (scratch.rooms == MOST_ROOMS) return false;
  if (cudaMalloc(&at, size) != cudaSuccess) {
    cudaGetLastError(); /* it is told, and forgotten */
    return false;
  }
  count_bytes(size);
  scratch.room[scratch.rooms++] = Room{(unsigned char *)at, size};
  scratch.used = 0;
  return true;
}

void device_begin(void)
{
  scratch.used = 0;
  if (scratch.rooms < 2) return;
  device_check(cudaStreamSynchronize(device_stream), "waiting");
  Room last = scratch.room[--scratch.rooms];
  while (scratch.rooms) {
    Room r = scratch.room[--scratch.rooms];
    device_check(cudaFree(r.at), "scratch");
    device_counts.bytes -= r.size;
  }
  scratch.room[scratch.rooms++] = last;
}

/* Twice what the op has asked for so far, so that the next ones find enough; just that, where there is no more. */
void *device_scratch(size_t bytes)
{
  enum { ALIGN = 256, LEAST = 16 << 20 };
  bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  if (!scratch.rooms || scratch.used + bytes > scratch.room[scratch.rooms - 1].size) {
    size_t needed = scratch.used + bytes;
    if (!add_room(larger(LEAST, 2 * needed)) && !add_room(bytes))
      device_fail("the device has no %.1f MB left for what an operation works with: a smaller batch needs less",
                  (double)bytes / 1e6);
  }
  void *p = scratch.room[scratch.rooms - 1].at + scratch.used;
  scratch.used += bytes;
  return p;
}

/* ---- what the host has ---- */

/* Through memory that stays where it is: what it came from may be changed or given back at once. */
static void upload(void *to, const void *from, size_t bytes)
{
  enum { ROOM = 4 << 20, ALIGN = 64 };
  static unsigned char *room;
  static size_t used;
  if (!bytes) return;
  if (!room) device_check(cudaMallocHost((void **)&room, ROOM), "memory for copies");
  bool fits = bytes <= ROOM;
  if (fits && used + bytes > ROOM) device_check(cudaStreamSynchronize(device_stream), "waiting"), used = 0;
  if (fits) from = memcpy(room + used, from, bytes), used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
  device_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device_stream), "copy to the device");
  if (!fits) device_check(cudaStreamSynchronize(device_stream), "waiting");
}

void *device_copy(const void *host, size_t bytes)
{
  void *p = device_scratch(bytes);
  upload(p, host, bytes);
  return p;
}

/* ---- what is put off ---- */

static void (*waits)(void);

void device_later(void (*work)(void))
{
  if (waits != work) device_now();
  waits = work;
}

void device_now(void)
{
  void (*work)(void) = waits;
  waits = NULL;
  if (work) work();
}

/* ---- memory of tensors ---- */

static void *take(size_t bytes)
{
  void *p = NULL;
  if (cudaMalloc(&p, larger(bytes, 1)) != cudaSuccess) {
    cudaGetLastError(); /* it is told, and forgotten */
    return NULL;
  }
  device_check(cudaMemsetAsync(p, 0, bytes, device_stream), "zeros");
  count_bytes(bytes);
  return p;
}

static void give(void *p, size_t bytes)
{
  device_now();
  device_check(cudaFree(p), "free");
  device_counts.bytes -= bytes;
}

static void read(void *to, const void *from, size_t bytes)
{
  device_now();
  device_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device_stream), "copy from the device");
  device_check(cudaStreamSynchronize(device_stream), "waiting");
  device_counts.reads++;
}

static void write(void *to, const void *from, size_t bytes)
{
  device_now();
  upload(to, from, bytes);
}

static bool in_process(void) { return false; }

const Memory device_memory = {take, give, read, write, in_process};

void device_flush(void)
{
  device_now();
  device_check(cudaStreamSynchronize(device_stream), "waiting");
}

/* ---- opening ---- */

int device_list(char *text, size_t size)
{
  int count = 0, driver = 0, runtime = 0;
  cudaError_t e = cudaGetDeviceCount(&count);
  cudaRuntimeGetVersion(&runtime);
  if (e == cudaErrorInsufficientDriver) {
    snprintf(text, size, "there is no driver of NVIDIA, or one that is too old for CUDA %d.%d", runtime / 1000,
             runtime % 1000 / 10);
    return 0;
  }
  if (e != cudaSuccess || !count) {
    snprintf(text, size, "%s", e == cudaSuccess ? "there is no device" : cudaGetErrorString(e));
    return 0;
  }
  cudaDriverGetVersion(&driver);
  size_t used = 0;
  for (int i = 0; i < count && used < size; i++) {
    struct cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    used += (size_t)snprintf(
        text + used, size - used, "%s%d: %s, sm_%d%d, %d multiprocessors, %.1f GiB; CUDA %d.%d, driver for %d.%d",
        i ? "\n" : "", i, p.name, p.major, p.minor, p.multiProcessorCount, (double)p.totalGlobalMem / (1 << 30),
        runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
  }
  return count;
}

bool device_open(const BackendChoice *choice, char *why, size_t size)
{
  int count = device_list(why, size);
  struct cudaDeviceProp p;
  if (!count) return false;
  if (choice->device < 0 || choice->device >= count) {
    snprintf(why, size, "there is no device %d: there %s %d, counted from 0", choice->device, count == 1 ? "is" : "are",
             count);
    return false;
  }
  cudaError_t e = cudaGetDeviceProperties(&p, choice->device);
  if (e == cudaSuccess && p.major < 8) {
    snprintf(why, size, "device %d, %s, is too old: sm_%d%d, expected sm_80 or later", choice->device, p.name, p.major,
             p.minor);
    return false;
  }
  int shared = 0;
  if (e == cudaSuccess) e = cudaSetDevice(choice->device);
  if (e == cudaSuccess) e = cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, choice->device);
  device_most_shared = (size_t)shared;
  if (e == cudaSuccess) e = cudaStreamCreate(&device_stream);
  if (e != cudaSuccess) snprintf(why, size, "device %d: %s", choice->device, cudaGetErrorString(e));
  program_fails = choice->fail;
  snprintf(device_name, sizeof device_name, "%s", p.name);
  return e == cudaSuccess;
}
