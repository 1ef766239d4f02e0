#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wkv_cases.h"

#include <math.h>
#include <string.h>

Sizes sizes_of(const OpCase *c, int key)
{
  const int *shape = c->leaf[key].shape;
  return (Sizes){shape[0], shape[1], c->arg[HEADS], shape[2] / c->arg[HEADS]};
}

Tensor *exp_key1(Tape *tp, Tensor *k) { return t_exp(tp, t_clamp(tp, k, -60, 30)); }
Tensor *exp_key2(Tape *tp, Tensor *k) { return t_exp(tp, t_binary(tp, B_MIN, k, tape_number(tp, 60))); }

Tensor *per_channel(Tape *tp, Tensor *x, int H, int N)
{
  if (x->n == (size_t)(H * N)) return x;
  return t_add(tp, t_reshape(tp, x, 2, (int[]){H, 1}), tape_zeros(tp, 2, (int[]){H, N}));
}

Tensor *looked_at(Tape *tp, const OpCase *c, Tensor *y, Tensor **state, int n)
{
  Tensor *parts[4] = {y};
  int what = c->arg[LOOK_AT];
  for (int i = 0; i < n; i++) parts[i + 1] = state[i];
  return flat_concat(tp, what & OUTPUT ? parts : parts + 1, (what & OUTPUT ? 1 : 0) + (what & STATE ? n : 0));
}

Tensor *tokens_of(Tape *tp, Tensor *x, int from, int to)
{
  return from == 0 && to == x->shape[1] ? x : t_slice(tp, x, 1, from, to - from);
}

/* ---- runs in pieces ---- */

/* Tokens from..to; state before -> after. */
typedef Tensor *Piece(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state);

enum { MOST_PIECES = 64 };

static Tensor *in_pieces(Tape *tp, Tensor **leaf, const OpCase *c, int T, Piece *piece, Tensor **state, int n)
{
  Tensor *y[MOST_PIECES];
  int count = 0, cut = c->arg[CUT];
  for (int from = 0, to; from < T; from = to) {
    to = cut == TOKENWISE ? from + 1 : from < cut ? cut : T;
    assert_true(count < MOST_PIECES);
    y[count++] = piece(tp, leaf, c, from, to, state);
  }
  return looked_at(tp, c, count == 1 ? y[0] : t_concat(tp, y, count, 1), state, n);
}

static void fill_decay(Tensor *w, Rng *rng, double fastest)
{
  for (size_t i = 0; i < w->n; i++) w->data[i] = (real)(-0.02 - fastest * rng_uniform(rng));
}

static void spread_keys(Tensor *k, double centre, double spread)
{
  for (size_t i = 0; i < k->n; i++) k->data[i] = (real)(centre + spread * (double)k->data[i]);
}

/* ---- wkv1 ---- */

static Tensor *piece1(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  Tensor *k = exp_key1(tp, tokens_of(tp, leaf[K1], from, to)), *v = tokens_of(tp, leaf[V1], from, to);
  return t_wkv1(tp, leaf[W1], leaf[ALPHA1], leaf[BETA1], c->arg[HEADS], k, v, &state[0], &state[1]);
}

static Tensor *run1(Tape *tp, Tensor **leaf, const OpCase *c)
{
  Tensor *history[] = {leaf[HK1]->n ? exp_key1(tp, leaf[HK1]) : leaf[HK1], leaf[HV1]};
  return in_pieces(tp, leaf, c, leaf[K1]->shape[1], piece1, history, 2);
}

static void fill1(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)rng;
  for (int l = W1; l <= BETA1; l++) spread_keys(leaf[l], 1, 0.3);
  spread_keys(leaf[K1], 0, c->number[SPREAD]);
  spread_keys(leaf[HK1], 0, c->number[SPREAD]);
}

OpCase wkv1_case(const char *name, Sizes z, int before, int ctx, int look_at)
{
  int C = z.H * z.N;
  return (OpCase){name,
                  run1,
                  NULL,
                  fill1,
                  LEAVES1,
                  {SHAPE(z.H, ctx), SHAPE(z.H, 1, ctx), SHAPE(z.H, ctx, 1), SHAPE(z.B, z.T, C), SHAPE(z.B, z.T, C),
                   SHAPE(z.B, before, C), SHAPE(z.B, before, C)},
                  {look_at, 0, z.H},
                  {0, 1}};
}

/* ---- wkv2 ---- */

static Tensor *piece2(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  Tensor *e = exp_key2(tp, tokens_of(tp, leaf[K2], from, to)), *v = tokens_of(tp, leaf[V2], from, to);
  return t_wkv2(tp, leaf[W2], leaf[U2], e, v, c->number[EPS], &state[0], &state[1]);
}

static Tensor *run2(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[K2]->shape[1], piece2, (Tensor *[]){leaf[A2], leaf[B2]}, 2);
}

static void fill2(Tensor **leaf, const OpCase *c, Rng *rng)
{
  fill_decay(leaf[W2], rng, 1.5);
  spread_keys(leaf[K2], c->arg[CENTRE], c->number[SPREAD]);
  for (size_t i = 0; i < leaf[A2]->n; i++) {
    leaf[A2]->data[i] = (real)((double)leaf[A2]->data[i] * exp(c->arg[CENTRE]));
    leaf[B2]->data[i] = (real)((0.5 + rng_uniform(rng)) * exp(c->arg[CENTRE]));
  }
}

OpCase wkv2_case(const char *name, Sizes z, double eps, int look_at)
{
  int C = z.H * z.N;
  return (OpCase){name,
                  run2,
                  NULL,
                  fill2,
                  LEAVES2,
                  {SHAPE(C), SHAPE(C), SHAPE(z.B, z.T, C), SHAPE(z.B, z.T, C), SHAPE(z.B, C), SHAPE(z.B, C)},
                  {look_at, 0, z.H},
                  {eps, 1}};
}

/* ---- wkv4 ---- */

static Tensor *piece4(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  Tensor *w = c->arg[MODE] == PER_TOKEN ? tokens_of(tp, leaf[W4], from, to) : leaf[W4];
  return t_wkv4(tp, w, leaf[U4], tokens_of(tp, leaf[K4], from, to), tokens_of(tp, leaf[V4], from, to), &state[0],
                &state[1], &state[2]);
}

static Tensor *run4(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[K4]->shape[1], piece4, (Tensor *[]){leaf[A4], leaf[B4], leaf[P4]}, 3);
}

static void fill4(Tensor **leaf, const OpCase *c, Rng *rng)
{
  static const double extremes[] = {150, -150, 149, 0, -150, 148};
  fill_decay(leaf[W4], rng, 1.5);
  spread_keys(leaf[K4], 0, c->number[SPREAD]);
  for (size_t i = 0; c->arg[KEYS] == EXTREME && i < leaf[K4]->n; i++)
    leaf[K4]->data[i] = (real)(extremes[rng_below(rng, COUNT_OF(extremes))] + 0.3 * rng_normal(rng));
  for (size_t i = 0; i < leaf[B4]->n; i++) leaf[B4]->data[i] = (real)(0.5 + rng_uniform(rng));
  spread_keys(leaf[P4], c->arg[CENTRE], 1);
}

OpCase wkv4_case(const char *name, Sizes z, int mode, int look_at)
{
  int C = z.H * z.N;
  Shape token = SHAPE(z.B, z.T, C), channel = SHAPE(C), before = SHAPE(z.B, C);
  return (OpCase){name,
                  run4,
                  NULL,
                  fill4,
                  LEAVES4,
                  {mode == PER_TOKEN ? token : channel, channel, token, token, before, before, before},
                  {look_at, 0, z.H, mode},
                  {0, 1}};
}

/* ---- wkv6 ---- */

static Tensor *piece6(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  Sizes z = sizes_of(c, K6);
  Tensor *w = c->arg[MODE] == PER_TOKEN ? tokens_of(tp, leaf[W6], from, to) : per_channel(tp, leaf[W6], z.H, z.N);
  return t_wkv6(tp, tokens_of(tp, leaf[R6], from, to), w, tokens_of(tp, leaf[K6], from, to),
                tokens_of(tp, leaf[V6], from, to), per_channel(tp, leaf[U6], z.H, z.N), &state[0]);
}

static Tensor *run6(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[K6]->shape[1], piece6, (Tensor *[]){leaf[S6]}, 1);
}

static void fill6(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c;
  fill_decay(leaf[W6], rng, 0.8);
}

OpCase wkv6_case(const char *name, Sizes z, int mode, int look_at)
{
  int C = z.H * z.N;
  Shape token = SHAPE(z.B, z.T, C), channel = SHAPE(z.H, z.N), head = SHAPE(z.H);
  return (OpCase){name,
                  run6,
                  NULL,
                  fill6,
                  LEAVES6,
                  {token,
                   mode == PER_TOKEN     ? token
                   : mode == PER_CHANNEL ? channel
                                         : head,
                   token, token, mode == PER_HEAD ? head : channel, SHAPE(z.B, z.H, z.N, z.N)},
                  {look_at, 0, z.H, mode}};
}

/* ---- wkv7 ---- */

static Tensor *piece7(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  Tensor *x[S7];
  (void)c;
  for (int l = 0; l < S7; l++) x[l] = tokens_of(tp, leaf[l], from, to);
  return t_wkv7(tp, x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], &state[0]);
}

static Tensor *run7(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[K7]->shape[1], piece7, (Tensor *[]){leaf[S7]}, 1);
}

/* a and b unlike each other, and small enough that S does not explode. */
static void fill7(Tensor **leaf, const OpCase *c, Rng *rng)
{
  double size = 0.8 / sqrt(sizes_of(c, K7).N);
  fill_decay(leaf[W7], rng, 0.8);
  for (size_t i = 0; i < leaf[A7]->n; i++) {
    leaf[A7]->data[i] = (real)(size * (2 * rng_uniform(rng) - 1));
    leaf[B7]->data[i] = (real)(size * (2 * rng_uniform(rng) - 1));
  }
}

OpCase wkv7_case(const char *name, Sizes z, int look_at)
{
  Shape token = SHAPE(z.B, z.T, z.H * z.N);
  return (OpCase){name,
                  run7,
                  NULL,
                  fill7,
                  LEAVES7,
                  {token, token, token, token, token, token, SHAPE(z.B, z.H, z.N, z.N)},
                  {look_at, 0, z.H}};
}

/* ---- attention ---- */

static Tensor *piece_attention(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  return t_attention(tp, tokens_of(tp, leaf[QA], from, to), tokens_of(tp, leaf[KA], from, to),
                     tokens_of(tp, leaf[VA], from, to), c->arg[HEADS], &state[0], &state[1]);
}

static Tensor *run_attention(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[QA]->shape[1], piece_attention, (Tensor *[]){leaf[HKA], leaf[HVA]}, 2);
}

static void fill_attention(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)rng;
  spread_keys(leaf[KA], 0, c->number[SPREAD]);
  spread_keys(leaf[HKA], 0, c->number[SPREAD]);
}

OpCase attention_case(const char *name, Sizes z, int before, int look_at)
{
  Shape token = SHAPE(z.B, z.T, z.H * z.N), history = SHAPE(z.B, before, z.H * z.N);
  return (OpCase){
      name,  run_attention, NULL, fill_attention, LEAVESA, {token, token, token, history, history}, {look_at, 0, z.H},
      {0, 1}};
}

/* ---- the selective scan ---- */

static Tensor *piece_scan(Tape *tp, Tensor **leaf, const OpCase *c, int from, int to, Tensor **state)
{
  (void)c;
  return t_selective_scan(tp, tokens_of(tp, leaf[XS], from, to), tokens_of(tp, leaf[DS], from, to), leaf[AS],
                          tokens_of(tp, leaf[BS], from, to), tokens_of(tp, leaf[CS], from, to), &state[0]);
}

static Tensor *run_scan(Tape *tp, Tensor **leaf, const OpCase *c)
{
  return in_pieces(tp, leaf, c, leaf[XS]->shape[1], piece_scan, (Tensor *[]){leaf[HS]}, 1);
}

/* delta > 0, from small steps to large ones */
static void fill_scan(Tensor **leaf, const OpCase *c, Rng *rng)
{
  (void)c;
  fill_decay(leaf[AS], rng, 2);
  for (size_t i = 0; i < leaf[DS]->n; i++) leaf[DS]->data[i] = (real)(0.02 + rng_uniform(rng));
}

OpCase scan_case(const char *name, Sizes z, int look_at)
{
  Shape token = SHAPE(z.B, z.T, z.H), select = SHAPE(z.B, z.T, z.N);
  return (OpCase){name,           run_scan, NULL,
                  fill_scan,      LEAVESS,  {token, token, SHAPE(z.H, z.N), select, select, SHAPE(z.B, z.H, z.N)},
                  {look_at, 0, 1}};
}

/* ---- two ways ---- */

double worst_value_apart, worst_gradient_apart;

static Tensor *run_and_go_back(Tape *tp, const OpCase *c, Tensor **leaf)
{
  Tensor *y = c->run(tp, leaf, c), *onto = tape_tensor(tp, y->axes, y->shape);
  Rng rng = rng_new(9, 9);
  random_fill(onto->data, onto->n, &rng, 1);
  tape_backward(tp, t_sum_all(tp, t_mul(tp, y, onto)));
  return y;
}

Apart how_far_apart(const OpCase *one, const OpCase *other)
{
  const OpCase *ways[] = {one, other};
  Tensor *leaf[2][CASE_LEAVES], *y[2];
  Tape *tp[2];
  Apart a = {.leaf = -1};
  for (int i = 0; i < 2; i++) {
    new_leaves(leaf[i], one, true);
    tp[i] = tape_new();
    y[i] = run_and_go_back(tp[i], ways[i], leaf[i]);
  }
  assert_int_equal(y[0]->n, y[1]->n);
  a.identical = memcmp(y[0]->data, y[1]->data, y[0]->n * sizeof(real)) == 0;
  a.values = worst_difference(y[1]->data, y[0]->data, y[0]->n, FINITE_ONLY, NULL);
  for (int l = 0; l < one->leaves; l++) {
    double d = worst_difference(leaf[1][l]->grad, leaf[0][l]->grad, leaf[0][l]->n, FINITE_ONLY, NULL);
    if (d > a.gradients) a.gradients = d, a.leaf = l;
  }
  for (int i = 0; i < 2; i++) {
    free_leaves(leaf[i], one->leaves);
    tape_free(tp[i]);
  }
  return a;
}

void check_alike(const OpCase *one, const OpCase *other, double value_tol, double gradient_tol)
{
  Apart a = how_far_apart(one, other);
  if (!(value_tol > 0) && !a.identical)
    fail_msg("%s: values are not the same bits; they differ by %.3g", one->name, a.values);
  if (!(a.values <= value_tol)) fail_msg("%s: values differ by %.3g, allowed %.3g", one->name, a.values, value_tol);
  if (!(a.gradients <= gradient_tol))
    fail_msg("%s: gradients by leaf %d differ by %.3g, allowed %.3g", one->name, a.leaf, a.gradients, gradient_tol);
  worst_value_apart = fmax(worst_value_apart, a.values);
  worst_gradient_apart = fmax(worst_gradient_apart, a.gradients);
}

void check_looks(OpCase c, OpCase other, double value_tol)
{
  for (int what = OUTPUT; what <= BOTH; what++) {
    c.arg[LOOK_AT] = other.arg[LOOK_AT] = what;
    check_alike(&c, &other, value_tol, ALIKE_GRADIENT_TOL);
  }
}
