/* Every recurrence rebuilt, token by token, from elementary ops whose gradients are checked elsewhere: the
   tape differentiates the rebuilt one by itself, and values and all gradients must be the op's, through
   initial and final states too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>

#ifdef AVIARY_DOUBLE
#define REBUILD_VALUE_TOL 1e-12
#define REBUILD_GRADIENT_TOL 1e-12
#else
#define REBUILD_VALUE_TOL 1e-5    /* the rebuilt one rounds every intermediate to 6e-8 */
#define REBUILD_GRADIENT_TOL 3e-4 /* of size 1e-3 where all terms cancel: the key of a first token in wkv1 */
#endif

enum { MOST_TOKENS = 32 };

/* x [B,T,C] at token t, as [B,C], or in heads as [B,H,rows,cols] with rows cols = N. */
static Tensor *token(Tape *tp, Tensor *x, int t)
{
  return t_reshape(tp, t_slice(tp, x, 1, t, 1), 2, (int[]){x->shape[0], x->shape[2]});
}

static Tensor *heads(Tape *tp, Tensor *x, int H, int rows, int cols)
{
  return t_reshape(tp, x, 4, (int[]){x->shape[0], H, rows, cols});
}

static Tensor *div_by(Tape *tp, Tensor *a, Tensor *b) { return t_binary(tp, B_DIV, a, b); }
static Tensor *max_of(Tape *tp, Tensor *a, Tensor *b) { return t_binary(tp, B_MAX, a, b); }

/* y[t] of C numbers for every sequence, as [B,T,C] */
static Tensor *stack(Tape *tp, Tensor **y, const OpCase *c, int key)
{
  const int *s = c->leaf[key].shape;
  for (int t = 0; t < s[1]; t++) y[t] = t_reshape(tp, y[t], 3, (int[]){s[0], 1, s[2]});
  return t_concat(tp, y, s[1], 1);
}

/* ---- wkv1: every pair of tokens ---- */

/* [H,1]: w at a distance, times alpha of the source, times beta of the target */
static Tensor *weight1(Tape *tp, Tensor **leaf, int H, int t, int u)
{
  int ctx = leaf[W1]->shape[1];
  Tensor *w = t_slice(tp, leaf[W1], 1, ctx - 1 - (t - u), 1);
  Tensor *alpha = t_reshape(tp, t_slice(tp, leaf[ALPHA1], 2, u, 1), 2, (int[]){H, 1});
  Tensor *beta = t_reshape(tp, t_slice(tp, leaf[BETA1], 1, t, 1), 2, (int[]){H, 1});
  return t_mul(tp, t_mul(tp, w, alpha), beta);
}

static Tensor *output1(Tape *tp, Tensor **leaf, Tensor *k, Tensor *v, const Sizes *z, int t)
{
  Tensor *sum = NULL, *total = NULL;
  for (int u = 0; u <= t; u++) {
    Tensor *ku = t_reshape(tp, token(tp, k, u), 3, (int[]){z->B, z->H, z->N});
    Tensor *vu = t_reshape(tp, token(tp, v, u), 3, (int[]){z->B, z->H, z->N});
    Tensor *term = t_mul(tp, weight1(tp, leaf, z->H, t, u), t_mul(tp, ku, vu));
    sum = sum ? t_add(tp, sum, term) : term;
    total = total ? t_add(tp, total, ku) : ku;
  }
  return div_by(tp, sum, total);
}

static Tensor *rebuilt1(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K1);
  int before = c->leaf[HK1].shape[1];
  Tensor *k = exp_key1(tp, leaf[K1]), *v = leaf[V1], *y[MOST_TOKENS];
  if (before) {
    k = t_concat(tp, (Tensor *[]){exp_key1(tp, leaf[HK1]), k}, 2, 1);
    v = t_concat(tp, (Tensor *[]){leaf[HV1], v}, 2, 1);
  }
  for (int t = 0; t < z.T; t++) y[t] = output1(tp, leaf, k, v, &z, before + t);
  return looked_at(tp, c, stack(tp, y, c, K1), (Tensor *[]){k, v}, 2);
}

/* ---- wkv2 ---- */

static Tensor *rebuilt2(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *e = exp_key2(tp, leaf[K2]), *a = leaf[A2], *b = leaf[B2], *y[MOST_TOKENS];
  Tensor *lambda = t_exp(tp, leaf[W2]), *U = t_exp(tp, leaf[U2]), *eps = tape_number(tp, c->number[EPS]);
  int T = c->leaf[K2].shape[1];
  for (int t = 0; t < T; t++) {
    Tensor *et = token(tp, e, t), *ev = t_mul(tp, et, token(tp, leaf[V2], t));
    Tensor *top = t_add(tp, a, t_mul(tp, U, ev)), *bottom = t_add(tp, b, t_mul(tp, U, et));
    y[t] = div_by(tp, top, t_add(tp, bottom, eps));
    a = t_add(tp, t_mul(tp, lambda, a), ev);
    b = t_add(tp, t_mul(tp, lambda, b), et);
  }
  return looked_at(tp, c, stack(tp, y, c, K2), (Tensor *[]){a, b}, 2);
}

/* ---- wkv4 ---- */

/* x e^{p - q} + v e^{k - q}; x or v may be 1 (NULL) */
static Tensor *weighted(Tape *tp, Tensor *x, Tensor *p, Tensor *v, Tensor *k, Tensor *q)
{
  Tensor *old = t_exp(tp, t_sub(tp, p, q)), *now = t_exp(tp, t_sub(tp, k, q));
  return t_add(tp, t_mul(tp, x, old), v ? t_mul(tp, v, now) : now);
}

static Tensor *rebuilt4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *a = leaf[A4], *b = leaf[B4], *p = leaf[P4], *y[MOST_TOKENS];
  int T = c->leaf[K4].shape[1];
  for (int t = 0; t < T; t++) {
    Tensor *k = token(tp, leaf[K4], t), *v = token(tp, leaf[V4], t);
    Tensor *now = t_add(tp, leaf[U4], k), *q = max_of(tp, p, now);
    y[t] = div_by(tp, weighted(tp, a, p, v, now, q), weighted(tp, b, p, NULL, now, q));
    Tensor *faded = t_add(tp, p, c->arg[MODE] == PER_TOKEN ? token(tp, leaf[W4], t) : leaf[W4]);
    p = max_of(tp, faded, k);
    a = weighted(tp, a, faded, v, k, p);
    b = weighted(tp, b, faded, NULL, k, p);
  }
  return looked_at(tp, c, stack(tp, y, c, K4), (Tensor *[]){a, b, p}, 3);
}

/* ---- wkv6 ---- */

static Tensor *rebuilt6(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K6);
  int H = z.H, N = z.N;
  Tensor *S = leaf[S6], *y[MOST_TOKENS]; /* [B,H,key,value] */
  Tensor *u = t_reshape(tp, per_channel(tp, leaf[U6], H, N), 4, (int[]){1, H, N, 1});
  for (int t = 0; t < z.T; t++) {
    Tensor *r = heads(tp, token(tp, leaf[R6], t), H, N, 1), *k = heads(tp, token(tp, leaf[K6], t), H, N, 1);
    Tensor *kv = t_mul(tp, k, heads(tp, token(tp, leaf[V6], t), H, 1, N));
    Tensor *w = c->arg[MODE] == PER_TOKEN ? heads(tp, token(tp, leaf[W6], t), H, N, 1)
                                          : t_reshape(tp, per_channel(tp, leaf[W6], H, N), 4, (int[]){1, H, N, 1});
    y[t] = t_sum(tp, t_mul(tp, r, t_add(tp, S, t_mul(tp, u, kv))), 2, false); /* over keys */
    S = t_add(tp, t_mul(tp, t_exp(tp, w), S), kv);
  }
  return looked_at(tp, c, stack(tp, y, c, K6), &S, 1);
}

/* ---- wkv7 ---- */

static Tensor *rebuilt7(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, K7);
  int H = z.H, N = z.N;
  Tensor *S = leaf[S7], *y[MOST_TOKENS], *ones = tape_tensor(tp, 2, (int[]){N, 1}); /* S [B,H,value,key] */
  tensor_fill(ones, 1);
  for (int t = 0; t < z.T; t++) {
    Tensor *x[S7];
    for (int l = 0; l < S7; l++) x[l] = heads(tp, token(tp, leaf[l], t), H, l == V7 ? N : 1, l == V7 ? 1 : N);
    Tensor *sa = t_matmul(tp, t_mul(tp, S, x[A7]), ones); /* [B,H,N,1] */
    S = t_add(tp, t_mul(tp, S, t_exp(tp, x[W7])), t_mul(tp, sa, x[B7]));
    S = t_add(tp, S, t_mul(tp, x[V7], x[K7]));
    y[t] = t_matmul(tp, t_mul(tp, S, x[R7]), ones);
  }
  return looked_at(tp, c, stack(tp, y, c, K7), &S, 1);
}

/* ---- attention ---- */

/* [B,U,C] as [B,H,U,N] */
static Tensor *by_head(Tape *tp, Tensor *x, int H)
{
  int B = x->shape[0], U = x->shape[1], N = x->shape[2] / H;
  return t_permute(tp, t_reshape(tp, x, 4, (int[]){B, U, H, N}), (int[]){0, 2, 1, 3});
}

static Tensor *rebuilt_attention(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Sizes z = sizes_of(c, QA);
  int before = c->leaf[HKA].shape[1];
  Tensor *k = leaf[KA], *v = leaf[VA], *y[MOST_TOKENS];
  if (before) {
    k = t_concat(tp, (Tensor *[]){leaf[HKA], k}, 2, 1);
    v = t_concat(tp, (Tensor *[]){leaf[HVA], v}, 2, 1);
  }
  for (int t = 0; t < z.T; t++) {
    Tensor *seen_k = by_head(tp, t_slice(tp, k, 1, 0, before + t + 1), z.H);
    Tensor *seen_v = by_head(tp, t_slice(tp, v, 1, 0, before + t + 1), z.H);
    Tensor *scores = t_bmm(tp, heads(tp, token(tp, leaf[QA], t), z.H, 1, z.N), t_transpose(tp, seen_k, 2, 3));
    y[t] = t_bmm(tp, t_softmax(tp, t_affine(tp, scores, 1 / sqrt(z.N), 0)), seen_v); /* [B,H,1,N] */
  }
  return looked_at(tp, c, stack(tp, y, c, QA), (Tensor *[]){k, v}, 2);
}

/* ---- the selective scan ---- */

/* x [B,T,n] at token t, as [B,rows,cols] with rows cols = n */
static Tensor *column(Tape *tp, Tensor *x, int t, int rows, int cols)
{
  return t_reshape(tp, token(tp, x, t), 3, (int[]){x->shape[0], rows, cols});
}

static Tensor *rebuilt_scan(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int D = c->leaf[AS].shape[0], N = c->leaf[AS].shape[1];
  Tensor *h = leaf[HS], *y[MOST_TOKENS]; /* [B,D,N] */
  for (int t = 0; t < c->leaf[XS].shape[1]; t++) {
    Tensor *delta = column(tp, leaf[DS], t, D, 1);
    Tensor *in = t_mul(tp, t_mul(tp, delta, column(tp, leaf[XS], t, D, 1)), column(tp, leaf[BS], t, 1, N));
    h = t_add(tp, t_mul(tp, t_exp(tp, t_mul(tp, delta, leaf[AS])), h), in);
    y[t] = t_bmm(tp, h, column(tp, leaf[CS], t, N, 1));
  }
  return looked_at(tp, c, stack(tp, y, c, XS), &h, 1);
}

/* ---- the comparison ---- */

typedef Tensor *Run(Tape *tp, Tensor **leaf, const OpCase *c);

static void check_rebuilt(OpCase c, Run *run)
{
  for (c.arg[LOOK_AT] = OUTPUT; c.arg[LOOK_AT] <= BOTH; c.arg[LOOK_AT]++) {
    OpCase rebuilt = c;
    rebuilt.run = run;
    check_alike(&c, &rebuilt, REBUILD_VALUE_TOL, REBUILD_GRADIENT_TOL);
  }
}

static const Sizes sizes[] = {{2, 5, 2, 3}, {1, 1, 1, 1}, {2, 1, 3, 5}, {1, 16, 1, 3}, {2, 17, 3, 2}, {1, 31, 1, 2}};

static void wkv1(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before < 6; before += 3)
      check_rebuilt(wkv1_case("wkv1", sizes[i], before, sizes[i].T + before + (i % 2 ? 2 : 0), BOTH), rebuilt1);
}

static void wkv2(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    check_rebuilt(wkv2_case("wkv2", sizes[i], 1e-16, BOTH), rebuilt2);
    check_rebuilt(wkv2_case("wkv3", sizes[i], 1e-8, BOTH), rebuilt2);
    check_rebuilt(wkv2_case("wkv2, large eps", sizes[i], 0.5, BOTH), rebuilt2);
  }
}

static void wkv4(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++)
      for (int start = -4; start <= 4; start += 4) {
        OpCase c = wkv4_case("wkv4", sizes[i], mode, BOTH);
        c.arg[CENTRE] = start, c.number[SPREAD] = 2;
        check_rebuilt(c, rebuilt4);
      }
}

static void wkv6(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_HEAD; mode++)
      check_rebuilt(wkv6_case("wkv6", sizes[i], mode, BOTH), rebuilt6);
}

static void wkv7(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) check_rebuilt(wkv7_case("wkv7", sizes[i], BOTH), rebuilt7);
}

static void attention(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before < 6; before += 3)
      check_rebuilt(attention_case("attention", sizes[i], before, BOTH), rebuilt_attention);
}

static void selective_scan(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) check_rebuilt(scan_case("scan", sizes[i], BOTH), rebuilt_scan);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wkv1), cmocka_unit_test(wkv2),      cmocka_unit_test(wkv4),           cmocka_unit_test(wkv6),
      cmocka_unit_test(wkv7), cmocka_unit_test(attention), cmocka_unit_test(selective_scan),
  };
  int failed = cmocka_run_group_tests_name("rebuild", tests, NULL, NULL);
  printf("worst: values %.2g, gradients %.2g\n", worst_value_apart, worst_gradient_apart);
  return failed;
}
