/* A backend owns the numbers and runs the ops: their memory, kernels, and what it puts off. Structs, names and index
   lists stay with the host. Nobody above the tape knows which backend is at work. */
#ifndef AVIARY_BACKEND_H
#define AVIARY_BACKEND_H

#include "ops.h"
#include "memory.h"
#include "share.h"

typedef struct { /* what a device has done so far */
  size_t ops, launches, reads;
  size_t bytes, most_bytes; /* of its memory that are taken, and that ever were */
  bool timed;               /* set to wait for every op, and to add up the time that the device takes for it */
  double seconds;
} BackendCounts;

typedef struct { /* programs that compute together, each on a device of its own, whose devices add up */
  size_t id_bytes;
  bool (*id)(void *to, char *why,
             size_t size); /* which one makes for all; false, and why: there is no library for it */
  bool (*join)(const void *id, int rank, int ranks, char *why, size_t size); /* all at once; false, and why */
  /* Between the two: of numbers, as many in every program, the sums over all of them in their place. The order in which
     they are added depends on how many programs there are. */
  void (*begin)(void), (*sum)(real *numbers, size_t n), (*end)(void);
} BackendRanks;

typedef struct {
  const char *name;
  const Memory *memory;
  void (*run)(OpId id, const void *op); /* op: the struct of the row; copied if the work waits */
  void (*flush)(void);                  /* returns when all that was asked for is done */
  /* Hints, which change no result. What follows is about B sequences of T tokens of C channels; */
  void (*batch)(size_t B, size_t T, size_t C);
  bool (*read_later)(const void *p); /* whether work that waits will read p as a whole, after most else is done */
  /* Threads for the host's own loops, as rwkv_share has it; NULL: none. */
  void (*share)(size_t count, ShareWork *work, const void *arg);
  BackendCounts *counts;     /* NULL: it keeps none */
  const char *device;        /* the name of what it computes on, NULL: on the CPU */
  const BackendRanks *ranks; /* NULL: numbers go from program to program over the host */
} Backend;

extern const Backend backend_reference; /* the kernels k_*, at once */

const Backend *backend_now(void);
/* From here on this one. Fails if tensors are there whose memory it cannot reach. */
void backend_use(const Backend *b);

typedef struct {
  int device;                            /* from 0 */
  const char *matmul;                    /* in what products round their factors: "full", "tf32", "bf16" */
  void (*fail)(const char *format, ...); /* rwkv_fail: for what goes wrong later */
} BackendChoice;

/* The backend in a module, a shared object that exports a BackendModule called rwkv_backend_module; it stays loaded.
   Fails with what is wrong with the module, or with what keeps its device from being used. */
typedef struct {
  uint64_t (*layout)(void);                /* backend_layout, as the module was built */
  int (*devices)(char *text, size_t size); /* a line for each; returns how many, and with 0 the text says why */
  const Backend *(*open)(const BackendChoice *choice, char *why, size_t size); /* NULL, and why: it cannot be used */
} BackendModule;
const Backend *backend_open(const char *path, const BackendChoice *choice);
/* Its devices; fails as backend_open does if the module cannot be opened. */
int backend_devices(const char *path, char *text, size_t size);
uint64_t backend_layout(void); /* the same where real and the names, order and sizes of all ops are the same */

/* In what linear maps round their factors from here on, at first FACTORS_FULL. */
void backend_round_factors(Factors as);
Factors backend_factors(void);

/* Its memory, whichever it is: what an arena of numbers takes. backend_alloc fails through rwkv_fail, and `what` names
   it. What waits is done before memory is read, written or given back. */
extern const Memory backend_memory;
void *backend_alloc(size_t bytes, const char *what);
void backend_free(void *p, size_t bytes);
void backend_read(void *to, const void *from, size_t bytes);
void backend_write(void *to, const void *from, size_t bytes);
void backend_write_new(void *to, const void *from, size_t bytes); /* to what no op has seen yet: without a wait */
void backend_flush(void);
size_t backend_far_bytes(void); /* taken of a device's memory, which memory_used does not count */

/* Runs the reference kernel on operands that are in `memory`: brings them to the host and takes back what it writes.
   With this a backend does what it has no kernel for, after its flush. */
void backend_fall_back(const Memory *memory, OpId id, const void *op);

/* run_wkv7(&(Wkv7){...}) and so on. */
extern const Backend *backend_at_work; /* that is backend_now(), for these alone */
#define OP(name, Struct, ...) \
  static inline void run_##name(const Struct *op) { backend_at_work->run(OP_##name, op); }
#include "op_table.h"

#endif
