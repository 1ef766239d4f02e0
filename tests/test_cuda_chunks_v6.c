/* wkv6 by chunks of tokens against the reference and the plain kernel of the device. Extreme decays, nothing to forget
   and all to forget, must be as good as any. */
#include "chunk_checks.h"
#include "cuda/on_host_backend.h"
#include "engine/kernels.h"
#include "engine/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ref/cuda/c_wkv6.h; memory of the device is the process's here */
bool wkv6_chunks(const Wkv6 *op, ProductsIn in);
bool wkv6_chunks_backward(const Wkv6Backward *op, ProductsIn in);

/* ---- a call ---- */

enum { R, W, K, V, U, S0, GY, GS1, Y, S1, SEGMENTS, GR, GW, GK, GV, GU, GS0, ARRAYS, OUTPUTS = Y };
static const char *const names[] = {"r",  "w",        "k",  "v",  "u",  "S0", "gy", "gS1", "y",
                                    "S1", "segments", "gr", "gw", "gk", "gv", "gu", "gS0"};

typedef struct {
  size_t B, T, H, N;
  bool one_decay;
  Decay decay;
  unsigned nulls; /* a bit for each of gy and gS1, and of what is written from SEGMENTS on */
} Case;

typedef struct {
  real *x[ARRAYS];
} Numbers;

static size_t count(const Case *c, int i)
{
  size_t tokens = c->B * c->T * c->H * c->N, states = c->B * c->H * c->N * c->N;
  bool is_state = i == S0 || i == S1 || i == GS0 || i == GS1;
  if (i == SEGMENTS) return states * k_segments(c->T);
  if (i == U || i == GU || (c->one_decay && (i == W || i == GW))) return c->H * c->N;
  return is_state ? states : tokens;
}

static bool is_left_out(const Case *c, int i)
{
  if (i == GY || i == GS1) return c->nulls >> (i - GY) & 1;
  return i >= SEGMENTS && c->nulls >> (2 + i - SEGMENTS) & 1;
}

static Numbers numbers_new(const Case *c)
{
  Numbers n;
  Rng rng = rng_new(c->T, c->N + (uint64_t)c->decay);
  for (int i = 0; i < ARRAYS; i++) {
    size_t size = count(c, i);
    n.x[i] = malloc(size * sizeof(real) + 1);
    assert_non_null(n.x[i]);
    for (size_t k = 0; k < size; k++) {
      double z = rng_normal(&rng);
      n.x[i][k] = i == W && c->decay == EXTREME ? extreme_log_decay(&rng) : i == W ? (real)-exp(z - 1) : (real)z;
      if (i >= Y && i <= SEGMENTS) n.x[i][k] = (real)NAN;
    }
  }
  return n;
}

static void numbers_free(Numbers *n)
{
  for (int i = 0; i < ARRAYS; i++) free(n->x[i]);
}

/* ---- running it ---- */

/* In what products are from here on. */
static void products_in(const char *matmul)
{
  char why[300];
  if (rwkv_backend_module.open(&(BackendChoice){0, matmul, NULL}, why, sizeof why) != &backend_cuda)
    fail_msg("%s", why);
}

/* kept: the states that the reference has kept, from which the way back begins; NULL: its own */
static Numbers run(const Case *c, Way way, OnHostOrder order, const Numbers *kept)
{
  Numbers n = numbers_new(c);
  real *x[ARRAYS];
  for (int i = 0; i < ARRAYS; i++) x[i] = is_left_out(c, i) ? NULL : n.x[i];
  Wkv6 f = {x[Y], x[S1], x[SEGMENTS], x[R], x[K], x[V], x[W],
            x[U], x[S0], c->B,        c->T, c->H, c->N, c->one_decay ? 1 : c->B * c->T};
  Wkv6Backward b = {x[GR], x[GW], x[GK], x[GV], x[GU], x[GS0], NULL, x[GY], x[GS1], f};
  if (!kept) b.forward.segments = f.segments = n.x[SEGMENTS];
  else b.forward.segments = kept->x[SEGMENTS];
  on_host_order(order);
  if (way == REFERENCE) {
    b.scratch = malloc(c->B * c->H * (1 + WKV_SEGMENT) * c->N * c->N * sizeof(real));
    k_wkv6(&f), k_wkv6_backward(&b);
    free(b.scratch);
  } else if (way == LOOPS) assert_true(wkv6_chunks(&f, FULL) && wkv6_chunks_backward(&b, FULL));
  else {
    products_in(way == PLAIN ? "full" : "bf16");
    backend_cuda.run(OP_wkv6, &f), backend_cuda.run(OP_wkv6_backward, &b);
  }
  return n;
}

/* ---- comparing ---- */

static void compare(const Case *c, const Numbers *got, const Numbers *want, double allowed, const char *what)
{
  for (int i = OUTPUTS; i < ARRAYS; i++) {
    size_t n = count(c, i);
    if (is_left_out(c, i)) continue;
    Apart a = apart(got->x[i], want->x[i], n, allowed);
    if (a.fits) continue;
    fail_msg("B %zu T %zu H %zu N %zu, %s%s, NULL %x, %s: %s is off by %g, worst %g, of %g", c->B, c->T, c->H, c->N,
             c->decay == MILD ? "mild decays" : "extreme decays", c->one_decay ? ", one for all tokens" : "", c->nulls,
             what, names[i], a.off, a.worst, a.all);
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
  assert_memory_not_equal(tensor.x[Y], plain.x[Y], count(c, Y) * sizeof(real));
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
    for (int way = 0; way < 4; way++)
      check(&(Case){1 + i % 2, lengths[i], 1 + i % 3, i % 2 ? 32 : 64, way % 2, (Decay)(way / 2), 0});
}

static void left_out(void **state)
{
  (void)state;
  for (int i = 0; i < 9; i++) check(&(Case){2, 19, 1, 32, i % 2, MILD, 1u << i});
  check(&(Case){1, 17, 2, 64, true, MILD, 0x1f8 & 0x155});
  check(&(Case){1, 17, 2, 64, false, MILD, 0x1f8 & 0xaa});
  check(&(Case){1, 18, 1, 64, true, MILD, 3 | 4});
}

/* One tensor may be r, w, k and v at once: then so is its gradient. */
static void same_gradient(void **state)
{
  (void)state;
  Case c = {1, 20, 1, 32, false, MILD, 0};
  Numbers kept = run(&c, REFERENCE, ORDER_FORWARD, NULL), apart = run(&c, LOOPS, ORDER_FORWARD, &kept);
  products_in("full");
  Numbers before = numbers_new(&c), plain = numbers_new(&c), loops = numbers_new(&c);
  for (int way = PLAIN; way <= LOOPS; way++) {
    real **x = way == PLAIN ? plain.x : loops.x, *g = x[GR];
    Wkv6 f = {NULL, NULL, kept.x[SEGMENTS], x[R], x[K], x[V], x[W], x[U], x[S0], 1, 20, 1, 32, 20};
    Wkv6Backward back = {g, g, g, g, NULL, NULL, NULL, x[GY], x[GS1], f};
    if (way == PLAIN) backend_cuda.run(OP_wkv6_backward, &back);
    else assert_true(wkv6_chunks_backward(&back, FULL));
  }
  for (size_t i = 0; i < count(&c, GR); i++)
    for (int k = GW; k <= GV; k++) apart.x[GR][i] += apart.x[k][i] - before.x[k][i];
  c.nulls = ~(1u << (2 + GR - SEGMENTS));
  for (int way = PLAIN; way <= LOOPS; way++) {
    Numbers *n = way == PLAIN ? &plain : &loops;
    memcpy(n->x[Y], apart.x[Y], count(&c, Y) * sizeof(real)); /* which are not what is looked at */
    memcpy(n->x[S1], apart.x[S1], count(&c, S1) * sizeof(real));
    compare(&c, n, &apart, exact, way == PLAIN ? "one gradient, plain" : "one gradient, in loops");
  }
  numbers_free(&kept), numbers_free(&apart), numbers_free(&before), numbers_free(&plain), numbers_free(&loops);
}

/* Where there is no kernel on tensor cores, the plain one does it, whatever products are in. */
static void other_sizes(void **state)
{
  (void)state;
  Wkv6 op = {.B = 1, .T = 1, .H = 1, .N = 48, .decay_rows = 1};
  assert_false(wkv6_chunks(&op, BF16) || wkv6_chunks_backward(&(Wkv6Backward){.forward = op}, BF16));
  op.N = 64;
  assert_false(wkv6_chunks(&op, TF32) || wkv6_chunks_backward(&(Wkv6Backward){.forward = op}, TF32));
#ifndef AVIARY_DOUBLE
  Case c = {1, 18, 1, 48, false, MILD, 0};
  Numbers plain = run(&c, PLAIN, ORDER_FORWARD, NULL), other = run(&c, TENSOR_CORES, ORDER_FORWARD, NULL);
  compare(&c, &other, &plain, 0, "N 48 with products in bf16");
  numbers_free(&plain), numbers_free(&other);
#endif
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lengths),
      cmocka_unit_test(left_out),
      cmocka_unit_test(same_gradient),
      cmocka_unit_test(other_sizes),
  };
  return cmocka_run_group_tests_name("wkv6 by chunks", tests, NULL, NULL);
}
