/* Devices that add up: NCCL, opened when several programs ask for it; the module is not linked with it. In what order
   it adds is its own affair: the same for the same number of devices and the same machines. */
#include "open.h"

#include <dlfcn.h>
#include <stdio.h>

/* What nccl.h of version 2 says, as far as it is needed. */
typedef struct {
  char internal[128];
} Id;
typedef struct CommunicatorOfNccl *Communicator;
enum { SUCCESS = 0, SUM = 0, FLOAT32 = 7, FLOAT64 = 8 };

static struct {
  int (*get_id)(Id *);
  int (*join)(Communicator *, int, Id, int);
  int (*sum)(const void *, void *, size_t, int, int, Communicator, cudaStream_t);
  int (*begin)(void), (*end)(void);
  const char *(*text)(int);
} nccl;
static Communicator joined;

static bool open_library(char *why, size_t size)
{
  static const char *const names[] = {"ncclGetUniqueId", "ncclCommInitRank", "ncclAllReduce",
                                      "ncclGroupStart",  "ncclGroupEnd",     "ncclGetErrorString"};
  void **const places[] = {(void **)&nccl.get_id, (void **)&nccl.join, (void **)&nccl.sum,
                           (void **)&nccl.begin,  (void **)&nccl.end,  (void **)&nccl.text};
  void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) return snprintf(why, size, "%s", dlerror()), false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!(*places[i] = dlsym(library, names[i]))) return snprintf(why, size, "libnccl.so.2 has no %s", names[i]), false;
  return true;
}

static bool succeeds(int result, const char *what, char *why, size_t size)
{
  if (result != SUCCESS) snprintf(why, size, "NCCL: %s: %s", what, nccl.text(result));
  return result == SUCCESS;
}

static bool make_id(void *to, char *why, size_t size)
{
  return open_library(why, size) && succeeds(nccl.get_id((Id *)to), "an id", why, size);
}

static bool join(const void *id, int rank, int ranks, char *why, size_t size)
{
  return (nccl.join || open_library(why, size)) &&
         succeeds(nccl.join(&joined, ranks, *(const Id *)id, rank), "joining the others", why, size);
}

static void check(int result)
{
  if (result != SUCCESS) device_fail("NCCL: a sum: %s", nccl.text(result));
}

static void begin(void)
{
  device_now();
  check(nccl.begin());
}

static void sum(real *numbers, size_t n)
{
  int type = sizeof(real) == 8 ? FLOAT64 : FLOAT32;
  check(nccl.sum(numbers, numbers, n, type, SUM, joined, device_stream));
}

static void end(void) { check(nccl.end()); }

const BackendRanks device_ranks = {sizeof(Id), make_id, join, begin, sum, end};
