/* wkv7 by chunks of tokens against the reference and the plain kernels of the device. What bf16 is off by, the
   triangular system passes on. Extreme decays, nothing to forget and all to forget, must be as good as any. */
#include "chunk_checks.h"
#include "cuda/on_host_backend.h"
#include "engine/kernels.h"
#include "engine/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ref/cuda/c_wkv7_chunks.h; memory of the device is the process's here */
bool wkv7_chunks(const Wkv7 *op, ProductsIn in);
bool wkv7_chunks_backward(const Wkv7Backward *op, ProductsIn in);
extern size_t wkv7_slab_bytes; /* ref/cuda/c_wkv7.h */

/* ---- a call ---- */

enum { R, W, K, V, A, B, S0, GY, GS1, Y, S1, SEGMENTS, GR, GW, GK, GV, GA, GB, GS0, ARRAYS };
static const char *const names[] = {"r",  "w",        "k",  "v",  "a",  "b",  "S0", "gy", "gS1", "y",
                                    "S1", "segments", "gr", "gw", "gk", "gv", "ga", "gb", "gS0"};

typedef struct {
  size_t B, T, H, N;
  Decay decay;
  unsigned nulls; /* a bit for each of gy and gS1, and of the gradients from GR on */
} Case;

typedef struct {
  real *x[ARRAYS];
} Numbers;

static size_t count(const Case *c, int i)
{
  size_t states = c->B * c->H * c->N * c->N;
  if (i == SEGMENTS) return states * k_segments(c->T);
  return i == S0 || i == S1 || i == GS0 || i == GS1 ? states : c->B * c->T * c->H * c->N;
}

static bool is_left_out(const Case *c, int i)
{
  if (i == GY || i == GS1) return c->nulls >> (i - GY) & 1;
  return i >= GR && c->nulls >> (2 + i - GR) & 1;
}

static real log_decay(Rng *rng, Decay kind)
{
  return kind == EXTREME ? extreme_log_decay(rng) : (real)-exp(rng_normal(rng) - 2);
}

/* As RWKV-7 has it: a = -kappa of length 1, b = kappa times a rate in (0,1). */
static void removal(const Case *c, real *a, real *b)
{
  for (size_t i = 0; i < c->B * c->T * c->H; i++, a += c->N, b += c->N) {
    double square = 0;
    for (size_t j = 0; j < c->N; j++) square += (double)a[j] * (double)a[j];
    for (size_t j = 0; j < c->N; j++) {
      a[j] = (real)((double)a[j] / sqrt(square));
      b[j] = -a[j] / (real)(1 + exp((double)b[j]));
    }
  }
}

static Numbers numbers_new(const Case *c)
{
  Numbers n;
  Rng rng = rng_new(c->T, c->N + (uint64_t)c->decay);
  for (int i = 0; i < ARRAYS; i++) {
    n.x[i] = malloc(count(c, i) * sizeof(real));
    assert_non_null(n.x[i]);
    for (size_t k = 0; k < count(c, i); k++)
      n.x[i][k] = i == W ? log_decay(&rng, c->decay) : i >= Y && i <= SEGMENTS ? (real)NAN : (real)rng_normal(&rng);
  }
  removal(c, n.x[A], n.x[B]);
  return n;
}

static void numbers_free(Numbers *n)
{
  for (int i = 0; i < ARRAYS; i++) free(n->x[i]);
}

/* Whether there is such a kernel: in float64 the way back of 64 keys would need too much shared memory. */
static bool is_there(const Case *c) { return sizeof(real) == 4 || c->N == 32; }

/* kept: the states that the reference has kept, from which the way back begins; NULL: its own */
static Numbers run(const Case *c, Way way, OnHostOrder order, const Numbers *kept)
{
  Numbers n = numbers_new(c);
  real *x[ARRAYS];
  for (int i = 0; i < ARRAYS; i++) x[i] = is_left_out(c, i) ? NULL : n.x[i];
  Wkv7 f = {x[Y], x[S1], x[SEGMENTS], x[R], x[W], x[K], x[V], x[A], x[B], x[S0], c->B, c->T, c->H, c->N};
  Wkv7Backward b = {x[GR], x[GW], x[GK], x[GV], x[GA], x[GB], x[GS0], NULL, x[GY], x[GS1], f};
  if (kept) b.forward.segments = kept->x[SEGMENTS];
  on_host_order(order);
  if (way == REFERENCE) {
    b.scratch = malloc(c->B * c->H * k_wkv7_scratch(c->N) * sizeof(real));
    assert_non_null(b.scratch);
    k_wkv7(&f), k_wkv7_backward(&b);
    free(b.scratch);
  } else if (way == PLAIN) backend_cuda.run(OP_wkv7, &f), backend_cuda.run(OP_wkv7_backward, &b);
  else {
    ProductsIn in = way == LOOPS ? FULL : BF16;
    assert_true(wkv7_chunks(&f, in));
    assert_true(wkv7_chunks_backward(&b, in) == is_there(c));
  }
  return n;
}

/* ---- comparing ---- */

static void compare(const Case *c, const Numbers *got, const Numbers *want, double allowed, const char *what)
{
  for (int i = Y; i < ARRAYS && (i < GR || is_there(c)); i++) {
    size_t n = count(c, i);
    if (is_left_out(c, i)) continue;
    Apart a = apart(got->x[i], want->x[i], n, allowed);
    if (getenv("SHOW") && allowed > 0)
      printf("%-8s %.2g, worst %.2g: %s\n", names[i], a.off / a.all, a.worst / a.all, what);
    if (a.fits) continue;
    fail_msg("B %zu T %zu H %zu N %zu, %s decays, NULL %x, %s: %s is off by %g, worst %g, of %g", c->B, c->T, c->H,
             c->N, c->decay == MILD ? "mild" : "extreme", c->nulls, what, names[i], a.off, a.worst, a.all);
  }
}

static void check(const Case *c)
{
  Numbers want = run(c, REFERENCE, ORDER_FORWARD, NULL), plain = run(c, PLAIN, ORDER_FORWARD, &want);
  Numbers loops = run(c, LOOPS, ORDER_FORWARD, &want);
  compare(c, &plain, &want, exact, "plain against the reference");
  compare(c, &loops, &want, exact, "in loops against the reference");
  compare(c, &loops, &plain, exact, "in loops against plain");
#ifndef AVIARY_DOUBLE
  Numbers tensor = run(c, TENSOR_CORES, ORDER_FORWARD, &want);
  compare(c, &tensor, &want, in_bf16, "in bf16 against the reference");
  for (int order = ORDER_BACKWARD; order < ORDER_COUNT; order++) {
    Numbers other = run(c, TENSOR_CORES, (OnHostOrder)order, &want);
    compare(c, &other, &tensor, 0, "in bf16, in another order of threads");
    numbers_free(&other);
  }
  numbers_free(&tensor);
#endif
  numbers_free(&want), numbers_free(&plain), numbers_free(&loops);
}

/* ---- what is tried ---- */

static void lengths(void **state)
{
  (void)state;
  static const size_t lengths[] = {1, 15, 16, 17, 33, 100};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    for (int way = 0; way < 2; way++) check(&(Case){1 + i % 2, lengths[i], 1 + i % 3, i % 2 ? 32 : 64, (Decay)way, 0});
  check(&(Case){1, 18, 1, 64, MILD, 0});
}

static void left_out(void **state)
{
  (void)state;
  for (int i = 0; i < 9; i++) check(&(Case){2, 19, 1, 32, MILD, 1u << i});
  check(&(Case){1, 17, 2, 32, MILD, 0x155});
  check(&(Case){1, 17, 2, 64, MILD, 0xaa});
  check(&(Case){1, 18, 1, 32, MILD, 3 | 4});
}

/* One tensor may be all six at once: then so is its gradient. */
static void same_gradient(void **state)
{
  (void)state;
  Case c = {1, 20, 1, 32, MILD, 0};
  Numbers want = run(&c, REFERENCE, ORDER_FORWARD, NULL), before = numbers_new(&c);
  for (size_t i = 0; i < count(&c, GR); i++)
    for (int k = GW; k <= GB; k++) want.x[GR][i] += want.x[k][i] - before.x[k][i];
  for (int way = PLAIN; way <= LOOPS; way++) {
    Numbers got = numbers_new(&c);
    real **x = got.x, *g = x[GR];
    Wkv7 f = {NULL, NULL, want.x[SEGMENTS], x[R], x[W], x[K], x[V], x[A], x[B], x[S0], 1, 20, 1, 32};
    Wkv7Backward b = {g, g, g, g, g, g, NULL, NULL, x[GY], x[GS1], f};
    if (way == PLAIN) backend_cuda.run(OP_wkv7_backward, &b);
    else assert_true(wkv7_chunks_backward(&b, FULL));
    double off = root_of_mean_square(g, want.x[GR], count(&c, GR));
    if (!(off <= exact * root_of_mean_square(g, NULL, count(&c, GR)))) fail_msg("way %d is off by %g", way, off);
    numbers_free(&got);
  }
  numbers_free(&want), numbers_free(&before);
}

/* The plain way back goes slab by slab where all that is kept would be too much: the same, bit for bit. */
static void slabs(void **state)
{
  (void)state;
  const size_t segment = 2 * 32 * 32 * sizeof(real), usual = wkv7_slab_bytes;
  for (unsigned nulls = 0; nulls < 4; nulls++) {
    Case c = {1, 100, 2, 32, MILD, nulls};
    Numbers want = run(&c, PLAIN, ORDER_FORWARD, NULL);
    for (size_t segments = 0; segments < 4; segments++) {
      wkv7_slab_bytes = segments * segment;
      Numbers got = run(&c, PLAIN, ORDER_BACKWARD, NULL);
      compare(&c, &got, &want, 0, "in slabs");
      numbers_free(&got);
    }
    wkv7_slab_bytes = usual;
    numbers_free(&want);
  }
}

static void other_sizes(void **state)
{
  (void)state;
  Wkv7 op = {.B = 1, .T = 1, .H = 1, .N = 48};
  assert_false(wkv7_chunks(&op, BF16));
  assert_false(wkv7_chunks_backward(&(Wkv7Backward){.forward = op}, BF16));
  op.N = 64;
  assert_false(wkv7_chunks(&op, TF32));
}

static int open_device(void **state)
{
  (void)state;
  char why[300];
  return rwkv_backend_module.open(&(BackendChoice){0, "full", NULL}, why, sizeof why) == &backend_cuda ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lengths), cmocka_unit_test(left_out),    cmocka_unit_test(same_gradient),
      cmocka_unit_test(slabs),   cmocka_unit_test(other_sizes),
  };
  return cmocka_run_group_tests_name("wkv7 by chunks", tests, open_device, NULL);
}
