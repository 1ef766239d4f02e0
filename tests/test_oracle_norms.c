/* Norms, the copy head and tiny attention against the oracles (oracle.h). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "oracle_case.h"

#include <math.h>
#include <string.h>

/* ---- norms ---- */

static const Sizes sizes[] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {2, 1, 3, 5}, {1, 15, 1, 3},
                              {1, 16, 2, 1}, {2, 17, 3, 2}, {1, 33, 1, 7}};

static Tensor *run_group_norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_group_norm(tp, leaf[0], c->arg[0], leaf[1], leaf[2], c->number[0]);
}

static Tensor *run_layer_norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_layer_norm(tp, leaf[0], leaf[1], leaf[2], c->number[0]);
}

static Tensor *run_l2norm(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return t_l2norm(tp, leaf[0], c->arg[0], c->number[0]);
}

static void jvp_group_norm(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  size_t H = (size_t)c->arg[0], C = count_of(&c->leaf[1]);
  oracle_norm_in in = {x[0], x[1], x[2]}, tan = {d[0], d[1], d[2]};
  oracle_group_norm_jvp(count_of(&c->leaf[0]) / C, H, C / H, c->number[0], &in, &tan, y, dy);
}

static void jvp_layer_norm(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  size_t C = count_of(&c->leaf[1]);
  oracle_norm_in in = {x[0], x[1], x[2]}, tan = {d[0], d[1], d[2]};
  oracle_layer_norm_jvp(count_of(&c->leaf[0]) / C, C, c->number[0], &in, &tan, y, dy);
}

static void jvp_l2norm(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  const Shape *s = &c->leaf[0];
  size_t N = (size_t)(s->shape[s->axes - 1] / c->arg[0]);
  oracle_l2_norm_jvp(count_of(s) / N, N, c->number[0], x[0], d[0], y, dy);
}

static void norms(void **state)
{
  (void)state;
  static const double eps[] = {1e-5, 64e-5, 0.5};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t e = 0; e < COUNT_OF(eps); e++) {
      const Sizes *z = &sizes[i];
      int C = z->H * z->N;
      Shape x = SHAPE(z->B, z->T, C), channel = SHAPE(C);
      OpCase c = {"layer norm", run_layer_norm, NULL, NULL, 3, {x, channel, channel}, {z->H}, {eps[e]}};
#ifndef AVIARY_DOUBLE
      c.loosen = 20; /* two channels may be close: then 1/deviation magnifies the rounding of their mean */
#endif
      if (C > 1) check_against(&c, jvp_layer_norm);
      c.name = "group norm", c.run = run_group_norm;
      if (z->N > 1) check_against(&c, jvp_group_norm);
      c.name = "l2norm", c.run = run_l2norm, c.leaves = 1;
      check_against(&c, jvp_l2norm); /* with eps 0.5 some are longer and some shorter */
      c.number[0] = 1e-12;
      check_against(&c, jvp_l2norm);
    }
}

/* ---- the copy head ---- */

enum { COPY_B = 2, COPY_U = 7, COPY_D = 5, COPY_V = 9 };
static const int copy_tokens[COPY_B * COPY_U] = {3, 0, 3, 8, 1, 3, 0, /**/ 2, 2, 2, 5, 8, 0, 2};

/* Leaf 0: q of [B,T], 1: k of [B,U]. arg 0: T, 1: how many of the rows c->index are asked for (0: all). */
static Tensor *run_copy(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *tokens = tape_tensor(tp, 2, (int[]){COPY_B, COPY_U}), *q = leaf[0];
  for (int i = 0; i < COPY_B * COPY_U; i++) tokens->data[i] = (real)copy_tokens[i];
  int count = c->arg[1] ? c->arg[1] : COPY_B * c->arg[0];
  if (c->arg[1]) q = t_rows(tp, t_reshape(tp, q, 2, (int[]){-1, COPY_D}), c->index, 1, &count);
  return t_copy_scores(tp, q, leaf[1], tokens, NULL, c->arg[0], c->arg[1] ? c->index : NULL, count, COPY_V);
}

/* q of the last T positions, put where it belongs in [B,U]; the oracle's rows taken back out. */
static void jvp_copy(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  enum { NQ = COPY_B * COPY_U * COPY_D, NY = COPY_B * COPY_U * COPY_V };
  double q[NQ] = {0}, dq[NQ] = {0}, full[NY] = {0}, dfull[NY] = {0};
  int T = c->arg[0], count = c->arg[1] ? c->arg[1] : COPY_B * T;
  for (int i = 0; i < COPY_B * T; i++) {
    int at = i / T * COPY_U + COPY_U - T + i % T;
    memcpy(q + at * COPY_D, x[0] + i * COPY_D, COPY_D * sizeof *q);
    memcpy(dq + at * COPY_D, d[0] + i * COPY_D, COPY_D * sizeof *q);
  }
  oracle_head_qk_jvp((oracle_qk_dims){COPY_B, COPY_U, COPY_D, COPY_V}, q, x[1], copy_tokens, dq, d[1], full, dfull);
  for (int i = 0; i < count; i++) {
    int row = c->arg[1] ? c->index[i] : i, at = row / T * COPY_U + COPY_U - T + row % T;
    memcpy(y + i * COPY_V, full + at * COPY_V, COPY_V * sizeof *y);
    memcpy(dy + i * COPY_V, dfull + at * COPY_V, COPY_V * sizeof *y);
  }
}

static void copy_scores(void **state)
{
  (void)state;
  static const int rows[] = {5, 0, 3, 4};
  for (int T = 1; T <= COPY_U; T += 2)
    for (int asked = 0; asked <= 4; asked += 2) {
      if (T == 1 && asked) continue;
      OpCase c = {"copy scores", run_copy,     NULL, NULL, 2, {SHAPE(COPY_B, T, COPY_D), SHAPE(COPY_B, COPY_U, COPY_D)},
                  {T, asked},    .index = rows};
      check_against(&c, jvp_copy);
    }
}

/* ---- tiny attention ---- */

enum { X, E, GAMMA, BETA, WQ, WK, WV, TINY_LEAVES };

/* As RWKV-4a has it around t_linear_attention; in two pieces where arg 0 says so. */
static Tensor *run_tiny(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int B = leaf[X]->shape[0], T = leaf[X]->shape[1], C = leaf[X]->shape[2], D = leaf[WQ]->shape[0], cut = c->arg[0];
  Tensor *keys = tape_zeros(tp, 3, (int[]){B, 0, D}), *values = tape_zeros(tp, 3, (int[]){B, 0, C}), *y[2];
  for (int part = 0; part < (cut ? 2 : 1); part++) {
    int from = part ? cut : 0, to = cut && !part ? cut : T;
    Tensor *x = tokens_of(tp, leaf[X], from, to), *e = tokens_of(tp, leaf[E], from, to);
    Tensor *h = t_layer_norm(tp, x, leaf[GAMMA], leaf[BETA], 1e-5);
    Tensor *q = t_affine(tp, t_linear(tp, h, leaf[WQ]), 1 / sqrt(D), 0);
    y[part] = t_linear_attention(tp, q, t_linear(tp, h, leaf[WK]), t_linear(tp, e, leaf[WV]), &keys, &values);
    y[part] = t_add(tp, x, y[part]);
  }
  return cut ? t_concat(tp, y, 2, 1) : y[0];
}

static void jvp_tiny(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  const int *s = c->leaf[X].shape;
  oracle_tiny_dims n = {(size_t)s[0], (size_t)s[1], (size_t)s[2], (size_t)c->leaf[WQ].shape[0]};
  oracle_tiny_in in = {x[X], x[E], x[GAMMA], x[BETA], x[WQ], x[WK], x[WV]};
  oracle_tiny_in tan = {d[X], d[E], d[GAMMA], d[BETA], d[WQ], d[WK], d[WV]};
  oracle_tiny_attention_jvp(n, &in, &tan, y, dy);
}

static void tiny_attention(void **state)
{
  (void)state;
  static const int cases[][5] = {{2, 5, 3, 2, 0}, {2, 5, 3, 2, 2}, {1, 1, 4, 1, 0}, {1, 17, 5, 3, 0}, {2, 8, 3, 4, 7}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int B = cases[i][0], T = cases[i][1], C = cases[i][2], D = cases[i][3];
    OpCase c = {"tiny attention",
                run_tiny,
                NULL,
                NULL,
                TINY_LEAVES,
                {SHAPE(B, T, C), SHAPE(B, T, C), SHAPE(C), SHAPE(C), SHAPE(D, C), SHAPE(D, C), SHAPE(C, C)},
                {cases[i][4]},
                .loosen = 4};
    check_against(&c, jvp_tiny);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norms),
      cmocka_unit_test(copy_scores),
      cmocka_unit_test(tiny_attention),
  };
  int failed = cmocka_run_group_tests_name("oracle_norms", tests, NULL, NULL);
  print_worst();
  return failed;
}
