/* The fast kernels in real training: every version on associative recall.
   - 200 steps end with the loss of the reference, and with the same bits on 1, 2 and 7 threads.
   - In shadow mode some steps find nothing, and give the numbers of the reference; a wrong kernel is found. */
#include "check.h"
#include "engine/err.h"
#include "fast/fast.h"
#include "fast/shadow.h"
#include "models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* In float64 the question is only whether threads change anything; the sanitizers make all ten times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(AVIARY_DOUBLE)
enum { LONG = 20 };
#else
enum { LONG = 200 };
#endif
typedef struct {
  const char *version;
  const Backend *backend;
  int threads, steps, C, N;
  double loss[LONG], held_out; /* of each step; at the end, of examples never trained on */
  real *params;                /* all of them at the end; for free() */
  size_t bytes;
  Model *model;
  Optim *optim;
  Tape *tape;
  State *state; /* of the step at work */
} Training;

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

/* What shadow mode or anything else complains of, or NULL. */
static const char *run(Training *r)
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

static Training trained(Training r)
{
  const char *failure = run(&r);
  if (failure) fail_msg("%s: %s", r.version, failure);
  return r;
}

static void assert_same(const Training *x, const Training *y, const char *what)
{
  if (memcmp(x->loss, y->loss, sizeof(double) * (size_t)x->steps) || x->held_out != y->held_out)
    fail_msg("%s: losses differ, %s", x->version, what);
  if (x->bytes != y->bytes || memcmp(x->params, y->params, x->bytes))
    fail_msg("%s: parameters differ at the end, %s", x->version, what);
}

static void long_run(void **state)
{
  Training r = {.version = *state, .backend = &backend_reference, .threads = 1, .steps = LONG, .C = 32, .N = 16};
  Training want = trained(r);
  r.backend = &backend_fast;
  Training one = trained(r);
  assert_true(LONG < 200 || want.held_out < 0.75 * want.loss[0]);
  if (!(fabs(one.held_out - want.held_out) <= 1e-3 * fabs(want.held_out)))
    fail_msg("%s: loss %.9g after %d steps, the reference has %.9g", r.version, one.held_out, LONG, want.held_out);
  for (int threads = 2; threads <= 7; threads += 5) {
    r.threads = threads;
    Training many = trained(r);
    assert_same(&one, &many, threads == 2 ? "2 threads against 1" : "7 threads against 1");
    free(many.params);
  }
  free(want.params);
  free(one.params);
}

static void shadow_run(void **state)
{
  static const int sizes[][3] = {{32, 16, 5}, {64, 64, 3}}; /* C, N, steps */
  for (int i = 0; i < 2; i++) {
    Training r = {.version = *state,
                  .backend = &backend_shadow,
                  .threads = 2,
                  .steps = sizes[i][2],
                  .C = sizes[i][0],
                  .N = sizes[i][1]};
    Training shadow = trained(r);
    r.backend = &backend_reference;
    Training want = trained(r);
    assert_same(&shadow, &want, "shadow mode against the reference");
    free(shadow.params);
    free(want.params);
  }
}

/* ---- planted errors ---- */

/* The last number of an output becomes wrong, as a wrong kernel would leave it. */
typedef struct {
  OpId id;
  const char *operand;
} Plant;
static const Plant *planted;

static void slip(OpId id, const void *op, bool before)
{
  if (before || id != planted->id) return;
  Operand operand[MOST_OPERANDS];
  for (int i = 0, n = op_rows[id].operands(op, operand); i < n; i++) {
    const Operand *o = &operand[i];
    if (strcmp(o->name, planted->operand)) continue;
    if (o->type == OF_REAL) ((real *)o->data)[o->count - 1] += (real)0.01;
    else ((acc *)o->data)[o->count - 1] *= 1.001;
  }
}

static void wrong_kernels(void **state)
{
  (void)state;
  static const struct {
    Plant plant;
    const char *message;
  } plants[] = {{{OP_linear, "y"}, "shadow: linear: the kernels disagree in y["},
                {{OP_wkv7_backward, "gw"}, "shadow: wkv7_backward: the kernels disagree in gw[4031] of 4032"},
                {{OP_sum_squares, "sum"}, "shadow: sum_squares: the kernels disagree in sum[0] of 1"}};
  for (int i = 0; i < 3; i++) {
    Training r = {.version = "v7", .backend = &backend_shadow, .threads = 2, .steps = 1, .C = 32, .N = 16};
    planted = &plants[i].plant;
    shadow_watch = slip;
    const char *failure = run(&r);
    shadow_watch = NULL;
    if (!failure || !strstr(failure, plants[i].message))
      fail_msg("'%s', expected '%s'", failure ? failure : "no error", plants[i].message);
  }
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  struct CMUnitTest tests[64] = {cmocka_unit_test(wrong_kernels)};
  static char names[64][32];
  int n = 1;
  for (const Version *const *v = version_list(); *v; v++) {
    snprintf(names[n], sizeof *names, "shadow %s", (*v)->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = shadow_run, .initial_state = (void *)(*v)->name}, n++;
    snprintf(names[n], sizeof *names, "%d steps %s", LONG, (*v)->name);
    tests[n] = (struct CMUnitTest){.name = names[n], .test_func = long_run, .initial_state = (void *)(*v)->name}, n++;
  }
  return _cmocka_run_group_tests("fast training", tests, (size_t)n, NULL, NULL);
}
