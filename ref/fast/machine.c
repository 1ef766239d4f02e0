#include "machine.h"

#include "../engine/arena.h"
#include "../engine/err.h"
#include "f_job.h"
#include "fast.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* ---- reading ---- */

typedef uint64_t Words __attribute__((vector_size(64))); /* a cache line */
enum { BLOCK = 1 << 20, BLOCKS = 256, PASSES = 10, LINES = BLOCK / sizeof(Words), AHEAD = 1024 / sizeof(Words) };

typedef struct {
  const Words *lines; /* 256 MiB */
  Words *sums;        /* [BLOCKS] */
  bool ask_ahead;
} Read;

INLINE void sum_of(Words *sum, const Words *x, bool ask_ahead)
{
  Words a = {0}, b = {0}, c = {0}, d = {0}; /* apart, or each would wait for the one before */
  for (size_t i = 0; i < LINES; i += 4) {
    for (size_t j = 0; ask_ahead && j < 4; j++) __builtin_prefetch(x + i + j + AHEAD, 0, 2);
    a += x[i], b += x[i + 1], c += x[i + 2], d += x[i + 3];
  }
  *sum = (a + b) + (c + d);
}

JOB static void read_blocks(const void *arg, size_t from, size_t to)
{
  const Read *r = arg;
  for (size_t i = from; i < to; i++) {
    const Words *block = r->lines + i * LINES;
    if (r->ask_ahead) sum_of(r->sums + i, block, true);
    else sum_of(r->sums + i, block, false);
  }
}

double machine_read_bandwidth(int threads)
{
  Arena memory = {0}; /* in large pages */
  Words *lines = arena_alloc(&memory, (size_t)BLOCKS * BLOCK), *sums = arena_alloc(&memory, BLOCKS * sizeof *sums);
  double best = 0;
  int before = fast_threads();
  backend_flush();
  memset(lines, 1, (size_t)BLOCKS * BLOCK); /* or all pages are one */
  fast_set_threads(threads);
  for (int pass = 0; pass < PASSES; pass++) {
    double start = seconds_now();
    fast_for(BLOCKS, 1, read_blocks, &(Read){lines, sums, pass % 2});
    double rate = (double)BLOCKS * BLOCK / (seconds_now() - start);
    if (rate > best) best = rate;
  }
  fast_set_threads(before);
  arena_free(&memory);
  return best;
}

/* ---- multiplying ---- */

enum { SIZE = 2048, PRODUCTS = 7 };

double machine_gemm_rate(int threads)
{
  size_t n = (size_t)SIZE * SIZE;
  double rates[PRODUCTS + 1];
  int before = fast_threads();
  real *x = rwkv_alloc(3 * n, sizeof *x, "measuring the product of matrices");
  for (size_t i = 0; i < 2 * n; i++) x[i] = (real)(i % 13) - 6;
  backend_flush();
  fast_set_threads(threads);
  for (int i = 0; i <= PRODUCTS; i++) { /* the first one warms up */
    double start = seconds_now();
    f_matmul(&(Matmul){x + 2 * n, x, x + n, SIZE, SIZE, SIZE, backend_factors()});
    backend_flush();
    rates[i] = 2.0 * SIZE * (double)n / (seconds_now() - start);
  }
  fast_set_threads(before);
  rwkv_release(x);
  qsort(rates + 1, PRODUCTS, sizeof *rates, by_size);
  return rates[1 + PRODUCTS / 2];
}
