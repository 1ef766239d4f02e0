#include "machine.h"

#include "../engine/err.h"
#include "f_inside.h"
#include "fast.h"

#include <stdlib.h>
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

enum { BLOCK = 1 << 20, BLOCKS = 256, PASSES = 10, AHEAD = 2048 / sizeof(uint64_t) }; /* 256 MiB */

typedef struct {
  const uint64_t *words;
  uint64_t *sums; /* [BLOCKS] */
  bool ask_ahead;
} Read;

INLINE uint64_t sum_of(const uint64_t *x, bool ask_ahead)
{
  uint64_t sum = 0;
  for (size_t i = 0; i < BLOCK / sizeof *x; i += 32) { /* four cache lines */
    for (size_t line = 0; ask_ahead && line < 32; line += 8) __builtin_prefetch(x + i + line + AHEAD);
    for (size_t j = 0; j < 32; j++) sum += x[i + j];
  }
  return sum;
}

JOB static void read_blocks(const void *arg, size_t from, size_t to)
{
  const Read *r = arg;
  for (size_t i = from; i < to; i++) {
    const uint64_t *block = r->words + i * (BLOCK / sizeof *r->words);
    r->sums[i] = r->ask_ahead ? sum_of(block, true) : sum_of(block, false);
  }
}

double machine_read_bandwidth(int threads)
{
  uint64_t sums[BLOCKS], *words = rwkv_alloc((size_t)BLOCKS + 1, BLOCK, "measuring the memory");
  double best = 0;
  int before = fast_threads();
  for (size_t i = 0; i < (size_t)BLOCKS * BLOCK / sizeof *words; i += 512) words[i] = i; /* or all pages are one */
  fast_set_threads(threads);
  for (int pass = 0; pass < PASSES; pass++) {
    double start = seconds_now();
    fast_for(BLOCKS, 1, read_blocks, &(Read){words, sums, pass % 2});
    double rate = (double)BLOCKS * BLOCK / (seconds_now() - start);
    if (rate > best) best = rate;
  }
  fast_set_threads(before);
  rwkv_release(words);
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
  fast_set_threads(threads);
  for (int i = 0; i <= PRODUCTS; i++) { /* the first one warms up */
    double start = seconds_now();
    f_matmul(x + 2 * n, x, x + n, SIZE, SIZE, SIZE);
    rates[i] = 2.0 * SIZE * (double)n / (seconds_now() - start);
  }
  fast_set_threads(before);
  rwkv_release(x);
  qsort(rates + 1, PRODUCTS, sizeof *rates, by_size);
  return rates[1 + PRODUCTS / 2];
}
