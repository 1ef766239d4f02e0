/* All that a model does, with its numbers where the process cannot read them (far.h): trained, saved, loaded, packed,
   run token by token, verified. It must give the bits of the reference, whichever half of the ops falls back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "far.h"
#include "files.h"
#include "model_checks.h"
#include "step_programs.h"

#include "engine/err.h"
#include "model/golden.h"
#include "variants.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what a model gives, number by number ---- */

enum { B = 2, T = 7, STEPS = 3 };

typedef struct {
  real *x;
  size_t n;
} Numbers;

static void add(Numbers *all, const real *x, size_t n)
{
  all->x = realloc(all->x, (all->n + n + 1) * sizeof *x);
  memcpy(all->x + all->n, x, n * sizeof *x);
  all->n += n;
}

static void add_tensor(Numbers *all, const Tensor *t)
{
  real *x = numbers_of(t);
  add(all, x, t->n);
  free(x);
}

static void add_gradient(Numbers *all, const Tensor *t)
{
  real *x = calloc(t->n + 1, sizeof *x);
  tensor_read_grad(t, 0, t->n, x);
  add(all, x, t->n);
  free(x);
}

static void add_state(Numbers *all, const State *st)
{
  for (int i = 0; i < st->count; i++) add_tensor(all, st->now[i]);
}

static void add_optim(Numbers *all, const Optim *o)
{
  for (int i = 0; i < o->count; i++) {
    add_tensor(all, o->params[i].p);
    add_tensor(all, o->params[i].m);
    add_tensor(all, o->params[i].v);
  }
}

/* Some steps, with gradient through the state from one half of the sequence to the other. */
static void train(Numbers *all, Model *m, Optim *o)
{
  Tape *tp = tape_new();
  for (int step = 0; step < STEPS; step++) {
    int *tokens = random_tokens((uint64_t)step, 2 * B * T, m->d.V), *targets = tokens + 1;
    Score score;
    State *st = state_new(m, B);
    Tensor *first = model_loss(tp, m, TOKENS(tokens, B, T), targets, st, &(LossOptions){.l2wrap = 1e-4}, &score);
    Tensor *loss = t_add(tp, first,
                         model_loss(tp, m, TOKENS(tokens + B * T - 1, B, T), targets + B * T - 1, st, NULL, NULL));
    tape_backward(tp, loss);
    add_tensor(all, loss);
    add(all, &(real){(real)score.correct}, 1);
    for (int i = 0; i < m->count; i++) add_gradient(all, m->params[i].t);
    add(all, &(real){(real)opt_step(o, NULL)}, 1);
    opt_zero_grad(o);
    tape_reset(tp);
    add_state(all, st);
    state_free(st);
    free(tokens);
  }
  tape_free(tp);
}

/* Token by token, from a copy of the state after the first one. */
static void run(Numbers *all, Model *m)
{
  int *tokens = random_tokens(9, B * T, m->d.V);
  State *st = state_new(m, B);
  for (int t = 0; t < T; t++) {
    real *logits = logits_of(m, tokens + B * t, B, 1, st);
    add(all, logits, (size_t)(B * m->d.V));
    free(logits);
    State *copy = state_copy(st);
    state_free(st);
    st = copy;
  }
  add_state(all, st);
  state_free(st);
  free(tokens);
}

static void load_and_train(Numbers *all, const char *path, const Dims *hooks, const OptConfig *config)
{
  TensorFile *f = file_open(path);
  Model *m = model_load(f, &(LoadOptions){.hooks = hooks});
  Optim *o = model_optimizer(m, config);
  opt_restore(o, "optim.", f);
  file_close(f);
  add_optim(all, o);
  train(all, m, o);
  opt_free(o);
  model_free(m);
}

static void load_packed(Numbers *all, const char *path, const Dims *hooks)
{
  TensorFile *f = file_open(path);
  Model *m = model_load(f, &(LoadOptions){.hooks = hooks, .packed = true});
  file_close(f);
  for (int i = 0; i < m->count; i++) add_tensor(all, m->params[i].t);
  run(all, m);
  model_free(m);
}

/* On the backend at work. */
static Numbers life_of(const Version *v, const Dims *d)
{
  const OptConfig config = {.lr = 1e-2,
                            .beta1 = 0.9,
                            .beta2 = 0.99,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .clip = 1,
                            .warmup = 2,
                            .total = 9,
                            .final = 0.1};
  const char *path = files_path("model");
  Numbers all = {NULL, 0};
  Model *m = random_model(v, d, 3);
  Optim *o = model_optimizer(m, &config);
  train(&all, m, o);
  add_optim(&all, o);
  run(&all, m);
  FileWriter *w = writer_create(path);
  model_write(m, w);
  opt_write(o, "optim.", w);
  writer_finish(w);
  load_and_train(&all, path, d, &config);
  for (int storage = 0; storage < STORAGE_COUNT; storage++) {
    Model *packed = model_pack(m, (Storage)storage);
    run(&all, packed);
    if (storage == STORED_BF16) write_model(packed, path);
    model_free(packed);
  }
  load_packed(&all, path, d);
  opt_free(o);
  model_free(m);
  return all;
}

static void check_numbers(const char *name, bool exchange, Numbers far, Numbers near)
{
  char what[100];
  snprintf(what, sizeof what, "%s, %s ops fall back", name, exchange ? "even" : "odd");
  if (far.n != near.n) fail_msg("%s: %zu numbers, the reference gives %zu", what, far.n, near.n);
  for (size_t i = 0; i < near.n; i++)
    if (memcmp(&near.x[i], &far.x[i], sizeof(real)) != 0)
      fail_msg("%s: number %zu of %zu is %.17g, on the reference %.17g", what, i, near.n, (double)far.x[i],
               (double)near.x[i]);
  if (far_held()) fail_msg("%s: %zu bytes of far memory are still held", what, far_held());
  free(far.x);
}

static void check_life(const char *name, const Version *v, const Dims *d, bool exchange, Numbers near)
{
  far_exchange(exchange);
  backend_use(&backend_far);
  Numbers far = life_of(v, d);
  backend_use(&backend_reference);
  check_numbers(name, exchange, far, near);
}

static void every_version(void **state)
{
  (void)state;
  for (const Version *const *v = version_list(); *v; v++)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      char name[60];
      snprintf(name, sizeof name, "%s, sizes %d", (*v)->name, variant);
      Dims d = small_dims(*v, variant);
      Numbers near = life_of(*v, &d);
      check_life(name, *v, &d, false, near);
      check_life(name, *v, &d, true, near);
      free(near.x);
    }
}

static void every_hook(void **state)
{
  (void)state;
  int seen = 0;
  for (const Version *const *v = version_list(); *v; v++)
    for (const Hook *const *h = hook_list(); *h; h++) {
      if (!(*v)->own[(*h)->slot]) continue;
      char name[60];
      snprintf(name, sizeof name, "%s, %s %s", (*v)->name, hook_slots[(*h)->slot].name, (*h)->name);
      Dims d = small_dims(*v, 1);
      d.hook[(*h)->slot] = *h;
      Numbers near = life_of(*v, &d);
      check_life(name, *v, &d, seen++ % 2, near);
      free(near.x);
    }
  assert_true(seen > 100);
}

/* ---- ops that no version uses ---- */

enum { ROWS = 3, COLUMNS = 4, STATE_SIZE = 3, HEADS = 2 };

static Tensor *leaf(int axes, const int *shape, Rng *rng)
{
  Tensor *t = tensor_new(axes, shape);
  real x[B * ROWS * COLUMNS];
  for (size_t i = 0; i < t->n; i++) x[i] = (real)(rng_uniform(rng) - 1);
  tensor_write(t, 0, t->n, x);
  tensor_need_grad(t);
  return t;
}

static Tensor *sum_of_ops(Tape *tp, Tensor *x, Tensor *A, Tensor *h)
{
  static const int index[B * ROWS * 2] = {0, 3, 1, 1, 2, 0, 3, 3, 1, 2, 0, 2};
  Tensor *running = t_cumsum(tp, x, 1), *keys = x, *values = running;
  Tensor *carry = tape_zeros(tp, 3, (int[]){B, 1, COLUMNS});
  Tensor *chosen = t_where(tp, t_compare(tp, C_GT, x, tape_number(tp, -0.5)), running, x);
  Tensor *share = t_softmax(tp, chosen), *alike = t_bmm(tp, share, t_permute(tp, chosen, (int[]){0, 2, 1}));
  Tensor *S = t_reshape(tp, t_slice(tp, x, 1, 0, 1), 3, (int[]){B, 1, COLUMNS});
  Tensor *none = tape_zeros(tp, 1, (int[]){0}), *asked = none, *rosa_keys = none, *rosa_values = none, *runs = none;
  Tensor *low = t_slice(tp, A, 1, 0, 1), *high = t_slice(tp, A, 1, 1, 1);
  Tensor *found = t_rosa(tp, t_affine(tp, x, 1, 0.5), t_affine(tp, running, 1, 0.7), chosen,
                         &(RosaLevels){low, high, 2, true}, &(RosaState){&asked, &rosa_keys, &rosa_values, &runs});
  Tensor *stepped = t_steps(tp, step_program(STEPS_SMALL, COLUMNS), &x, ROWS, &S);
  Tensor *sums[] = {t_sum_all(tp, t_max(tp, alike, 2, true)),
                    t_sum_all(tp, t_mul(tp, stepped, x)),
                    t_sum_all(tp, t_mul(tp, found, x)),
                    t_sum_all(tp, S),
                    t_sum_all(tp, t_gather(tp, share, index, 2)),
                    t_sum_all(tp, t_attention(tp, share, chosen, x, HEADS, &keys, &values)),
                    t_sum_all(tp, t_conv(tp, x, t_slice(tp, A, 1, 0, 2), &carry)),
                    t_sum_all(tp, t_selective_scan(tp, x, share, A, alike, alike, &h)),
                    t_sum_all(tp, h)};
  Tensor *all = sums[0];
  for (size_t i = 1; i < sizeof sums / sizeof *sums; i++) all = t_add(tp, all, sums[i]);
  return all;
}

static Numbers other_ops(void)
{
  Numbers all = {NULL, 0};
  Rng rng = rng_new(1, 2);
  Tensor *x = leaf(3, (int[]){B, ROWS, COLUMNS}, &rng), *A = leaf(2, (int[]){COLUMNS, STATE_SIZE}, &rng);
  Tensor *h = leaf(3, (int[]){B, COLUMNS, STATE_SIZE}, &rng);
  Tape *tp = tape_new();
  Tensor *sum = sum_of_ops(tp, x, A, h);
  tape_backward(tp, sum);
  add_tensor(&all, sum);
  add_gradient(&all, x);
  add_gradient(&all, A);
  add_gradient(&all, h);
  tape_free(tp);
  tensor_free(x), tensor_free(A), tensor_free(h);
  return all;
}

static void ops_that_no_version_uses(void **state)
{
  (void)state;
  Numbers near = other_ops();
  for (int exchange = 0; exchange <= 1; exchange++) {
    far_exchange(exchange);
    backend_use(&backend_far);
    Numbers far = other_ops();
    backend_use(&backend_reference);
    check_numbers("other ops", exchange, far, near);
  }
  free(near.x);
}

/* After all that: no op is left out, neither way. */
static void every_op_was_run(void **state)
{
  (void)state;
  for (int id = 0; id < OP_COUNT; id++) {
    FarCalls calls = far_calls((OpId)id);
    if (!calls.kernels || !calls.fall_backs)
      fail_msg("%s ran %zu times, and %zu times it fell back", op_rows[id].name, calls.kernels, calls.fall_backs);
  }
}

/* ---- that it is far ---- */

static void follow(void *p) { *(volatile char *)p = 1; }
static void free_twice(void *p) { backend_far.memory->free(p, 64), backend_far.memory->free(p, 64); }
static void free_less(void *p) { backend_far.memory->free(p, 63); }
static void read_beyond(void *p) { backend_far.memory->read(&(char[2]){0}, (char *)p + 63, 2); }
static void read_the_process(void *p) { backend_far.memory->read(p, &(char){0}, 1); }
static void write_from_far(void *p) { backend_far.memory->write(p, p, 1); }

/* Whether fn(p) ends the process, in a child that says nothing. */
static bool ends_the_process(void (*fn)(void *), void *p)
{
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL), signal(SIGABRT, SIG_DFL); /* cmocka would go on with the tests */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    fclose(stderr);
    close(STDERR_FILENO);
    fn(p);
    _exit(0);
  }
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void mistakes_end_the_process(void **state)
{
  (void)state;
  static void (*const mistakes[])(void *) = {follow,      free_twice,       free_less,
                                             read_beyond, read_the_process, write_from_far};
  char *p = backend_far.memory->alloc(64), text[3] = "";
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
    if (!ends_the_process(mistakes[i], p)) fail_msg("mistake %zu does no harm", i);
  backend_far.memory->write(p + 61, "ab", 3);
  backend_far.memory->read(text, p + 61, 3);
  assert_string_equal(text, "ab");
  assert_int_equal(far_held(), 64);
  backend_far.memory->free(p, 64);
  assert_int_equal(far_held(), 0);
}

/* ---- the official numbers ---- */

static void verify(const char *weights, const char *numbers)
{
  GoldenLine lines[GOLDEN_MAX_LINES];
  TensorFile *f = file_open(weights), *golden = file_open(numbers);
  Model *m = model_load(f, NULL);
  int count = golden_verify(m, golden, 1e-10, lines);
  assert_true(count > 0);
  for (int i = 0; i < count; i++)
    if (!golden_line_ok(&lines[i]))
      fail_msg("%s, %s: %s worst %g at %s[%zu]", numbers, lines[i].kind, lines[i].problem, lines[i].worst, lines[i].at,
               lines[i].index);
  model_free(m);
  file_close(golden), file_close(f);
}

/* Returns how many versions were verified. */
static int verify_all(const char *pattern)
{
  static const char end[] = ".weights.safetensors";
  glob_t found;
  if (glob(pattern, 0, NULL, &found)) return 0;
  int count = (int)found.gl_pathc;
  backend_use(&backend_far);
  for (int i = 0; i < count; i++) {
    char numbers[400];
    const char *weights = found.gl_pathv[i];
    far_exchange(i % 2);
    snprintf(numbers, sizeof numbers, "%.*s.golden.safetensors", (int)(strlen(weights) + 1 - sizeof end), weights);
    verify(weights, numbers);
  }
  backend_use(&backend_reference);
  globfree(&found);
  return count;
}

static void official_numbers(void **state)
{
  (void)state;
  if (sizeof(real) != 8) {
    printf("SKIPPED: 1e-10 is below what float32 can tell; the same code is checked in float64\n");
    skip();
  }
  if (!verify_all("tests/golden/*.weights.safetensors") && !verify_all("../shared/golden/*.weights.safetensors")) {
    printf("SKIPPED: tests/golden, ../shared/golden: no weights are there\n");
    skip();
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_end_the_process),
      cmocka_unit_test(every_version),
      cmocka_unit_test(every_hook),
      cmocka_unit_test(ops_that_no_version_uses),
      cmocka_unit_test(every_op_was_run),
      cmocka_unit_test(official_numbers),
  };
  return cmocka_run_group_tests_name("far", tests, files_setup, files_teardown);
}
