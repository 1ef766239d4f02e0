/* What everything stands on: errors, memory, random numbers, tensors, the tape. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef AVIARY_POISON
#include <sanitizer/asan_interface.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

/* ---- err ---- */

static void fail_with(void *arg) { rwkv_fail("%s is %d, expected %d", (const char *)arg, 3, 4); }
static void come_back(void *arg) { *(int *)arg += 1; }

static void protect_gives_the_message_or_null(void **state)
{
  (void)state;
  int runs = 0;
  assert_null(rwkv_protect(come_back, &runs));
  assert_int_equal(runs, 1);
  assert_string_equal(rwkv_protect(fail_with, "lr"), "lr is 3, expected 4");
  assert_null(rwkv_protect(come_back, &runs));
}

static void nested(void *arg)
{
  const char **inner = arg;
  *inner = rwkv_protect(fail_with, "inner");
  rwkv_fail("outer after (%s)", *inner); /* the argument lies in the message that is being written */
}

static void protect_nests_and_messages_may_quote_messages(void **state)
{
  (void)state;
  const char *inner = NULL;
  assert_string_equal(rwkv_protect(nested, &inner), "outer after (inner is 3, expected 4)");
  assert_non_null(inner);
}

static void fail_with_a_long_message(void *arg) { rwkv_fail("%s!", (const char *)arg); }

static void long_messages_are_cut(void **state)
{
  (void)state;
  char *text = malloc(5001);
  memset(text, 'x', 5000);
  text[5000] = 0;
  const char *message = rwkv_protect(fail_with_a_long_message, text);
  assert_true(strlen(message) > 200 && strlen(message) < 5000);
  assert_true(strspn(message, "x") == strlen(message));
  free(text);
}

static jmp_buf handled;
static char heard[100];

static void hear(const char *message)
{
  snprintf(heard, sizeof heard, "%s", message);
  longjmp(handled, 1);
}

static void the_handler_hears_what_is_unprotected(void **state)
{
  (void)state;
  rwkv_on_fail(hear);
  heard[0] = 0;
  rwkv_protect(fail_with, "protected");
  assert_string_equal(heard, "");
  if (setjmp(handled) == 0)
    fail_with("open");
  assert_string_equal(heard, "open is 3, expected 4");
  unprotected_failures_fail_the_test();
}

/* Runs fn with no handler in a process of its own; its exit status, and what it wrote to stderr. */
static int in_a_child(void (*fn)(void *), void *arg, char *text, size_t size)
{
  int ends[2], status = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    rwkv_on_fail(NULL);
    fn(arg);
    _exit(0);
  }
  close(ends[1]);
  ssize_t n = read(ends[0], text, size - 1);
  text[n > 0 ? n : 0] = 0;
  close(ends[0]);
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void without_a_handler_the_program_ends(void **state)
{
  (void)state;
  char text[200];
  assert_int_equal(in_a_child(fail_with, "lr", text, sizeof text), 1);
  assert_string_equal(text, "aviary: lr is 3, expected 4\n");
}

static void ask_for_too_much(void *arg)
{
  (void)arg;
  rwkv_alloc(~0UL / 2, 16, "a planet");
}

static void alloc_gives_zeros_or_fails(void **state)
{
  (void)state;
  char *p = rwkv_alloc(100, 3, "text");
  for (int i = 0; i < 300; i++)
    assert_int_equal(p[i], 0);
  free(p);
  p = rwkv_alloc(0, 4, "nothing");
  assert_non_null(p);
  free(p);
  expect_failure(ask_for_too_much, NULL, "out of memory: a planet");
}

/* ---- arena ---- */

static void arena_pieces_are_aligned_and_apart(void **state)
{
  (void)state;
  static const size_t sizes[] = {1, 64, 63, 65, 0, 4096, 7, (size_t)9 << 20, 3};
  enum { N = sizeof sizes / sizeof *sizes };
  Arena a = {0};
  unsigned char *p[N];
  for (int i = 0; i < N; i++) {
    p[i] = arena_alloc(&a, sizes[i]);
    assert_int_equal((uintptr_t)p[i] % 64, 0);
    memset(p[i], i + 1, sizes[i]);
  }
  for (int i = 0; i < N; i++)
    for (size_t j = 0; j < sizes[i]; j++)
      if (p[i][j] != i + 1)
        fail_msg("piece %d was overwritten at %zu", i, j);
  arena_free(&a);
  assert_int_equal(arena_bytes(&a), 0);
}

static void rewinding_gives_the_same_memory_again(void **state)
{
  (void)state;
  Arena a = {0};
  ArenaMark empty = arena_mark(&a);
  int *kept = arena_alloc(&a, sizeof *kept);
  *kept = 42;
  ArenaMark mark = arena_mark(&a);
  void *first = arena_alloc(&a, 1000);
  arena_alloc(&a, (size_t)20 << 20); /* into further blocks */
  arena_alloc(&a, (size_t)20 << 20);
  size_t held = arena_bytes(&a);
  arena_rewind(&a, mark);
  assert_int_equal(*kept, 42);
  assert_ptr_equal(arena_alloc(&a, 1000), first);
  assert_int_equal(arena_bytes(&a), held);
  arena_rewind(&a, empty);
  assert_ptr_equal(arena_alloc(&a, 4), kept);
  arena_reset(&a);
  arena_reset(&a);
  assert_ptr_equal(arena_alloc(&a, 4), kept);
  arena_free(&a);
}

#ifdef AVIARY_POISON
/* Forgotten memory is poisoned in test builds: nobody may look at it, and who gets it next finds NaN. */
static void rewound_memory_is_poisoned(void **state)
{
  (void)state;
  Arena a = {0};
  ArenaMark empty = arena_mark(&a);
  real *x = arena_alloc(&a, 10 * sizeof *x);
  for (int i = 0; i < 10; i++)
    x[i] = 1;
  assert_true(__asan_address_is_poisoned(x + 10));
  arena_rewind(&a, empty);
  assert_true(__asan_address_is_poisoned(x));
  assert_ptr_equal(arena_alloc(&a, 10 * sizeof *x), x);
  for (int i = 0; i < 10; i++)
    assert_true(isnan(x[i]));
  arena_free(&a);
}
#endif

static void a_step(Arena *a, const size_t *sizes, int n)
{
  for (int i = 0; i < n; i++)
    memset(arena_alloc(a, sizes[i]), 1, sizes[i] < 64 ? sizes[i] : 64);
}

static void a_second_identical_step_asks_for_nothing(void **state)
{
  (void)state;
  static const size_t MB = (size_t)1 << 20;
  const size_t plain[] = {5 * MB, 5 * MB, 100, 7 * MB, 3 * MB},
               large[] = {100, 30 * MB, 5 * MB, 9 * MB, 100, 8 * MB}, mixed[] = {7 * MB, 7 * MB, 17 * MB, MB};
  const size_t *steps[] = {plain, large, mixed};
  const int counts[] = {5, 6, 4};
  for (int s = 0; s < 3; s++) {
    Arena a = {0};
    a_step(&a, steps[s], counts[s]);
    size_t held = arena_bytes(&a);
    for (int again = 0; again < 3; again++) {
      arena_reset(&a);
      a_step(&a, steps[s], counts[s]);
      assert_int_equal(arena_bytes(&a), held);
    }
    arena_free(&a);
  }
}

static void ask_arena_for_too_much(void *arg) { arena_alloc(arg, SIZE_MAX / 2); }
static void ask_arena_for_more_than_there_is(void *arg) { arena_alloc(arg, (size_t)1 << 52); }

static void an_impossible_piece_fails(void **state)
{
  (void)state;
  Arena a = {0};
  int *kept = arena_alloc(&a, sizeof *kept);
  *kept = 42;
  expect_failure(ask_arena_for_too_much, &a, "out of memory: one tensor needs 8E");
  expect_failure(ask_arena_for_more_than_there_is, &a, "out of memory: a training step needs 4P");
  assert_int_equal(*kept, 42); /* and the arena goes on */
  assert_non_null(arena_alloc(&a, 100));
  arena_free(&a);
}

/* ---- rng ---- */

/* The known answers published with Random123 (philox4x32, 10 rounds). */
static void philox_known_answers(void **state)
{
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    philox4x32(out, known[i].counter, known[i].key);
    assert_memory_equal(out, known[i].out, sizeof out);
  }
}

/* How seed, stream and count are laid out: written down, since saved runs depend on it. */
static void words_come_from_their_place(void **state)
{
  (void)state;
  Rng r = rng_new(0x299f31d0a4093822u, 0x0370734413198a2eu);
  const uint64_t block = 0x05a308d3243f6a88u;
  r.count = 2 * block;
  uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0x13198a2e, 0x03707344}, out[4];
  philox4x32(out, counter, (uint32_t[]){0xa4093822, 0x299f31d0});
  assert_true(rng_bits(&r) == ((uint64_t)out[1] << 32 | out[0]));
  assert_true(rng_bits(&r) == ((uint64_t)out[3] << 32 | out[2]));
  assert_true(r.count / 2 == block + 1);
  Rng zero = rng_new(0, 0);
  assert_true(rng_bits(&zero) == 0xe169c58d6627e8d5u);
  assert_true(rng_bits(&zero) == 0x9b00dbd8bc57ac4cu);
}

static void uniform_numbers(void **state)
{
  (void)state;
  enum { N = 200000, BINS = 50 };
  Rng r = rng_new(1, 2);
  double sum = 0, squares = 0, lag = 0, before = 0.5, chi = 0;
  int bins[BINS] = {0};
  for (int i = 0; i < N; i++) {
    double u = rng_uniform(&r);
    assert_true(u >= 0 && u < 1);
    sum += u, squares += u * u, lag += (u - 0.5) * (before - 0.5), before = u;
    bins[(int)(u * BINS)]++;
  }
  for (int i = 0; i < BINS; i++)
    chi += pow(bins[i] - N / BINS, 2) / (N / BINS);
  assert_true(fabs(sum / N - 0.5) < 4 * sqrt(1.0 / 12 / N));
  assert_true(fabs(squares / N - 1.0 / 3) < 4 * sqrt(4.0 / 45 / N));
  assert_true(fabs(lag / N) < 4 / 12.0 / sqrt(N));
  assert_true(chi > 25 && chi < 90); /* 49 degrees of freedom */
}

static void normal_numbers(void **state)
{
  (void)state;
  enum { N = 200000 };
  Rng r = rng_new(3, 4);
  double moment[5] = {0};
  int beyond2 = 0;
  for (int i = 0; i < N; i++) {
    double x = rng_normal(&r);
    assert_true(isfinite(x));
    for (int m = 1; m <= 4; m++)
      moment[m] += pow(x, m) / N;
    beyond2 += fabs(x) > 2;
  }
  assert_true(fabs(moment[1]) < 4 / sqrt(N));
  assert_true(fabs(moment[2] - 1) < 4 * sqrt(2.0 / N));
  assert_true(fabs(moment[3]) < 4 * sqrt(15.0 / N));
  assert_true(fabs(moment[4] - 3) < 4 * sqrt(96.0 / N));
  assert_true(fabs((double)beyond2 / N - 0.0455003) < 4 * sqrt(0.0455 / N));
  assert_true(r.count == 2 * N); /* draws can be counted */
}

static void below_is_in_range_and_even(void **state)
{
  (void)state;
  enum { N = 60000 };
  Rng r = rng_new(5, 6);
  for (uint64_t n = 1; n <= 7; n++) {
    int seen[7] = {0};
    for (int i = 0; i < N; i++) {
      uint64_t x = rng_below(&r, n);
      assert_true(x < n);
      seen[x]++;
    }
    double expected = (double)N / (double)n;
    for (uint64_t x = 0; x < n; x++)
      assert_true(fabs(seen[x] - expected) <= 4.5 * sqrt(expected));
  }
  /* With n = 3/4 of 2^64 a bare remainder would fall below 2^62 half of the time, not a third. */
  uint64_t n = (uint64_t)3 << 62;
  int low = 0;
  for (int i = 0; i < N; i++) {
    uint64_t x = rng_below(&r, n);
    assert_true(x < n);
    low += x < (uint64_t)1 << 62;
  }
  assert_true(fabs(low - N / 3.0) < 5 * sqrt(N / 3.0));
}

static void streams_are_independent_and_repeatable(void **state)
{
  (void)state;
  enum { N = 20000 };
  Rng one = rng_new(7, 1), other = rng_new(7, 2), seed = rng_new(8, 1), again = rng_new(7, 1);
  double with_other = 0, with_seed = 0;
  for (int i = 0; i < N; i++) {
    double u = rng_uniform(&one) - 0.5;
    with_other += u * (rng_uniform(&other) - 0.5);
    with_seed += u * (rng_uniform(&seed) - 0.5);
    assert_true(rng_uniform(&again) - 0.5 == u);
  }
  assert_true(fabs(with_other / N) < 4 / 12.0 / sqrt(N));
  assert_true(fabs(with_seed / N) < 4 / 12.0 / sqrt(N));
  Rng a = rng_named(7, "blocks.0"), b = rng_named(7, "blocks.1"), c = rng_named(7, "blocks.0");
  assert_true(a.stream != b.stream);
  assert_true(a.stream == c.stream && a.seed == 7 && a.count == 0);
  assert_true(rng_named(0, "").stream == 0xcbf29ce484222325u);
  assert_true(rng_named(0, "foobar").stream == 0x85944171f73967e8u); /* FNV-1a's published answer */
}

/* ---- tensor ---- */

static void shapes_and_counts(void **state)
{
  (void)state;
  assert_int_equal(shape_count(0, NULL), 1);
  assert_int_equal(shape_count(3, (int[]){2, 3, 5}), 30);
  assert_int_equal(shape_count(2, (int[]){0, 7}), 0);
  assert_string_equal(shape_text(0, NULL), "[]");
  assert_string_equal(shape_text(4, (int[]){1, -2, 2147483647, 4}), "[1,-2,2147483647,4]");
  Tensor *a = tensor_new(2, (int[]){2, 3}), *b = tensor_new(2, (int[]){3, 2}),
         *c = tensor_new(3, (int[]){2, 3, 1});
  Tensor *scalar = tensor_new(0, NULL);
  assert_string_equal(tensor_shape(a), "[2,3]");
  assert_true(same_shape(a, a) && same_shape(scalar, scalar));
  assert_false(same_shape(a, b) || same_shape(a, c) || same_shape(a, scalar));
  assert_int_equal(scalar->n, 1);
  for (size_t i = 0; i < a->n; i++)
    assert_true(a->data[i] == 0);
  free_leaves((Tensor *[]){a, b, c, scalar}, 4);
  tensor_free(NULL);
}

static void negative_size(void *arg) { tensor_free(tensor_new(2, (int[]){2, *(int *)arg})); }
static void many_axes(void *arg) { tensor_free(tensor_new(*(int *)arg, (int[]){1, 1, 1, 1, 1})); }
static void huge(void *arg) { shape_count(4, arg); }

static void bad_shapes_fail(void **state)
{
  (void)state;
  expect_failure(negative_size, &(int){-3}, "a tensor's size cannot be negative: [2,-3]");
  expect_failure(many_axes, &(int){5}, "a tensor has 0 to 4 axes, not 5");
  expect_failure(many_axes, &(int){-1}, "a tensor has 0 to 4 axes, not -1");
  expect_failure(huge, (int[]){1 << 30, 1 << 30, 1 << 30, 1 << 30}, "is too large");
  expect_failure(huge, (int[]){65536, 65536, 65536, 65536}, "[65536,65536,65536,65536] is too large");
}

typedef struct {
  Tensor *t;
  size_t from, n;
} Access;

static void read_it(void *arg)
{
  real out[8];
  Access *a = arg;
  tensor_read(a->t, a->from, a->n, out);
}

static void write_it(void *arg)
{
  static const real in[8];
  Access *a = arg;
  tensor_write(a->t, a->from, a->n, in);
}

static void reading_and_writing_stay_inside(void **state)
{
  (void)state;
  Tensor *t = tensor_new(2, (int[]){2, 3});
  const real in[] = {1, 2, 3};
  real out[8] = {0};
  tensor_write(t, 2, 3, in);
  tensor_read(t, 0, 6, out);
  assert_memory_equal(out, ((real[]){0, 0, 1, 2, 3, 0, 0, 0}), sizeof out);
  tensor_read(t, 6, 0, out);
  tensor_fill(t, 5);
  for (int i = 0; i < 6; i++)
    assert_true(t->data[i] == 5);
  static const size_t bad[][2] = {{0, 7}, {6, 1}, {7, 0}, {5, 2}, {SIZE_MAX, 2}, {2, SIZE_MAX}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    Access a = {t, bad[i][0], bad[i][1]};
    expect_failure(read_it, &a, "the tensor has 6");
    expect_failure(write_it, &a, "the tensor has 6");
  }
  tensor_free(t);
}

/* ---- tape ---- */

static Tensor *number(real value)
{
  Tensor *x = new_leaf(0, NULL, true);
  x->data[0] = value;
  return x;
}

typedef struct {
  Tape *tp;
  Tensor *t;
} On;

static void run_backward(void *arg) { tape_backward(((On *)arg)->tp, ((On *)arg)->t); }
static void use(void *arg) { t_exp(((On *)arg)->tp, ((On *)arg)->t); }

typedef struct {
  TapeWatcher watcher;
  Tensor *watched;
  int calls;
  double saved;
} Saver;

static void save(TapeWatcher *self)
{
  Saver *s = (Saver *)self;
  s->calls++;
  if (s->watched)
    s->saved = s->watched->data[0];
  s->watched = NULL;
}

static void reset_ends_a_step(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  assert_true(tp->recording);
  Tensor *x = number(3);
  Saver second = {.watcher = {save, NULL}}, first = {.watcher = {save, &second.watcher}};
  tp->watchers = &first.watcher;
  first.watched = t_affine(tp, x, 2, 1);
  uint64_t before = tp->generation;
  tape_reset(tp);
  assert_true(tp->generation > before);
  assert_null(tp->last);
  assert_int_equal(first.calls, 1);
  assert_int_equal(second.calls, 1);
  assert_true(first.saved == 7); /* the arena was still there when it looked */
  tp->watchers = NULL;
  tape_free(tp);
  tape_free(NULL);
  tensor_free(x);
}

static void one_step(Tape *tp, Tensor **leaf)
{
  Tensor *S = leaf[1];
  Tensor *y = t_wkv7(tp, leaf[0], t_neg(tp, t_exp(tp, leaf[0])), leaf[0], leaf[0], leaf[0], leaf[0], &S);
  tape_backward(tp, t_add(tp, t_sum_all(tp, t_tanh(tp, y)), t_sum_all(tp, S)));
}

static void a_steady_loop_holds_no_more_memory(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Rng rng = rng_new(1, 1);
  Tensor *leaf[] = {random_leaf(3, (int[]){8, 64, 64}, &rng, 0.1, true),
                    random_leaf(4, (int[]){8, 4, 16, 16}, &rng, 0.1, true)};
  one_step(tp, leaf);
  size_t held = arena_bytes(&tp->arena), numbers = arena_bytes(&tp->numbers);
  for (int i = 0; i < 3; i++) {
    tape_reset(tp);
    one_step(tp, leaf);
    assert_int_equal(arena_bytes(&tp->arena), held);
    assert_int_equal(arena_bytes(&tp->numbers), numbers);
  }
  free_leaves(leaf, 2);
  tape_free(tp);
}

static void recording_off_leaves_nothing(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(2), *constant = tape_zeros(tp, 0, NULL);
  tp->recording = false;
  Tensor *y = t_mul(tp, x, x);
  assert_null(tp->last);
  assert_false(y->needs_grad);
  assert_true(y->data[0] == 4);
  expect_failure(run_backward, &(On){tp, y}, "nothing that this number depends on needs a gradient");
  tp->recording = true;
  assert_false(t_exp(tp, constant)->needs_grad); /* nor do constants */
  assert_null(tp->last);
  Tensor *copy = tape_copy(tp, x);
  assert_false(copy->needs_grad);
  assert_true(copy->data[0] == 2 && copy->data != x->data);
  assert_true(x->grad[0] == 0);
  tensor_free(x);
  tape_free(tp);
}

static void backward_wants_one_number(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = new_leaf(2, (int[]){2, 3}, true);
  expect_failure(run_backward, &(On){tp, t_exp(tp, x)},
                 "backward starts from a single number, not from shape [2,3]");
  tensor_free(x);
  tape_free(tp);
}

static void backward_runs_once(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x), *z = t_mul(tp, y, x);
  tape_backward(tp, z);
  assert_true(x->grad[0] == 27);
  expect_failure(run_backward, &(On){tp, z}, "backward was already run");
  expect_failure(run_backward, &(On){tp, y}, "backward was already run");
  assert_true(x->grad[0] == 27);
  assert_true(z->data[0] == 27); /* values can still be read */
  tensor_free(x);
  tape_free(tp);
}

static void spent_tensors_pass_no_gradient(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x);
  tape_backward(tp, t_affine(tp, y, 2, 0));
  expect_failure(use, &(On){tp, y}, "comes from before backward(): no gradient can flow through it");
  assert_null(tp->last);
  tp->recording = false;
  assert_true(t_affine(tp, y, 1, 1)->data[0] == 10);
  tp->recording = true;
  Tensor *detached = tape_copy(tp, y);
  Tensor *z = t_mul(tp, detached, x); /* leaves are never spent */
  zero_grads(&x, 1);
  tape_backward(tp, z);
  assert_true(x->grad[0] == 9);
  tensor_free(x);
  tape_free(tp);
}

/* A reshaped tensor is its base under another name: it is spent with it, whenever it was made. */
static void spent_through_a_reshape(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *y = t_mul(tp, x, x), *before = t_reshape(tp, y, 1, (int[]){1});
  Tensor *loss = t_reshape(tp, t_affine(tp, before, 2, 0), 0, (int[]){0});
  tape_backward(tp, loss);
  assert_true(x->grad[0] == 12);
  Tensor *after = t_reshape(tp, y, 1, (int[]){1});
  expect_failure(use, &(On){tp, after}, "comes from before backward()");
  expect_failure(use, &(On){tp, before}, "comes from before backward()");
  expect_failure(run_backward, &(On){tp, loss}, "backward was already run");
  tensor_free(x);
  tape_free(tp);
}

static void two_losses_one_after_the_other(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3);
  tape_backward(tp, t_mul(tp, x, x));
  assert_true(x->grad[0] == 6);
  tape_backward(tp, t_affine(tp, x, 5, 0));
  assert_true(x->grad[0] == 11);
  tape_backward(tp, x); /* a leaf is a function of itself */
  assert_true(x->grad[0] == 12);
  tensor_free(x);
  tape_free(tp);
}

/* What the loss does not depend on gets nothing, even if it stands on the same tape. */
static void only_what_the_loss_depends_on(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(3), *other = number(5), *constant = tape_copy(tp, other);
  Tensor *aside = t_mul(tp, other, other);
  tape_backward(tp, t_mul(tp, x, constant));
  assert_true(x->grad[0] == 5 && other->grad[0] == 0);
  assert_null(constant->grad);
  assert_true(aside->data[0] == 25);
  free_leaves((Tensor *[]){x, other}, 2);
  tape_free(tp);
}

/* A tensor used in several places gathers the gradient of all before it passes it on. */
static void gradients_meet(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  Tensor *x = number(2), *y = t_mul(tp, x, x), *z = t_mul(tp, y, y);
  Tensor *sum = t_add(tp, t_add(tp, z, y), t_mul(tp, z, x)); /* x^4 + x^2 + x^5 */
  tape_backward(tp, sum);
  assert_true(x->grad[0] == 4 * 8 + 2 * 2 + 5 * 16);
  tensor_free(x);
  tape_free(tp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(protect_gives_the_message_or_null),
      cmocka_unit_test(protect_nests_and_messages_may_quote_messages),
      cmocka_unit_test(long_messages_are_cut),
      cmocka_unit_test(the_handler_hears_what_is_unprotected),
      cmocka_unit_test(without_a_handler_the_program_ends),
      cmocka_unit_test(alloc_gives_zeros_or_fails),
      cmocka_unit_test(arena_pieces_are_aligned_and_apart),
      cmocka_unit_test(rewinding_gives_the_same_memory_again),
#ifdef AVIARY_POISON
      cmocka_unit_test(rewound_memory_is_poisoned),
#endif
      cmocka_unit_test(a_second_identical_step_asks_for_nothing),
      cmocka_unit_test(an_impossible_piece_fails),
      cmocka_unit_test(philox_known_answers),
      cmocka_unit_test(words_come_from_their_place),
      cmocka_unit_test(uniform_numbers),
      cmocka_unit_test(normal_numbers),
      cmocka_unit_test(below_is_in_range_and_even),
      cmocka_unit_test(streams_are_independent_and_repeatable),
      cmocka_unit_test(shapes_and_counts),
      cmocka_unit_test(bad_shapes_fail),
      cmocka_unit_test(reading_and_writing_stay_inside),
      cmocka_unit_test(reset_ends_a_step),
      cmocka_unit_test(a_steady_loop_holds_no_more_memory),
      cmocka_unit_test(recording_off_leaves_nothing),
      cmocka_unit_test(backward_wants_one_number),
      cmocka_unit_test(backward_runs_once),
      cmocka_unit_test(spent_tensors_pass_no_gradient),
      cmocka_unit_test(spent_through_a_reshape),
      cmocka_unit_test(two_losses_one_after_the_other),
      cmocka_unit_test(only_what_the_loss_depends_on),
      cmocka_unit_test(gradients_meet),
  };
  return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
