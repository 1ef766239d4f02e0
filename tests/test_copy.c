/* The copy head, and attention without a softmax: values written down again here, and gradients against finite
   differences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "op_case.h"

/* Leaves: q [rows,D], k [B,U,D]. arg: T, V, and whether only some rows are asked for. index: the tokens
   [B,U], then the rows. */
static Tensor *run_copy_scores(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int B = c->leaf[1].shape[0], U = c->leaf[1].shape[1], D = c->leaf[1].shape[2];
  Tensor *tokens = tape_tensor(tp, 2, (int[]){B, U});
  for (int i = 0; i < B * U; i++) tokens->data[i] = (real)c->index[i];
  Tensor *y = t_copy_scores(tp, leaf[0], leaf[1], tokens, NULL, c->arg[0], c->arg[2] ? c->index + B * U : NULL,
                            (int)leaf[0]->n / D, c->arg[1]);
  assert_int_equal(y->axes, 2);
  return y;
}

static void want_copy_scores(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[1].shape[0], U = c->leaf[1].shape[1], D = c->leaf[1].shape[2], T = c->arg[0], V = c->arg[1];
  for (int i = 0; i < (int)count_of(&c->leaf[0]) / D; i++)
    for (int v = 0; v < V; v++) {
      int row = c->arg[2] ? c->index[B * U + i] : i, b = row / T, last = U - T + row % T;
      for (int u = 0; u <= last; u++)
        for (int d = 0; c->index[b * U + u] == v && d < D; d++)
          y[i * V + v] += x[0][i * D + d] * x[1][(b * U + u) * D + d] / D;
    }
}

static void copy_scores(void **state)
{
  (void)state;
  static const int tokens[] = {3, 0, 3, 8, 1, /**/ 2, 2, 2, 5, 2, /* rows: */ 3, 0, 1};
  static const OpCase cases[] = {
      {"copy_scores",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(10, 3), SHAPE(2, 5, 3)},
       {5, 9},
       .index = tokens},
      {"copy_scores of [B,T,D]",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(2, 5, 1), SHAPE(2, 5, 1)},
       {5, 9},
       .index = tokens},
      {"copy_scores with a history",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(4, 3), SHAPE(2, 5, 3)},
       {2, 9},
       .index = tokens},
      {"copy_scores of one token",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(2, 1, 3), SHAPE(2, 5, 3)},
       {1, 12},
       .index = tokens},
      {"copy_scores, some rows",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(3, 4), SHAPE(2, 5, 4)},
       {5, 9, 1},
       .index = tokens},
      {"copy_scores, some rows, history",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(3, 4), SHAPE(2, 5, 4)},
       {3, 9, 1},
       .index = tokens},
      {"copy_scores, B = T = 1",
       run_copy_scores,
       want_copy_scores,
       NULL,
       2,
       {SHAPE(1, 2), SHAPE(1, 1, 2)},
       {1, 4},
       .index = tokens},
  };
  check_all(cases, COUNT_OF(cases));
}

/* Leaves: q, k, v, and the history of k and v. */
static Tensor *run_linear_attention(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *keys = leaf[3], *values = leaf[4];
  Tensor *y = t_linear_attention(tp, leaf[0], leaf[1], leaf[2], &keys, &values);
  assert_int_equal(keys->shape[1], c->leaf[3].shape[1] + c->leaf[1].shape[1]);
  return flat_concat(tp, (Tensor *[]){y, keys, values}, 3);
}

static double joined(const double *history, const double *x, int before, int T, int C, int b, int u, int c)
{
  return u < before ? history[(b * before + u) * C + c] : x[(b * T + u - before) * C + c];
}

static void want_linear_attention(double *y, double *const *x, const OpCase *c)
{
  int B = c->leaf[0].shape[0], T = c->leaf[0].shape[1], D = c->leaf[0].shape[2], C = c->leaf[2].shape[2];
  int before = c->leaf[3].shape[1], U = before + T;
  for (int i = 0; i < B * T * C; i++, y++)
    for (int u = 0; u <= before + i / C % T; u++)
      for (int d = 0; d < D; d++)
        *y += x[0][i / C * D + d] * joined(x[3], x[1], before, T, D, i / (T * C), u, d) *
              joined(x[4], x[2], before, T, C, i / (T * C), u, i % C);
  for (int i = 0; i < B * U * D; i++) *y++ = joined(x[3], x[1], before, T, D, i / (U * D), i / D % U, i % D);
  for (int i = 0; i < B * U * C; i++) *y++ = joined(x[4], x[2], before, T, C, i / (U * C), i / C % U, i % C);
}

static void linear_attention(void **state)
{
  (void)state;
  static const int sizes[][5] = {{2, 5, 3, 2, 0}, {2, 3, 3, 4, 2}, {1, 1, 1, 1, 0}, {2, 1, 2, 3, 4}, {1, 17, 2, 5, 0}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    int B = sizes[i][0], T = sizes[i][1], D = sizes[i][2], C = sizes[i][3], before = sizes[i][4];
    check_op(&(OpCase){"linear_attention",
                       run_linear_attention,
                       want_linear_attention,
                       NULL,
                       5,
                       {SHAPE(B, T, D), SHAPE(B, T, D), SHAPE(B, T, C), SHAPE(B, before, D), SHAPE(B, before, C)},
                       .loosen = 4});
  }
}

/* ---- what it refuses ---- */

/* T = arg[0], V = arg[1], the rows asked for = arg[2] (0: all), count: as many as q has; index: tokens. */
static Tensor *run_one_row(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *tokens = tape_tensor(tp, 2, (int[]){x[1]->shape[0], x[1]->axes == 3 ? x[1]->shape[1] : 2});
  for (size_t i = 0; i < tokens->n; i++) tokens->data[i] = (real)c->index[i];
  return t_copy_scores(tp, x[0], x[1], tokens, NULL, c->arg[0], c->arg[2] ? &c->arg[2] : NULL, x[0]->shape[0],
                       c->arg[1]);
}

static void refused(void **state)
{
  (void)state;
  static const int tokens[] = {0, 3, 2, 1, 8, 0}, negative[] = {0, 1, 2, 1, -1, 0};
  static const Refusal refusals[] = {
      {"copy_scores: token 8, expected 0 to 7",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(6, 4), SHAPE(2, 3, 4)}, .arg = {3, 8}, .index = tokens}},
      {"copy_scores: token -1, expected 0 to 8",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(6, 4), SHAPE(2, 3, 4)}, .arg = {3, 9}, .index = negative}},
      {"copy_scores: row 7, expected 1 to 6",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)}, .arg = {3, 9, 6}, .index = tokens}},
      {"copy_scores: row 0, expected 1 to 6",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)}, .arg = {3, 9, -1}, .index = tokens}},
      {"copy_scores: row 5, expected 1 to 4", /* of the new positions only */
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)}, .arg = {2, 9, 4}, .index = tokens}},
      {"copy_scores: q [6,5], k [2,3,4] and tokens [2,3] do not fit 6 rows and 3 new positions",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(6, 5), SHAPE(2, 3, 4)}, .arg = {3, 9}, .index = tokens}},
      {"copy_scores: q [8,4], k [2,3,4] and tokens [2,3] do not fit 8 rows and 4 new positions",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(8, 4), SHAPE(2, 3, 4)}, .arg = {4, 9}, .index = tokens}},
      {"copy_scores: q [2,4], k [3,4] and tokens [3,2] do not fit 2 rows and 1 new positions",
       {.run = run_one_row, .leaves = 2, .leaf = {SHAPE(2, 4), SHAPE(3, 4)}, .arg = {1, 9}, .index = tokens}},
      {"linear_attention: q [2,3,4], k [2,3,5] and v [2,3,4] must be [B,T,D], [B,T,D], [B,T,C]",
       {.run = run_linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 3, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4)}}},
      {"linear_attention: q [2,3,4], k [2,3,4] and v [2,2,4] must be",
       {.run = run_linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 2, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4)}}},
      {"concat: [2,1,5] and [2,3,4] differ outside axis 2",
       {.run = run_linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 1, 5), SHAPE(2, 1, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copy_scores),
      cmocka_unit_test(linear_attention),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
