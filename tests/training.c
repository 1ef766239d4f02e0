#include "training.h"

#include "engine/err.h"
#include "fast/fast.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the task ---- */

/* K pairs of a key 1..V/2-1 and a value V/2..V-1, then filler 0, in which each key is asked for once. */
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

static double run_loss(Training *r, Rng *rng, int count, bool learn)
{
  int tokens[HELD_OUT * T], targets[HELD_OUT * T];
  examples(tokens, targets, rng, count);
  r->state = state_new(r->model, count);
  Tensor *loss = model_loss(r->tape, r->model, TOKENS(tokens, count, T), targets, r->state,
                            &(LossOptions){.l2wrap = 1e-4}, NULL);
  real value;
  tensor_read(loss, 0, 1, &value);
  if (learn) {
    tape_backward(r->tape, loss);
    opt_step(r->optim, NULL);
    opt_zero_grad(r->optim);
  }
  tape_reset(r->tape);
  state_free(r->state);
  r->state = NULL;
  return (double)value;
}

static void train(void *arg)
{
  Training *r = arg;
  Rng rng = rng_new(3, 0), other = rng_new(4, 0);
  for (int step = 0; step < r->steps; step++) r->loss[step] = run_loss(r, &rng, B, true);
  r->held_out = run_loss(r, &other, HELD_OUT, false);
  r->bytes = model_param_count(r->model, true) * sizeof(real);
  real *at = r->params = malloc(r->bytes);
  for (int i = 0; i < r->model->count; at += r->model->params[i++].t->n)
    tensor_read(r->model->params[i].t, 0, r->model->params[i].t->n, at);
}

/* It does not start from the official initial values: they hold zero matrices, so that at first a group norm divides
   almost nothing by its own size, and the last bits of a sum decide on the direction. From there the reference itself,
   with one weight moved by one unit in the last place, ends up to 8e-2 apart (v5.1; measured), and any comparison after
   200 steps is luck. Moved away from zero (random_model), training at this rate goes from a loss of 4 to 2.7, below
   that of an even guess (ln V = 3.47) and about as far as knowing which tokens are values (ln V/2 = 2.77), and rounding
   stays small: the largest difference is 1.3e-5. */
static void build(Training *r)
{
  const Version *v = version_find(r->version);
  Dims d = {.V = V, .C = r->C, .L = 1, .N = version_uses(v, offsetof(Dims, N)) ? r->N : 0};
  r->model = random_model(v, &d, 5);
  OptConfig config = {.lr = 3e-3,
                      .beta1 = 0.9,
                      .beta2 = 0.99,
                      .eps = 1e-8,
                      .weight_decay = 0.1,
                      .clip = 1,
                      .warmup = 20,
                      .total = 200,
                      .final = 0.1};
  r->optim = model_optimizer(r->model, &config);
  r->tape = tape_new();
}

const char *training_run(Training *r)
{
  backend_use(r->backend);
  fast_set_threads(r->threads);
  build(r);
  const char *failure = rwkv_protect(train, r);
  tape_free(r->tape);
  if (r->state) state_free(r->state);
  opt_free(r->optim);
  model_free(r->model);
  backend_use(&backend_reference);
  return failure;
}

Training trained(Training r)
{
  const char *failure = training_run(&r);
  if (failure) fail_msg("%s: %s", r.version, failure);
  return r;
}

void assert_same_training(const Training *x, const Training *y, const char *what)
{
  if (memcmp(x->loss, y->loss, sizeof(double) * (size_t)x->steps) || x->held_out != y->held_out)
    fail_msg("%s: losses differ, %s", x->version, what);
  if (x->bytes != y->bytes || memcmp(x->params, y->params, x->bytes))
    fail_msg("%s: parameters differ at the end, %s", x->version, what);
}

void assert_like_reference(const Training *x, const Training *reference)
{
  if (!(fabs(x->held_out - reference->held_out) <= 1e-3 * fabs(reference->held_out)))
    fail_msg("%s: loss %.9g after %d steps, the reference has %.9g", x->version, x->held_out, x->steps,
             reference->held_out);
}
