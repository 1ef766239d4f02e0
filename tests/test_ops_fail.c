/* What tape ops refuse, and that the message names the op, what was expected and what was found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include "engine/err.h"

#include <stdlib.h>

typedef struct {
  const char *message;
  OpCase run;
} Refusal;

static void check_refusals(const Refusal *refusals, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    OpCase c = refusals[i].run;
    c.name = refusals[i].message;
    check_op_fails(&c, refusals[i].message);
  }
}

static Tensor *add(Tape *tp, Tensor **x, const OpCase *c) { return (void)c, t_add(tp, x[0], x[1]); }
static Tensor *divide(Tape *tp, Tensor **x, const OpCase *c)
{
  return (void)c, t_binary(tp, B_DIV, x[0], x[1]);
}
static Tensor *lerp(Tape *tp, Tensor **x, const OpCase *c) { return (void)c, t_lerp(tp, x[0], x[1], x[2]); }

static void pointwise(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"add: shapes [2,3] and [2,4] do not fit: sizes must be equal or 1, from the last axis on",
       {.run = add, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}}},
      {"add: shapes [2,3] and [2] do not fit", {.run = add, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2)}}},
      {"div: shapes [2,1,3] and [3,2,3] do not fit",
       {.run = divide, .leaves = 2, .leaf = {SHAPE(2, 1, 3), SHAPE(3, 2, 3)}}},
      {"add: shapes [0] and [2] do not fit", {.run = add, .leaves = 2, .leaf = {SHAPE(0), SHAPE(2)}}},
      {"lerp: x [2,3] and p [3] differ",
       {.run = lerp, .leaves = 3, .leaf = {SHAPE(2, 3), SHAPE(3), SHAPE(3)}}},
      {"lerp: mu [2] fits neither the last axis of x [2,3] nor all of it",
       {.run = lerp, .leaves = 3, .leaf = {SHAPE(2, 3), SHAPE(2, 3), SHAPE(2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *compare(Tape *tp, Tensor **x, const OpCase *c)
{
  return t_compare(tp, (CompareKind)c->arg[0], x[0], x[1]);
}
static Tensor *where(Tape *tp, Tensor **x, const OpCase *c) { return (void)c, t_where(tp, x[0], x[1], x[2]); }
static Tensor *expand(Tape *tp, Tensor **x, const OpCase *c) { return t_expand(tp, x[0], c->arg[0], c->arg + 1); }
static Tensor *cumsum(Tape *tp, Tensor **x, const OpCase *c) { return t_cumsum(tp, x[0], c->arg[0]); }

static void comparing_and_repeating(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"ge: shapes [2,3] and [2,4] do not fit",
       {.run = compare, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}, .arg = {C_GE}}},
      {"where: shapes [3] and [4] do not fit",
       {.run = where, .leaves = 3, .leaf = {SHAPE(3), SHAPE(3), SHAPE(4)}}},
      {"where: shapes [2] and [2,3] do not fit",
       {.run = where, .leaves = 3, .leaf = {SHAPE(2), SHAPE(3), SHAPE(2, 1)}}},
      {"expand: [2,3] cannot become [3]: sizes must be equal",
       {.run = expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 3}}},
      {"expand: [2,3] cannot become [4,3]", {.run = expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 4, 3}}},
      {"expand: [2,3] cannot become a tensor of so many axes",
       {.run = expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {5, 1, 1, 1, 2, 3}}},
      {"cannot be negative: [-1,2,3]", /* there is no size that could stay */
       {.run = expand, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {3, -1, 2, 3}}},
      {"cumsum: [2,3] has no axis 2", {.run = cumsum, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *linear(Tape *tp, Tensor **x, const OpCase *c)
{
  return c->leaves == 3 ? t_linear_bias(tp, x[0], x[1], x[2]) : t_linear(tp, x[0], x[1]);
}
static Tensor *matmul(Tape *tp, Tensor **x, const OpCase *c) { return (void)c, t_matmul(tp, x[0], x[1]); }
static Tensor *rows(Tape *tp, Tensor **x, const OpCase *c)
{
  return t_rows(tp, x[0], c->index, c->arg[0], c->arg + 1);
}

static void linear_maps(void **state)
{
  (void)state;
  static const int low[] = {0, 2, -1}, high[] = {4, 0, 0};
  static const Refusal refusals[] = {
      {"linear: x [2,3] does not fit a weight [3,2] [out,in]",
       {.run = linear, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(3, 2)}}},
      {"linear: x [] does not fit a weight [1,1]",
       {.run = linear, .leaves = 2, .leaf = {SCALAR, SHAPE(1, 1)}}},
      {"linear: x [3] does not fit a weight [3]", {.run = linear, .leaves = 2, .leaf = {SHAPE(3), SHAPE(3)}}},
      {"linear: bias [3] does not fit a weight [2,3] [out,in]",
       {.run = linear, .leaves = 3, .leaf = {SHAPE(3), SHAPE(2, 3), SHAPE(3)}}},
      {"matmul: x [2,3] does not fit a matrix [2,3] [in,out]",
       {.run = matmul, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 3)}}},
      {"matmul: x [3] does not fit a matrix [3,1,1]",
       {.run = matmul, .leaves = 2, .leaf = {SHAPE(3), SHAPE(3, 1, 1)}}},
      {"rows: the table is [rows,C], not [4]",
       {.run = rows, .leaves = 1, .leaf = {SHAPE(4)}, .arg = {1, 3}, .index = low}},
      {"rows: index -1 at position 2 is outside 0..3",
       {.run = rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {1, 3}, .index = low}},
      {"rows: index 4 at position 0 is outside 0..3",
       {.run = rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {1, 3}, .index = high}},
      {"rows: an index of shape [1,1,1,1] has too many axes",
       {.run = rows, .leaves = 1, .leaf = {SHAPE(4, 2)}, .arg = {4, 1, 1, 1, 1}, .index = low}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *norm(Tape *tp, Tensor **x, const OpCase *c)
{
  return c->arg[0] ? t_group_norm(tp, x[0], c->arg[0], x[1], x[2], 1e-5)
                   : t_layer_norm(tp, x[0], x[1], x[2], 1e-5);
}
static Tensor *negative_heads(Tape *tp, Tensor **x, const OpCase *c)
{
  return (void)c, t_group_norm(tp, x[0], -2, x[1], x[2], 1e-5);
}
static Tensor *l2norm(Tape *tp, Tensor **x, const OpCase *c) { return t_l2norm(tp, x[0], c->arg[0], 1e-12); }

static void normalisation(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"norm: weight [3] and bias [4] must have the 4 channels of x [2,4]",
       {.run = norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(3), SHAPE(4)}}},
      {"norm: weight [4] and bias [2] must have the 4 channels of x [2,4]",
       {.run = norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(2)}, .arg = {2}}},
      {"norm: [2,4] cannot be split into 3 heads",
       {.run = norm, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(4)}, .arg = {3}}},
      {"norm: [2,4] cannot be split into -2 heads",
       {.run = negative_heads, .leaves = 3, .leaf = {SHAPE(2, 4), SHAPE(4), SHAPE(4)}}},
      {"norm: [] cannot be split into 1 heads", {.run = norm, .leaves = 3, .leaf = {SCALAR, SCALAR, SCALAR}}},
      {"l2norm: [5] cannot be split into 2 heads",
       {.run = l2norm, .leaves = 1, .leaf = {SHAPE(5)}, .arg = {2}}},
      {"l2norm: [5] cannot be split into 0 heads",
       {.run = l2norm, .leaves = 1, .leaf = {SHAPE(5)}, .arg = {0}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *reshape(Tape *tp, Tensor **x, const OpCase *c)
{
  return t_reshape(tp, x[0], c->arg[0], c->arg + 1);
}
static Tensor *slice(Tape *tp, Tensor **x, const OpCase *c)
{
  return t_slice(tp, x[0], c->arg[0], c->arg[1], c->arg[2]);
}
static Tensor *concat(Tape *tp, Tensor **x, const OpCase *c) { return t_concat(tp, x, c->leaves, c->arg[0]); }
static Tensor *concat_nothing(Tape *tp, Tensor **x, const OpCase *c)
{
  return (void)c, t_concat(tp, x, 0, 0);
}
static Tensor *sum(Tape *tp, Tensor **x, const OpCase *c) { return t_sum(tp, x[0], c->arg[0], false); }
static Tensor *mean(Tape *tp, Tensor **x, const OpCase *c) { return t_mean(tp, x[0], c->arg[0], false); }

static void shapes(void **state)
{
  (void)state;
  static const int max = 0x7FFFFFFF;
  static const Refusal refusals[] = {
      {"reshape: [2,3] has 6 elements, [4] does not",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 4}}},
      {"reshape: [2,3] has 6 elements, [4,-1] does not",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 4, -1}}},
      {"reshape: only one size may be left open",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, -1, -1}}},
      {"cannot be negative: [-2,-3]",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, -2, -3}}},
      {"reshape: a tensor has 0 to 4 axes, not -1",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(6)}, .arg = {-1}}},
      {"reshape: a tensor has 0 to 4 axes, not 5",
       {.run = reshape, .leaves = 1, .leaf = {SHAPE(6)}, .arg = {5}}},
      {"slice: 2 elements from 2 are not within axis 1 of [2,3]",
       {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {1, 2, 2}}},
      {"slice: 1 elements from -1 are not within axis 0 of [2,3]",
       {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, -1, 1}}},
      {"slice: -1 elements from 1 are not within axis 0",
       {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, 1, -1}}},
      {"slice: 2147483647 elements from 2147483647 are not within axis 0",
       {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {0, max, max}}},
      {"slice: [2,3] has no axis 2", {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2, 0, 1}}},
      {"slice: [2,3] has no axis -3", {.run = slice, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {-3, 0, 1}}},
      {"concat: nothing to put together", {.run = concat_nothing, .leaves = 1, .leaf = {SHAPE(1)}}},
      {"concat: [2,3] and [2] have different numbers of axes",
       {.run = concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2)}}},
      {"concat: [2,3] and [2,4] differ outside axis 0",
       {.run = concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 4)}}},
      {"concat: [2,3] has no axis 2",
       {.run = concat, .leaves = 2, .leaf = {SHAPE(2, 3), SHAPE(2, 3)}, .arg = {2}}},
      {"sum: [] has no axis 0", {.run = sum, .leaves = 1, .leaf = {SCALAR}}},
      {"sum: [2,3] has no axis 2", {.run = sum, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {2}}},
      {"mean: [2,3] has no axis -3", {.run = mean, .leaves = 1, .leaf = {SHAPE(2, 3)}, .arg = {-3}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *shift(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *carry = x[1];
  return (void)c, t_shift(tp, x[0], &carry);
}
static Tensor *wkv4(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *a = x[4], *b = x[5], *p = x[6];
  return (void)c, t_wkv4(tp, x[0], x[1], x[2], x[3], &a, &b, &p);
}
static Tensor *wkv7(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *S = x[6];
  return (void)c, t_wkv7(tp, x[0], x[1], x[2], x[3], x[4], x[5], &S);
}

static void time_shift(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"shift: x is [3,4], expected [B,T,C], none of them 0",
       {.run = shift, .leaves = 2, .leaf = {SHAPE(3, 4), SHAPE(3, 4)}}},
      {"shift: x is [2,0,4], expected [B,T,C], none of them 0",
       {.run = shift, .leaves = 2, .leaf = {SHAPE(2, 0, 4), SHAPE(2, 4)}}},
      {"shift: carry is [4], expected [2,4]",
       {.run = shift, .leaves = 2, .leaf = {SHAPE(2, 3, 4), SHAPE(4)}}},
      {"shift: carry is [2,3], expected [2,4]",
       {.run = shift, .leaves = 2, .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

/* Takes a case that fits and spoils one operand after the other. */
static void check_each_operand(OpCase c, const char *const *messages)
{
  static const Shape wrong = SHAPE(2, 3, 5);
  for (int i = 0; i < c.leaves; i++) {
    OpCase spoiled = c;
    spoiled.leaf[i] = wrong;
    spoiled.name = messages[i];
    check_op_fails(&spoiled, messages[i]);
  }
}

static void recurrences(void **state)
{
  (void)state;
  check_each_operand((OpCase){.run = wkv4,
                              .leaves = 7,
                              .leaf = {SHAPE(4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4),
                                       SHAPE(2, 4), SHAPE(2, 4)}},
                     (const char *[]){"wkv4: w is [2,3,5], expected 4 numbers or [2,3,4]",
                                      "wkv4: u is [2,3,5], expected [4]",
                                      "wkv4: v is [2,3,4], expected [2,3,5] like k",
                                      "wkv4: v is [2,3,5], expected [2,3,4] like k",
                                      "wkv4: state a is [2,3,5], expected [2,4]",
                                      "wkv4: state b is [2,3,5], expected [2,4]",
                                      "wkv4: state p is [2,3,5], expected [2,4]"});
  check_each_operand(
      (OpCase){.run = wkv7,
               .leaves = 7,
               .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                        SHAPE(2, 3, 4), SHAPE(2, 2, 2, 2)}},
      (const char *[]){
          "wkv7: r is [2,3,5], expected [2,3,4] like k", "wkv7: w is [2,3,5], expected [2,3,4] like k",
          "wkv7: state S is [2,2,2,2], but k is [2,3,5]", "wkv7: v is [2,3,5], expected [2,3,4] like k",
          "wkv7: a is [2,3,5], expected [2,3,4] like k", "wkv7: b is [2,3,5], expected [2,3,4] like k",
          "wkv7: state S is [2,3,5], expected [B,H,N,N]"});
  static const Refusal refusals[] = {
      {"wkv4: k is [3,4], expected [B,T,C], none of them 0",
       {.run = wkv4,
        .leaves = 7,
        .leaf = {SHAPE(4), SHAPE(4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4)}}},
      {"wkv7: state S is [2,2,2,3], expected [2,2,2,2]",
       {.run = wkv7,
        .leaves = 7,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                 SHAPE(2, 3, 4), SHAPE(2, 2, 2, 3)}}},
      {"wkv7: state S is [1,2,2,2], expected [2,2,2,2]",
       {.run = wkv7,
        .leaves = 7,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4),
                 SHAPE(2, 3, 4), SHAPE(1, 2, 2, 2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *wkv2(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *a = x[4], *b = x[5];
  return (void)c, t_wkv2(tp, x[0], x[1], x[2], x[3], 1e-8, &a, &b);
}
static Tensor *wkv6(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *S = x[5];
  return (void)c, t_wkv6(tp, x[0], x[1], x[2], x[3], x[4], &S);
}

static void more_recurrences(void **state)
{
  (void)state;
  check_each_operand(
      (OpCase){.run = wkv2,
               .leaves = 6,
               .leaf = {SHAPE(4, 1), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4), SHAPE(2, 4)}},
      (const char *[]){
          "wkv2: w is [2,3,5], expected 4 numbers", "wkv2: u is [2,3,5], expected 4 numbers",
          "wkv2: v is [2,3,4], expected [2,3,5] like e", "wkv2: v is [2,3,5], expected [2,3,4] like e",
          "wkv2: state a is [2,3,5], expected [2,4]", "wkv2: state b is [2,3,5], expected [2,4]"});
  check_each_operand(
      (OpCase){.run = wkv6,
               .leaves = 6,
               .leaf = {SHAPE(2, 3, 4), SHAPE(2, 2), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 2),
                        SHAPE(2, 2, 2, 2)}},
      (const char *[]){
          "wkv6: r is [2,3,5], expected [2,3,4] like k", "wkv6: w is [2,3,5], expected 4 numbers or [2,3,4]",
          "wkv6: state S is [2,2,2,2], but k is [2,3,5]", "wkv6: v is [2,3,5], expected [2,3,4] like k",
          "wkv6: u is [2,3,5], expected 4 numbers", "wkv6: state S is [2,3,5], expected [B,H,N,N]"});
  static const Refusal refusals[] = {
      {"wkv2: e is [3,4], expected [B,T,C], none of them 0",
       {.run = wkv2,
        .leaves = 6,
        .leaf = {SHAPE(4), SHAPE(4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4), SHAPE(3, 4)}}},
      {"wkv6: k is [2,0,4], expected [B,T,C], none of them 0",
       {.run = wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 0, 4), SHAPE(4), SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(4), SHAPE(2, 2, 2, 2)}}},
      {"wkv6: state S is [2,2,2,3], expected [2,2,2,2]",
       {.run = wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 2, 2, 3)}}},
      {"wkv6: state S is [1,2,2,2], expected [2,2,2,2]",
       {.run = wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(1, 2, 2, 2)}}},
      {"wkv4: w is [2,4,3], expected 4 numbers or [2,3,4]", /* as many, but not those */
       {.run = wkv4,
        .leaves = 7,
        .leaf = {SHAPE(2, 4, 3), SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 4), SHAPE(2, 4), SHAPE(2, 4)}}},
      {"wkv6: w is [3,4], expected 4 numbers", /* neither constant nor one for every token */
       {.run = wkv6,
        .leaves = 6,
        .leaf = {SHAPE(2, 3, 4), SHAPE(3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4), SHAPE(2, 2, 2, 2)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

/* H = arg[0]; the history is leaves 5 and 6. */
static Tensor *wkv1(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *keys = x[5], *values = x[6];
  return t_wkv1(tp, x[0], x[1], x[2], c->arg[0], x[3], x[4], &keys, &values);
}
/* w alpha beta for 2 heads, k and v [2,T,4], and a history of `before` tokens */
#define LEAVES_OF_WKV1(ctx, T, before)                                                                       \
  {                                                                                                          \
    SHAPE(2, ctx), SHAPE(2, 1, ctx), SHAPE(2, ctx, 1), SHAPE(2, T, 4), SHAPE(2, T, 4), SHAPE(2, before, 4),  \
        SHAPE(2, before, 4)                                                                                  \
  }

static void sums_over_all_tokens(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"v1 cannot see further than its ctx_len of 4 tokens; this would be token 5",
       {.run = wkv1, .leaves = 7, .arg = {2}, .leaf = LEAVES_OF_WKV1(4, 5, 0)}},
      {"wkv1: k [2,3,4] cannot be split into 3 heads",
       {.run = wkv1, .leaves = 7, .arg = {3}, .leaf = LEAVES_OF_WKV1(5, 3, 0)}},
      {"wkv1: k [2,3,4] cannot be split into 0 heads",
       {.run = wkv1, .leaves = 7, .arg = {0}, .leaf = LEAVES_OF_WKV1(5, 3, 0)}},
      {"wkv1: k is [2,0,4], expected [B,T,C], none of them 0",
       {.run = wkv1, .leaves = 7, .arg = {2}, .leaf = LEAVES_OF_WKV1(5, 0, 0)}},
      {"wkv1: v is [2,3,5], expected [2,3,4] like k",
       {.run = wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 5), SHAPE(2, 5), SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
      {"wkv1: w [2,5], alpha [2,1,4] and beta [2,5,1] must all hold [2 heads, ctx]",
       {.run = wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 1, 4), SHAPE(2, 5, 1), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
      {"wkv1: w [2,5], alpha [2,1,5] and beta [2,6,1] must all hold [2 heads, ctx]",
       {.run = wkv1,
        .leaves = 7,
        .arg = {2},
        .leaf = {SHAPE(2, 5), SHAPE(2, 1, 5), SHAPE(2, 6, 1), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 0, 4),
                 SHAPE(2, 0, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

/* With a history: what was seen before counts, too. (The history was put together before it is counted.) */
static void run_past_ctx_len(void *arg)
{
  Tape *tp = arg;
  tp->recording = false;
  Tensor *w = tape_zeros(tp, 2, (int[]){2, 6}), *x = tape_zeros(tp, 3, (int[]){1, 4, 4});
  Tensor *keys = tape_zeros(tp, 3, (int[]){1, 3, 4}), *values = tape_zeros(tp, 3, (int[]){1, 3, 4});
  t_wkv1(tp, w, w, w, 2, x, x, &keys, &values);
}

static void history_counts_towards_ctx_len(void **state)
{
  (void)state;
  Tape *tp = tape_new();
  expect_failure(run_past_ctx_len, tp, "ctx_len of 6 tokens; this would be token 7");
  tape_free(tp);
}

/* T = arg[0], V = arg[1], the rows asked for = arg[2] (0: all), count: as many as q has; index: tokens. */
static Tensor *copy_scores(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *tokens = tape_tensor(tp, 2, (int[]){x[1]->shape[0], x[1]->axes == 3 ? x[1]->shape[1] : 2});
  for (size_t i = 0; i < tokens->n; i++)
    tokens->data[i] = (real)c->index[i];
  return t_copy_scores(tp, x[0], x[1], tokens, c->arg[0], c->arg[2] ? &c->arg[2] : NULL, x[0]->shape[0],
                       c->arg[1]);
}
static Tensor *linear_attention(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *keys = x[3], *values = x[4];
  return (void)c, t_linear_attention(tp, x[0], x[1], x[2], &keys, &values);
}

static void attention(void **state)
{
  (void)state;
  static const int tokens[] = {0, 3, 2, 1, 8, 0}, negative[] = {0, 1, 2, 1, -1, 0};
  static const Refusal refusals[] = {
      {"copy_scores: token 8 is outside 0..7",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(6, 4), SHAPE(2, 3, 4)},
        .arg = {3, 8},
        .index = tokens}},
      {"copy_scores: token -1 is outside 0..8",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(6, 4), SHAPE(2, 3, 4)},
        .arg = {3, 9},
        .index = negative}},
      {"copy_scores: row 6 is outside 0..5",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)},
        .arg = {3, 9, 6},
        .index = tokens}},
      {"copy_scores: row -1 is outside 0..5",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)},
        .arg = {3, 9, -1},
        .index = tokens}},
      {"copy_scores: row 4 is outside 0..3", /* of the new positions only */
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(1, 4), SHAPE(2, 3, 4)},
        .arg = {2, 9, 4},
        .index = tokens}},
      {"copy_scores: q [6,5], k [2,3,4] and tokens [2,3] do not fit 6 rows and 3 new positions",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(6, 5), SHAPE(2, 3, 4)},
        .arg = {3, 9},
        .index = tokens}},
      {"copy_scores: q [8,4], k [2,3,4] and tokens [2,3] do not fit 8 rows and 4 new positions",
       {.run = copy_scores,
        .leaves = 2,
        .leaf = {SHAPE(8, 4), SHAPE(2, 3, 4)},
        .arg = {4, 9},
        .index = tokens}},
      {"copy_scores: q [2,4], k [3,4] and tokens [3,2] do not fit 2 rows and 1 new positions",
       {.run = copy_scores, .leaves = 2, .leaf = {SHAPE(2, 4), SHAPE(3, 4)}, .arg = {1, 9}, .index = tokens}},
      {"linear_attention: q [2,3,4], k [2,3,5] and v [2,3,4] must be [B,T,D], [B,T,D], [B,T,C]",
       {.run = linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 3, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4)}}},
      {"linear_attention: q [2,3,4], k [2,3,4] and v [2,2,4] must be",
       {.run = linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 2, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4)}}},
      {"concat: [2,1,5] and [2,3,4] differ outside axis 1",
       {.run = linear_attention,
        .leaves = 5,
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 1, 5), SHAPE(2, 1, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *scan(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *h = x[5];
  return (void)c, t_selective_scan(tp, x[0], x[1], x[2], x[3], x[4], &h);
}

static void selective_scan(void **state)
{
  (void)state;
  OpCase fits = {.name = "scan",
                 .run = scan,
                 .leaves = 6,
                 .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(4, 6), SHAPE(2, 3, 6), SHAPE(2, 3, 6), SHAPE(2, 4, 6)}};
  check_each_operand(fits, (const char *[]){"selective_scan: delta is [2,3,4], expected [2,3,5] like x",
                                            "selective_scan: delta is [2,3,5], expected [2,3,4] like x",
                                            "selective_scan: A is [2,3,5], expected [4,N], N at least 1",
                                            "selective_scan: B is [2,3,5], expected [2,3,6]",
                                            "selective_scan: C is [2,3,5], expected [2,3,6]",
                                            "selective_scan: state h is [2,3,5], expected [2,4,6]"});
  OpCase empty = fits, nothing = fits;
  empty.leaf[XS] = empty.leaf[DS] = (Shape)SHAPE(2, 0, 4);
  check_op_fails(&empty, "selective_scan: x is [2,0,4], expected [B,T,C], none of them 0");
  nothing.leaf[AS] = (Shape)SHAPE(4, 0);
  check_op_fails(&nothing, "selective_scan: A is [4,0], expected [4,N], N at least 1");
}

/* H = arg[0] */
static Tensor *softmax_attention(Tape *tp, Tensor **x, const OpCase *c)
{
  Tensor *keys = x[3], *values = x[4];
  return t_attention(tp, x[0], x[1], x[2], c->arg[0], &keys, &values);
}
/* q k v [2,3,4] and a history of keys and values */
#define WITH_HISTORY(...) .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), __VA_ARGS__}

static void attention_with_a_softmax(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"attention: q [2,3,4], k [2,3,5] and v [2,3,4] must all be [B,T,C], none of them 0",
       {.run = softmax_attention,
        .leaves = 5,
        .arg = {2},
        .leaf = {SHAPE(2, 3, 4), SHAPE(2, 3, 5), SHAPE(2, 3, 4), SHAPE(0), SHAPE(0)}}},
      {"attention: q [2,0,4], k [2,0,4] and v [2,0,4] must all be",
       {.run = softmax_attention,
        .leaves = 5,
        .arg = {2},
        .leaf = {SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(2, 0, 4), SHAPE(0), SHAPE(0)}}},
      {"attention: q [2,3,4] cannot be split into 3 heads",
       {.run = softmax_attention, .leaves = 5, .arg = {3}, WITH_HISTORY(SHAPE(0), SHAPE(0))}},
      {"attention: q [2,3,4] cannot be split into 0 heads",
       {.run = softmax_attention, .leaves = 5, .arg = {0}, WITH_HISTORY(SHAPE(0), SHAPE(0))}},
      {"attention: keys are [1,2,4], expected [2,before,4]",
       {.run = softmax_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(1, 2, 4), SHAPE(2, 2, 4))}},
      {"attention: values are [2,2,5], expected [2,before,4]",
       {.run = softmax_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(2, 2, 4), SHAPE(2, 2, 5))}},
      {"attention: keys [2,2,4] and values [2,1,4] hold different numbers of positions",
       {.run = softmax_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(2, 2, 4), SHAPE(2, 1, 4))}},
      {"attention: keys [0] and values [2,1,4] hold different numbers of positions",
       {.run = softmax_attention, .leaves = 5, .arg = {2}, WITH_HISTORY(SHAPE(0), SHAPE(2, 1, 4))}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *append(Tape *tp, Tensor **x, const OpCase *c) { return (void)c, t_append(tp, x[0], x[1]); }

static void histories(void **state)
{
  (void)state;
  static const Refusal refusals[] = {
      {"concat: [2,3,5] and [2,3,4] differ outside axis 1",
       {.run = append, .leaves = 2, .leaf = {SHAPE(2, 3, 5), SHAPE(2, 3, 4)}}},
      {"concat: [1,3,4] and [2,3,4] differ outside axis 1",
       {.run = append, .leaves = 2, .leaf = {SHAPE(1, 3, 4), SHAPE(2, 3, 4)}}},
      {"concat: [3,4] and [2,3,4] have different numbers of axes",
       {.run = append, .leaves = 2, .leaf = {SHAPE(3, 4), SHAPE(2, 3, 4)}}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

static Tensor *cross_entropy(Tape *tp, Tensor **x, const OpCase *c)
{
  return t_cross_entropy(tp, x[0], c->index, 0);
}

static void loss(void **state)
{
  (void)state;
  static const int targets[] = {2, 3, -1};
  static const Refusal refusals[] = {
      {"cross_entropy: target 3 at row 1 is not below V=3",
       {.run = cross_entropy, .leaves = 1, .leaf = {SHAPE(3, 3)}, .index = targets}},
      {"cross_entropy: logits are [..,V], not []",
       {.run = cross_entropy, .leaves = 1, .leaf = {SCALAR}, .index = targets}},
      {"cross_entropy: logits are [..,V], not [3,0]",
       {.run = cross_entropy, .leaves = 1, .leaf = {SHAPE(3, 0)}, .index = targets}},
  };
  check_refusals(refusals, COUNT_OF(refusals));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pointwise),
      cmocka_unit_test(comparing_and_repeating),
      cmocka_unit_test(linear_maps),
      cmocka_unit_test(normalisation),
      cmocka_unit_test(shapes),
      cmocka_unit_test(time_shift),
      cmocka_unit_test(recurrences),
      cmocka_unit_test(more_recurrences),
      cmocka_unit_test(sums_over_all_tokens),
      cmocka_unit_test(history_counts_towards_ctx_len),
      cmocka_unit_test(attention),
      cmocka_unit_test(attention_with_a_softmax),
      cmocka_unit_test(selective_scan),
      cmocka_unit_test(histories),
      cmocka_unit_test(loss),
  };
  return cmocka_run_group_tests_name("ops_fail", tests, NULL, NULL);
}
