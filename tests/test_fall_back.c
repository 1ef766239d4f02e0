/* What the fast backend has no kernel for runs on the reference, after what waits: a training step of every version,
   and one of the mixers that other models are made of, gives the parameters of the reference with each fast kernel left
   out in turn. */
#include "check.h"
#include "fast/fast.h"
#include "models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { B = 6, T = 5, C = 32, N = 16, V = 23, LEAVES = 9 };

/* ---- the fast backend, which notes what it is asked for ---- */

static bool asked[OP_COUNT];

static void note(OpId id, const void *op)
{
  asked[id] = true;
  backend_fast.run(id, op);
}

/* ---- what is trained ---- */

typedef struct {
  Model *model; /* NULL: the mixers */
  State *state;
  Tensor *leaf[LEAVES];
  Optim *optim;
} Subject;

/* A step of Adam divides by the gradient's size, which would make much of rounding where that is small; a large eps
   keeps the step in proportion. */
static const OptConfig config = {.lr = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1, .weight_decay = 0.1, .clip = 1};

static void make_mixers(Subject *s)
{
  static const int shapes[LEAVES][3] = {{B, T, C}, {0, C, C}, {0, C, C}, {0, C, C}, {0, C, C},
                                        {0, C, N}, {0, N, C}, {0, N, C}, {0, 1, C}};
  Rng rng = rng_new(5, 0);
  s->optim = opt_new(&config, LEAVES, 0);
  for (int i = 0; i < LEAVES; i++) {
    s->leaf[i] = shapes[i][0] ? tensor_new(3, shapes[i]) : tensor_new(2, shapes[i] + 1);
    real numbers[C * C]; /* the largest has so many */
    random_fill(numbers, s->leaf[i]->n, &rng, 0.4);
    tensor_write(s->leaf[i], 0, s->leaf[i]->n, numbers);
    tensor_need_grad(s->leaf[i]);
    opt_add(s->optim, i, "leaf", s->leaf[i], 1, true);
  }
}

static Tensor *mixers_loss(Tape *tp, const Subject *s)
{
  tape_batch(tp, B, T, C);
  Tensor *const *w = s->leaf, *x = t_l2norm(tp, w[0], 2, 1e-12), *carry = tape_zeros(tp, 2, (int[]){B, C});
  Tensor *u = t_shift(tp, x, &carry), *halves[] = {t_slice(tp, x, 1, 0, 2), t_slice(tp, u, 1, 2, T - 2)};
  Tensor *q = t_linear_bias(tp, x, w[1], t_reshape(tp, w[8], 1, (int[]){C})), *k = t_matmul(tp, u, w[2]);
  Tensor *v = t_linear(tp, t_concat(tp, halves, 2, 1), w[3]);
  Tensor *none = tape_tensor(tp, 3, (int[]){B, 0, C}), *keys[2] = {none, none}, *values[2] = {none, none};
  Tensor *h = tape_zeros(tp, 3, (int[]){B, C, N}), *delta = t_unary(tp, U_SOFTPLUS, t_linear(tp, x, w[4]));
  Tensor *y = t_attention(tp, q, k, v, 2, &keys[0], &values[0]);
  y = t_add(tp, y, t_linear_attention(tp, q, k, v, &keys[1], &values[1]));
  y = t_add(
      tp, y,
      t_selective_scan(tp, q, delta, t_neg(tp, t_exp(tp, w[5])), t_linear(tp, k, w[6]), t_linear(tp, v, w[7]), &h));
  y = t_add(tp, y, t_bmm(tp, t_softmax(tp, t_bmm(tp, q, t_transpose(tp, k, 1, 2))), v));
  return t_mean(tp, t_reshape(tp, t_unary(tp, U_SQUARE, t_cumsum(tp, y, 1)), 1, (int[]){-1}), 0, false);
}

static Subject subject_new(const char *name)
{
  Subject s = {0};
  if (strcmp(name, "mixers") == 0) return make_mixers(&s), s;
  const Version *v = version_find(name);
  Dims d = {.V = V,
            .C = C,
            .L = 2,
            .N = version_uses(v, offsetof(Dims, N)) ? N : 0,
            .ctx = version_uses(v, offsetof(Dims, ctx)) ? T : 0};
  s.model = random_model(v, &d, 3);
  s.state = state_new(s.model, B);
  s.optim = model_optimizer(s.model, &config);
  return s;
}

static Tensor *subject_loss(Tape *tp, Subject *s)
{
  int tokens[B * T], targets[B * T];
  Rng rng = rng_new(4, 0);
  if (!s->model) return mixers_loss(tp, s);
  for (int i = 0; i < B * T; i++)
    tokens[i] = (int)rng_below(&rng, V), targets[i] = rng_below(&rng, 3) ? (int)rng_below(&rng, V) : -1;
  return model_loss(tp, s->model, TOKENS(tokens, B, T), targets, s->state, &(LossOptions){.l2wrap = 1e-4}, NULL);
}

/* All parameters after a step; for free(). */
static real *stepped(const char *name, size_t *n)
{
  Subject s = subject_new(name);
  Tape *tp = tape_new();
  tape_backward(tp, subject_loss(tp, &s));
  opt_step(s.optim, NULL);
  tape_reset(tp);
  *n = 0;
  for (int i = 0; i < s.optim->count; i++) *n += s.optim->params[i].p->n;
  real *all = malloc(*n * sizeof *all), *at = all;
  for (int i = 0; i < s.optim->count; at += s.optim->params[i++].p->n)
    tensor_read(s.optim->params[i].p, 0, s.optim->params[i].p->n, at);
  tape_free(tp);
  opt_free(s.optim);
  if (s.state) state_free(s.state);
  if (s.model) model_free(s.model);
  for (int i = 0; i < LEAVES; i++) tensor_free(s.leaf[i]);
  return all;
}

/* ---- each kernel left out ---- */

static void check(const char *name, const char *left_out, const real *got, const real *want, size_t n, double bound)
{
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - (double)want[i]) <= bound))
      fail_msg("%s, left out: %s: number %zu of its parameters becomes %.9g, expected %.9g", name, left_out, i,
               (double)got[i], (double)want[i]);
}

static void each_left_out(void **state)
{
  const double bound = sizeof(real) == 8 ? 1e-11 : 2e-5;
  size_t n;
  real *want = stepped(*state, &n);
  static Backend noting;
  noting = backend_fast, noting.run = note;
  backend_use(&noting);
  fast_set_threads(2);
  fast_set_tile(64); /* everything waits that can */
  memset(asked, 0, sizeof asked);
  real *fast = stepped(*state, &n);
  check(*state, "nothing", fast, want, n, bound);
  for (OpId id = 0; id < OP_COUNT; id++) {
    if (!fast_has(id)) continue;
    fast_leave_out(id, true);
    if (!asked[id]) continue; /* until the end */
    real *got = stepped(*state, &n);
    check(*state, op_rows[id].name, got, want, n, bound);
    free(got);
    fast_leave_out(id, false);
  }
  real *got = stepped(*state, &n);
  check(*state, "what it does not use", got, fast, n, 0);
  free(want), free(fast), free(got);
}

static int restore(void **state)
{
  (void)state;
  for (OpId id = 0; id < OP_COUNT; id++) fast_leave_out(id, false);
  fast_set_tile(0);
  backend_use(&backend_reference);
  return 0;
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  struct CMUnitTest tests[64] = {{"mixers", each_left_out, NULL, restore, "mixers"}};
  int n = 1;
  for (const Version *const *v = version_list(); *v; v++, n++)
    tests[n] = (struct CMUnitTest){(*v)->name, each_left_out, NULL, restore, (void *)(*v)->name};
  return _cmocka_run_group_tests("fall back", tests, (size_t)n, NULL, NULL);
}
