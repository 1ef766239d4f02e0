/* ROSA: official operators, values and gradients; the operators once more, by their definition; the state; what it
   refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/backend.h"
#include "engine/err.h"
#include "engine/rng.h"
#include "engine/tape.h"
#include "fast/fast.h"
#include "files.h"
#include "io/tensor_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/rosa/rosa_ops.golden.safetensors"
enum { BITS = 4, LONGEST = 96 };

/* ---- the definition ---- */

/* The place that is read after token i, or -1: of the longest common suffix of q_0..q_i and k_0..k_e with e < i the
   latest e, and one more. */
static int place_by_definition(const int *q, const int *k, int i)
{
  for (int w = i + 1; w > 0; w--)
    for (int e = i - 1; e >= w - 1; e--) {
      int same = 0;
      while (same < w && q[i - same] == k[e - same]) same++;
      if (same == w) return e + 1;
    }
  return -1;
}

/* ---- symbols as channels ---- */

static Tensor *channels_of(Tape *tp, const int *x, int n)
{
  Tensor *t = tape_tensor(tp, 3, (int[]){1, n, BITS});
  for (int i = 0; i < n * BITS; i++) t->data[i] = (real)(x[i / BITS] >> (i % BITS) & 1 ? 0.5 : -0.5);
  return t;
}

static Tensor *filled(Tape *tp, int n, double x)
{
  Tensor *t = tape_tensor(tp, 1, &n);
  tensor_fill(t, (real)x);
  return t;
}

typedef struct {
  Tensor *queries, *keys, *values, *runs;
} Seen;

static Seen nothing(Tape *tp)
{
  Tensor *none = tape_zeros(tp, 1, (int[]){0});
  return (Seen){none, none, none, none};
}
#define STATE(m) (&(RosaState){&(m).queries, &(m).keys, &(m).values, &(m).runs})

/* The symbols that are found, -1 where there are none: bits are 1 and 2, nothing is 0. */
static void check_symbols(const Tensor *y, const int *want)
{
  for (int t = 0; t < y->shape[1]; t++) {
    int symbol = 0;
    bool found = y->data[t * BITS] != 0;
    for (int j = 0; j < BITS; j++) symbol |= (y->data[t * BITS + j] > (real)1.5) << j;
    assert_int_equal(found ? symbol : -1, want[t]);
  }
}

static void check_operator(const int *q, const int *k, const int *v, const int *want, int n)
{
  Tape *tp = tape_new();
  tp->recording = false;
  RosaLevels l = {filled(tp, BITS, 1), filled(tp, BITS, 2), BITS, false};
  Seen m = nothing(tp), parts = nothing(tp);
  Tensor *tq = channels_of(tp, q, n), *tk = channels_of(tp, k, n), *tv = channels_of(tp, v, n);
  Tensor *y = t_rosa(tp, tq, tk, tv, &l, STATE(m));
  check_symbols(y, want);
  for (int t = 0, step; t < n; t += step) { /* the same in pieces of 1, 2, 3, .. tokens, bit by bit */
    step = t % 5 + 1 < n - t ? t % 5 + 1 : n - t;
    Tensor *piece = t_rosa(tp, t_slice(tp, tq, 1, t, step), t_slice(tp, tk, 1, t, step), t_slice(tp, tv, 1, t, step),
                           &l, STATE(parts));
    assert_memory_equal(piece->data, y->data + t * BITS, (size_t)step * BITS * sizeof(real));
  }
  assert_memory_equal(parts.runs->data, m.runs->data, m.runs->n * sizeof(real));
  tape_reset(tp);
  tape_free(tp);
}

static void random_sequences(const Backend *backend)
{
  backend_use(backend);
  Rng r = rng_named(1, "rosa");
  for (int trial = 0; trial < 600; trial++) {
    int q[LONGEST], k[LONGEST], v[LONGEST], want[LONGEST], n = 1 + (int)rng_below(&r, LONGEST),
                                                           kinds = 1 + (int)rng_below(&r, 4);
    for (int i = 0; i < n; i++) {
      q[i] = (int)rng_below(&r, (uint64_t)kinds), k[i] = (int)rng_below(&r, (uint64_t)kinds);
      v[i] = (int)rng_below(&r, 16);
    }
    for (int i = 0; i < n; i++) {
      int at = place_by_definition(q, k, i);
      want[i] = at < 0 ? -1 : v[at];
    }
    check_operator(q, k, v, want, n);
  }
}

static void random_sequences_by_table(void **state)
{
  (void)state;
  random_sequences(&backend_reference);
}

static void random_sequences_by_automaton(void **state)
{
  (void)state;
  random_sequences(&backend_fast);
}

/* ---- official numbers ---- */

static int read_ints(TensorFile *f, const char *kind, const char *name, int *out)
{
  char full[60];
  snprintf(full, sizeof full, "%s.%s", kind, name);
  const FileTensor *e = file_find(f, full);
  if (!e) return 0;
  file_read_ints(f, e, out);
  return (int)e->n;
}

static void official_operators(void **state)
{
  (void)state;
  static const char *const kinds[] = {"2.64", "4.64", "16.96", "3.1", "2.2"};
  TensorFile *f = file_open(GOLDEN);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    int q[LONGEST], k[LONGEST], v[LONGEST], y[LONGEST], n;
    char kind[20];
    snprintf(kind, sizeof kind, "self.%s", kinds[i]);
    n = read_ints(f, kind, "x", q);
    assert_int_equal(read_ints(f, kind, "y", y), n);
    check_operator(q, q, q, y, n);
    snprintf(kind, sizeof kind, "qkv.%s", kinds[i]);
    n = read_ints(f, kind, "q", q);
    assert_true(n > 0);
    read_ints(f, kind, "k", k), read_ints(f, kind, "v", v), read_ints(f, kind, "y", y);
    check_operator(q, k, v, y, n);
  }
  file_close(f);
}

static Tensor *read_leaf(TensorFile *f, const char *name)
{
  const FileTensor *e = file_find(f, name);
  assert_non_null(e);
  Tensor *t = tensor_new(e->axes, e->shape);
  file_read_tensor(f, e, t);
  tensor_need_grad(t);
  return t;
}

static void check_numbers(TensorFile *f, const char *name, const real *found, size_t n)
{
  const FileTensor *e = file_find(f, name);
  assert_non_null(e);
  assert_int_equal(e->n, n);
  double *want = calloc(n, sizeof *want), tol = sizeof(real) == 8 ? 1e-12 : 2e-5;
  file_read_doubles(f, e, want);
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)found[i] - want[i]) <= tol * fmax(1, fabs(want[i]))))
      fail_msg("%s[%zu]: found %.15g, expected %.15g", name, i, (double)found[i], want[i]);
  free(want);
}

/* One bit, self: the layer of 251014_rosa_1bit_layer.py with its gradient by finite differences of bits. */
static void official_gradient(void **state)
{
  (void)state;
  TensorFile *f = file_open(GOLDEN);
  Tape *tp = tape_new();
  Tensor *x = read_leaf(f, "bit1.x"), *low = read_leaf(f, "bit1.emb0"), *high = read_leaf(f, "bit1.emb1");
  Tensor *gy = read_leaf(f, "bit1.gy");
  Seen m = nothing(tp);
  Tensor *y = t_rosa_self(tp, x, &(RosaLevels){low, high, 1, false}, STATE(m));
  check_numbers(f, "bit1.out", y->data, y->n);
  tape_backward(tp, t_sum_all(tp, t_mul(tp, y, tape_copy(tp, gy))));
  check_numbers(f, "bit1.gx", x->grad, x->n);
  check_numbers(f, "bit1.gemb0", low->grad, low->n);
  check_numbers(f, "bit1.gemb1", high->grad, high->n);
  tape_reset(tp);
  tape_free(tp);
  tensor_free(x), tensor_free(low), tensor_free(high), tensor_free(gy);
  file_close(f);
}

/* ---- gradients of q, k and v: the definition, once more ---- */

typedef struct {
  const real *q, *k, *v, *g, *low, *high;
  int T, C, bits;
  bool none_low;
} Layer;

static int symbol_of(const real *x, int bits)
{
  int s = 0;
  for (int j = 0; j < bits; j++) s |= (x[j] > 0) << j;
  return s;
}

static double weighed_sum(const Layer *l)
{
  double sum = 0;
  for (int c = 0; c < l->C; c += l->bits) {
    int q[40], k[40];
    for (int t = 0; t < l->T; t++)
      q[t] = symbol_of(l->q + t * l->C + c, l->bits), k[t] = symbol_of(l->k + t * l->C + c, l->bits);
    for (int t = 0; t < l->T; t++) {
      int at = place_by_definition(q, k, t);
      for (int i = c; i < c + l->bits; i++) {
        double y = at >= 0       ? (double)(l->v[at * l->C + i] > 0 ? l->high[i] : l->low[i])
                   : l->none_low ? (double)l->low[i]
                                 : 0;
        sum += (double)l->g[t * l->C + i] * y;
      }
    }
  }
  return sum;
}

static void check_differences(const Layer *l, real *x, const real *grad)
{
  for (int i = 0; i < l->T * l->C; i++) {
    real as = x[i];
    x[i] = (real)fabs((double)as) + (real)1e-9;
    double one = weighed_sum(l);
    x[i] = (real)-fabs((double)as);
    double zero = weighed_sum(l), want = (one - zero) / (2 * fmax(fabs((double)as), 1e-3));
    x[i] = as;
    assert_true(fabs((double)grad[i] - want) <= (sizeof(real) == 8 ? 1e-11 : 1e-4) * fmax(1, fabs(want)));
  }
}

static Tensor *random_leaf(Rng *r, int axes, const int *shape)
{
  Tensor *t = tensor_new(axes, shape);
  for (size_t i = 0; i < t->n; i++) t->data[i] = (real)rng_normal(r);
  tensor_need_grad(t);
  return t;
}

/* As a whole, and in two pieces: what is before the second has a part in what it gives. */
static void gradients_of_qkv(void **state)
{
  (void)state;
  Rng r = rng_named(2, "rosa");
  for (int trial = 0; trial < 8; trial++) {
    int T = 13, C = 8, shape[] = {1, T, C}, bits = trial & 1 ? 4 : 1, none_low = trial >> 1 & 1,
        cut = trial >> 2 ? 6 : T;
    Tensor *q = random_leaf(&r, 3, shape), *k = random_leaf(&r, 3, shape), *v = random_leaf(&r, 3, shape);
    Tensor *g = random_leaf(&r, 3, shape), *low = random_leaf(&r, 1, &C), *high = random_leaf(&r, 1, &C), *sum = NULL;
    q->data[3] = 0, k->data[9] = 0; /* a bit of 0, whose gradient divides by the least */
    Tape *tp = tape_new();
    Seen m = nothing(tp);
    for (int t = 0, n = cut; t < T; t += n, n = T - cut) {
      Tensor *y = t_rosa(tp, t_slice(tp, q, 1, t, n), t_slice(tp, k, 1, t, n), t_slice(tp, v, 1, t, n),
                         &(RosaLevels){low, high, bits, none_low}, STATE(m));
      Tensor *part = t_sum_all(tp, t_mul(tp, y, t_slice(tp, tape_copy(tp, g), 1, t, n)));
      sum = sum ? t_add(tp, sum, part) : part;
    }
    tape_backward(tp, sum);
    Layer l = {q->data, k->data, v->data, g->data, low->data, high->data, T, C, bits, none_low};
    check_differences(&l, q->data, q->grad);
    check_differences(&l, k->data, k->grad);
    check_differences(&l, v->data, v->grad);
    tape_reset(tp);
    tape_free(tp);
    tensor_free(q), tensor_free(k), tensor_free(v), tensor_free(g), tensor_free(low), tensor_free(high);
  }
}

/* ---- what it refuses ---- */

typedef struct {
  Tape *tp;
  int k_channels, bits, levels;
} Wrong;

static void call_wrong(void *arg)
{
  const Wrong *w = arg;
  Tensor *q = tape_zeros(w->tp, 3, (int[]){1, 2, 6}), *k = tape_zeros(w->tp, 3, (int[]){1, 2, w->k_channels});
  Seen m = nothing(w->tp);
  t_rosa(w->tp, q, k, q, &(RosaLevels){filled(w->tp, w->levels, 0), filled(w->tp, 6, 1), w->bits, false}, STATE(m));
}

static void refused(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  const struct {
    Wrong w;
    const char *says;
  } wrong[] = {{{tp, 5, 1, 6}, "rosa: k is [1,2,5], expected [1,2,6]"},
               {{tp, 6, 4, 6}, "rosa: 6 channels in symbols of 4 bits, expected a divisor of 6 from 1 to 16"},
               {{tp, 6, 0, 6}, "rosa: 6 channels in symbols of 0 bits"},
               {{tp, 6, 2, 5}, "rosa: low"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    Wrong w = wrong[i].w;
    const char *error = rwkv_protect(call_wrong, &w);
    assert_non_null(error);
    if (!strstr(error, wrong[i].says)) fail_msg("found \"%s\", expected \"%s\"", error, wrong[i].says);
  }
  tape_reset(tp);
  tape_free(tp);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(random_sequences_by_table), TEST(random_sequences_by_automaton),
      TEST(official_operators),        TEST(official_gradient),
      TEST(gradients_of_qkv),          TEST(refused),
  };
  return cmocka_run_group_tests_name("rosa", tests, files_setup, files_teardown);
}
