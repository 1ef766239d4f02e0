/* What must hold between recurrences: a special case of one is another, or of its own. Values, and the gradients of all
   inputs. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <stdio.h>

static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {1, 16, 1, 3}, {2, 19, 3, 2}};

/* A constant decay, repeated for every token: the same bits, and its gradient is the sum. */
static Tensor *run_wkv6_repeated(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  Tensor *S = leaf[S6], *w = t_reshape(tp, leaf[W6], 1, (int[]){z.H * z.N});
  w = t_add(tp, tape_zeros(tp, 3, c->leaf[K6].shape), w);
  Tensor *y = t_wkv6(tp, leaf[R6], w, leaf[K6], leaf[V6], leaf[U6], &S);
  return looked_at(tp, c, y, &S, 1);
}

static Tensor *run_wkv4_repeated(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *abp[] = {leaf[A4], leaf[B4], leaf[P4]}, *w = t_add(tp, tape_zeros(tp, 3, c->leaf[K4].shape), leaf[W4]);
  Tensor *y = t_wkv4(tp, w, leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  return looked_at(tp, c, y, abp, 3);
}

static void a_decay_per_token_may_be_constant(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    OpCase c = wkv6_case("decay", sizes[i], PER_CHANNEL, BOTH), other = c;
    other.run = run_wkv6_repeated;
    check_looks(c, other, 0);
    other = c = wkv4_case("decay", sizes[i], PER_CHANNEL, BOTH);
    other.run = run_wkv4_repeated;
    check_looks(c, other, 0);
  }
}

/* ---- wkv7 that removes nothing is wkv6, read after the update ----

   S_t = diag(e^w) S_{t-1} + k v' in both, and  r' S_t = (r e^w)' S_{t-1} + (r.k) v. So wkv6 with r e^w for
   r and u = e^-w reads the same; where w differs between tokens, u = 0 and (r.k) v is added. */

/* [B,H,N,N] with the last two axes changed over */
static Tensor *transposed(Tape *tp, Tensor *S)
{
  Tensor *rows[16];
  int B = S->shape[0], H = S->shape[1], N = S->shape[2];
  for (int j = 0; j < N; j++) rows[j] = t_reshape(tp, t_slice(tp, S, 3, j, 1), 4, (int[]){B, H, 1, N});
  return t_concat(tp, rows, N, 2);
}

static Tensor *log_decay(Tape *tp, Tensor **leaf, const OpCase *c)
{
  if (c->arg[MODE] == PER_TOKEN) return leaf[W6];
  return t_add(tp, tape_zeros(tp, 3, c->leaf[K6].shape), t_reshape(tp, leaf[W6], 1, (int[]){-1}));
}

static Tensor *run_wkv7_without_removal(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *none = tape_zeros(tp, 3, c->leaf[K6].shape), *S = transposed(tp, leaf[S6]);
  Tensor *y = t_wkv7(tp, leaf[R6], log_decay(tp, leaf, c), leaf[K6], leaf[V6], none, none, &S);
  S = transposed(tp, S);
  y = t_add(tp, y, t_affine(tp, t_sum_all(tp, leaf[U6]), 0, 0)); /* u is a leaf of no effect */
  return looked_at(tp, c, y, &S, 1);
}

static Tensor *run_wkv6_read_after(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  Tensor *S = leaf[S6], *r = t_mul(tp, leaf[R6], t_exp(tp, log_decay(tp, leaf, c)));
  Tensor *u = c->arg[MODE] == PER_TOKEN ? t_affine(tp, leaf[U6], 0, 0) : t_exp(tp, t_neg(tp, leaf[W6]));
  Tensor *y = t_wkv6(tp, r, leaf[W6], leaf[K6], leaf[V6], u, &S);
  if (c->arg[MODE] == PER_TOKEN) {
    int heads[] = {z.B * z.T, z.H, z.N};
    Tensor *rk = t_reshape(tp, t_mul(tp, leaf[R6], leaf[K6]), 3, heads);
    Tensor *now = t_mul(tp, t_sum(tp, rk, 2, true), t_reshape(tp, leaf[V6], 3, heads));
    y = t_add(tp, y, t_reshape(tp, now, 3, c->leaf[K6].shape));
  } else {
    y = t_add(tp, y, t_affine(tp, t_sum_all(tp, leaf[U6]), 0, 0));
  }
  return looked_at(tp, c, y, &S, 1);
}

static void wkv7_that_removes_nothing_is_wkv6(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv6_case("wkv7 without removal", sizes[i], mode, BOTH), other = c;
      c.run = run_wkv7_without_removal;
      other.run = run_wkv6_read_after;
      check_looks(c, other, ALIKE_TOL);
    }
}

/* ---- a selective scan whose channels share one decay is wkv6, read after the update ----

   With x for v, B for k and C for r: S_t [n,d] = diag(e^A) S_{t-1} + delta B x' in both, where wkv6 has delta x for v.
   What wkv6 reads is made the state after the update as above: C e^A for r, and u = e^-A. */

static Tensor *run_scan_of_one_decay(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int D = c->leaf[V6].shape[2];
  Tensor *A = t_add(tp, tape_zeros(tp, 2, (int[]){D, D}), leaf[W6]); /* [D,N]: the same in all rows */
  Tensor *delta = t_affine(tp, tape_zeros(tp, 3, c->leaf[V6].shape), 1, 1), *none = t_sum_all(tp, leaf[U6]);
  Tensor *h = t_reshape(tp, transposed(tp, leaf[S6]), 3, (int[]){c->leaf[V6].shape[0], D, D});
  Tensor *y = t_selective_scan(tp, leaf[V6], delta, A, leaf[K6], leaf[R6], &h);
  Tensor *S = transposed(tp, t_reshape(tp, h, 4, c->leaf[S6].shape));
  return looked_at(tp, c, t_add(tp, y, t_affine(tp, none, 0, 0)), &S, 1);
}

static void a_scan_of_one_decay_is_wkv6(void **state)
{
  (void)state;
  static const Sizes one_head[] = {{2, 5, 1, 3}, {1, 1, 1, 1}, {2, 19, 1, 4}};
  for (size_t i = 0; i < COUNT_OF(one_head); i++) {
    OpCase c = wkv6_case("scan and wkv6", one_head[i], PER_CHANNEL, BOTH), other = c;
    c.run = run_scan_of_one_decay;
    other.run = run_wkv6_read_after;
    check_looks(c, other, ALIKE_TOL);
  }
}

/* ---- where the exponents of wkv4 start is of no importance ---- */

/* Keys and p moved by a number for each channel: only p moves. Undone in p, so that all outputs agree. */
static Tensor *run_wkv4_moved(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *move = t_affine(tp, t_tanh(tp, leaf[U4]), c->number[SPREAD], 0);
  Tensor *abp[] = {leaf[A4], leaf[B4], t_add(tp, leaf[P4], move)};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], t_add(tp, leaf[K4], move), leaf[V4], &abp[0], &abp[1], &abp[2]);
  abp[2] = t_sub(tp, abp[2], move);
  return looked_at(tp, c, y, abp, 3);
}

/* p moved, a and b scaled against it: the same state. As sums a e^p, b e^p it comes out the same too. */
enum { MOVE = EPS }; /* of OpCase.number */
static Tensor *run_wkv4_state(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *move = t_affine(tp, t_tanh(tp, leaf[P4]), c->number[MOVE], 0), *scale = t_exp(tp, t_neg(tp, move));
  Tensor *abp[] = {t_mul(tp, leaf[A4], scale), t_mul(tp, leaf[B4], scale), t_add(tp, leaf[P4], move)};
  Tensor *y = t_wkv4(tp, leaf[W4], leaf[U4], leaf[K4], leaf[V4], &abp[0], &abp[1], &abp[2]);
  Tensor *back = t_exp(tp, abp[2]), *sums[] = {t_mul(tp, abp[0], back), t_mul(tp, abp[1], back)};
  return looked_at(tp, c, y, sums, 2);
}

static Tensor *run_wkv2_for_wkv4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *start = t_exp(tp, leaf[P4]), *ab[] = {t_mul(tp, leaf[A4], start), t_mul(tp, leaf[B4], start)};
  Tensor *y = t_wkv2(tp, leaf[W4], leaf[U4], t_exp(tp, leaf[K4]), leaf[V4], 0, &ab[0], &ab[1]);
  return looked_at(tp, c, y, ab, 2);
}

static void wkv4_does_not_see_where_exponents_start(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv4_case("wkv4 moved", sizes[i], mode, BOTH), other = c;
      other.run = run_wkv4_moved, other.number[SPREAD] = 4;
      check_looks(c, other, 20 * ALIKE_TOL);
      c.name = "wkv4 with another p", c.run = other.run = run_wkv4_state;
      for (int move = -6; move <= 6; move += 4) {
        other.number[MOVE] = move;
        check_looks(c, other, 4 * ALIKE_TOL);
      }
    }
}

static void wkv4_is_wkv2_without_eps(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int start = -3; start <= 3; start += 3) {
      OpCase c = wkv4_case("wkv4 and wkv2", sizes[i], PER_CHANNEL, BOTH), other = c;
      c.arg[CENTRE] = other.arg[CENTRE] = start;
      c.run = run_wkv4_state, other.run = run_wkv2_for_wkv4;
      check_looks(c, other, ALIKE_TOL);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_decay_per_token_may_be_constant), cmocka_unit_test(wkv7_that_removes_nothing_is_wkv6),
      cmocka_unit_test(a_scan_of_one_decay_is_wkv6),       cmocka_unit_test(wkv4_does_not_see_where_exponents_start),
      cmocka_unit_test(wkv4_is_wkv2_without_eps),
  };
  int failed = cmocka_run_group_tests_name("wkv_alike", tests, NULL, NULL);
  printf("worst: values %.2g, gradients %.2g\n", worst_value_apart, worst_gradient_apart);
  return failed;
}
