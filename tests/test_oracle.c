/* The tape ops against the oracles (oracle.h): closed forms that were written from the specification alone.
   Values, final states; and the backward pass against the oracle's forward-mode derivative, without any
   finite difference: for a direction d of the inputs and a gradient g of the outputs,
   <g, derivative of the outputs along d>  =  <gradients of the inputs, d>. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "oracle.h"
#include "wkv_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Outputs and their derivative along d, as the case's run lays them out; both start as zeros. */
typedef void Jvp(double *y, double *dy, double *const *x, double *const *d, const OpCase *c);

/* What rounding may do to values, and to the two sides of the equation above relative to their terms.
   float: the op stores every intermediate state with 6e-8, the oracle does not. */
#ifdef AVIARY_DOUBLE
#define ORACLE_VALUE_TOL 1e-12
#define ORACLE_GRADIENT_TOL 1e-11
#else
#define ORACLE_VALUE_TOL 2e-5
#define ORACLE_GRADIENT_TOL 5e-4
#endif
/* Terms that add up to less than this are held against it instead: derivatives here are of size 1. */
static const double small_terms = 1e-3;
enum { FEW_ELEMENTS = 400, DIRECTIONS = 3 }; /* so many gradients are also compared one by one, */

static double worst_value, worst_gradient;

typedef struct {
  const OpCase *c;
  Jvp *jvp;
  Tensor *leaf[CASE_LEAVES];
  double *x[CASE_LEAVES], *d[CASE_LEAVES]; /* leaves and direction */
  double *y, *dy, *g; /* the oracle's outputs; gradient of the outputs */
  size_t n; /* outputs */
} Match;

/* The op's values against the oracle's; the gradients are left in the leaves. */
static void run_op(Match *m)
{
  const OpCase *c = m->c;
  Tape *tp = tape_new();
  Rng rng = rng_named(3, c->name);
  Tensor *y = c->run(tp, m->leaf, c), *onto = tape_tensor(tp, y->axes, y->shape);
  m->n = y->n;
  m->y = calloc(m->n, sizeof(double)), m->dy = calloc(m->n, sizeof(double));
  random_fill(onto->data, onto->n, &rng, 1);
  m->g = doubles_of(onto);
  m->jvp(m->y, m->dy, m->x, m->d, c);
  double *got = doubles_of(y), tol = ORACLE_VALUE_TOL * (c->loosen > 0 ? c->loosen : 1);
  check_close_double(c->name, got, m->y, m->n, tol);
  worst_value = fmax(worst_value, worst_difference_double(got, m->y, m->n, FINITE_ONLY, NULL));
  free(got);
  tape_backward(tp, t_sum_all(tp, t_mul(tp, y, onto)));
  tape_free(tp);
}

/* The equation for the direction m->d. */
static void check_direction(Match *m, const char *which, int leaf, size_t element)
{
  memset(m->y, 0, m->n * sizeof *m->y);
  memset(m->dy, 0, m->n * sizeof *m->dy);
  m->jvp(m->y, m->dy, m->x, m->d, m->c);
  double forward = 0, backward = 0, size = small_terms;
  for (size_t i = 0; i < m->n; i++) {
    forward += m->g[i] * m->dy[i];
    size += fabs(m->g[i] * m->dy[i]);
  }
  for (int l = 0; l < m->c->leaves; l++)
    for (size_t i = 0; i < m->leaf[l]->n; i++) {
      double term = (double)m->leaf[l]->grad[i] * m->d[l][i];
      backward += term;
      size += fabs(term);
    }
  double error = fabs(forward - backward) / size;
  if (!(error <= ORACLE_GRADIENT_TOL))
    fail_msg("%s: along %s (leaf %d, %zu) the oracle says %.15g, the gradients %.15g: %.3g apart", m->c->name,
             which, leaf, element, forward, backward, error);
  worst_gradient = fmax(worst_gradient, error);
}

static void set_direction(Match *m, int only, Rng *rng)
{
  for (int l = 0; l < m->c->leaves; l++)
    for (size_t i = 0; i < m->leaf[l]->n; i++)
      m->d[l][i] = only < 0 || only == l ? rng_normal(rng) : 0;
}

static void check_directions(Match *m)
{
  Rng rng = rng_named(4, m->c->name);
  size_t total = 0;
  for (int i = 0; i < DIRECTIONS; i++) {
    set_direction(m, -1, &rng);
    check_direction(m, "all leaves", -1, 0);
  }
  for (int l = 0; l < m->c->leaves; l++) {
    set_direction(m, l, &rng);
    check_direction(m, "one leaf", l, 0);
    total += m->leaf[l]->n;
    memset(m->d[l], 0, m->leaf[l]->n * sizeof(double));
  }
  bool each = total <= FEW_ELEMENTS && !m->c->arg[CUT]; /* where nothing is cut */
  for (int l = 0; each && l < m->c->leaves; l++)
    for (size_t i = 0; i < m->leaf[l]->n; i++) {
      m->d[l][i] = 1;
      check_direction(m, "one element", l, i);
      m->d[l][i] = 0;
    }
}

static void check_against(const OpCase *c, Jvp *jvp)
{
  Match m = {.c = c, .jvp = jvp};
  new_leaves(m.leaf, c, true);
  for (int l = 0; l < c->leaves; l++) {
    m.x[l] = doubles_of(m.leaf[l]);
    m.d[l] = calloc(m.leaf[l]->n + 1, sizeof(double));
  }
  run_op(&m);
  check_directions(&m);
  for (int l = 0; l < c->leaves; l++)
    free(m.x[l]), free(m.d[l]);
  free(m.y), free(m.dy), free(m.g);
  free_leaves(m.leaf, c->leaves);
}

/* ---- where outputs go ---- */

static double *y_place(double *y, const OpCase *c) { return c->arg[LOOK_AT] & OUTPUT ? y : NULL; }

/* The state stands behind y [B,T,C], if y is looked at. */
static double *state_place(double *y, const OpCase *c, int key)
{
  if (!(c->arg[LOOK_AT] & STATE))
    return NULL;
  return y + (c->arg[LOOK_AT] & OUTPUT ? count_of(&c->leaf[key]) : 0);
}

static oracle_dims dims_of(const OpCase *c, int key)
{
  Sizes z = sizes_of(c, key);
  return (oracle_dims){(size_t)z.B, (size_t)z.T, (size_t)z.H, (size_t)z.N};
}

/* Every look at every cut: outputs, state, both; whole, in two, token by token. */
static void check_looks_and_cuts(OpCase c, Jvp *jvp, int key)
{
  int T = c.leaf[key].shape[1], cuts[] = {0, T / 2, TOKENWISE};
  char name[96];
  const char *base = c.name;
  for (int what = OUTPUT; what <= BOTH; what++)
    for (size_t i = 0; i < (T > 1 ? COUNT_OF(cuts) : 1); i++) {
      snprintf(name, sizeof name, "%s B %d T %d H %d, look %d, cut %d", base, c.leaf[key].shape[0], T,
               c.arg[HEADS], what, cuts[i]);
      c.name = name;
      c.arg[LOOK_AT] = what, c.arg[CUT] = cuts[i];
      check_against(&c, jvp);
    }
}

static const Sizes sizes[] = {{2, 5, 2, 3},  {1, 1, 1, 1},  {2, 1, 3, 5}, {1, 15, 1, 3},
                              {1, 16, 2, 1}, {2, 17, 3, 2}, {1, 33, 1, 7}};

/* ---- wkv1 ---- */

/* Keys and values of the history and of the tokens after it, as one sequence. */
typedef struct {
  double *k, *v, *dk, *dv; /* [B,U,C] */
  size_t U, before, C, n;
} Joined;

static void join_rows(double *to, const double *history, const double *x, const Joined *j, size_t B)
{
  size_t old = j->before * j->C, all = j->U * j->C;
  for (size_t b = 0; b < B; b++) {
    memcpy(to + b * all, history + b * old, old * sizeof *to);
    memcpy(to + b * all + old, x + b * (all - old), (all - old) * sizeof *to);
  }
}

/* Leaves: keys, values, and the history of both. */
static Joined join(double *const *x, double *const *d, const OpCase *c, int key, int value, int old_key, int old_value)
{
  size_t B = (size_t)c->leaf[key].shape[0], before = (size_t)c->leaf[old_key].shape[1];
  Joined j = {
      .U = before + (size_t)c->leaf[key].shape[1], .before = before, .C = (size_t)c->leaf[key].shape[2]};
  j.n = B * j.U * j.C;
  j.k = malloc(4 * j.n * sizeof *j.k), j.v = j.k + j.n, j.dk = j.v + j.n, j.dv = j.dk + j.n;
  join_rows(j.k, x[old_key], x[key], &j, B);
  join_rows(j.v, x[old_value], x[value], &j, B);
  join_rows(j.dk, d[old_key], d[key], &j, B);
  join_rows(j.dv, d[old_value], d[value], &j, B);
  return j;
}

/* The state of the last step is all keys and values. */
static void put_joined(double *s, double *ds, const Joined *j)
{
  if (!s)
    return;
  memcpy(s, j->k, j->n * sizeof *s), memcpy(s + j->n, j->v, j->n * sizeof *s);
  memcpy(ds, j->dk, j->n * sizeof *s), memcpy(ds + j->n, j->dv, j->n * sizeof *s);
}

static Joined join1(double *const *x, double *const *d, const OpCase *c)
{
  Joined j = join(x, d, c, K1, V1, HK1, HV1);
  for (size_t i = 0; i < j.n; i++) { /* k = exp(clamp(key, -60, 30)) */
    bool inside = j.k[i] >= -60 && j.k[i] <= 30;
    j.k[i] = exp(fmin(fmax(j.k[i], -60), 30));
    j.dk[i] = inside ? j.k[i] * j.dk[i] : 0;
  }
  return j;
}

static void jvp1(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims n = dims_of(c, K1);
  Joined j = join1(x, d, c);
  size_t T = n.T, C = j.C, all = j.n;
  n.T = j.U;
  oracle_wkv1_in in = {j.k, j.v, x[W1], x[ALPHA1], x[BETA1]}, tan = {j.dk, j.dv, d[W1], d[ALPHA1], d[BETA1]};
  double *full = malloc(2 * all * sizeof *full);
  oracle_wkv1_jvp(n, (size_t)c->leaf[W1].shape[1], &in, &tan, full, full + all);
  for (size_t b = 0; c->arg[LOOK_AT] & OUTPUT && b < n.B; b++) {
    size_t from = (b * j.U + j.before) * C;
    memcpy(y + b * T * C, full + from, T * C * sizeof *y);
    memcpy(dy + b * T * C, full + all + from, T * C * sizeof *y);
  }
  put_joined(state_place(y, c, K1), state_place(dy, c, K1), &j);
  free(full);
  free(j.k);
}

static void wkv1(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before <= 4; before += 2) {
      int spare = i % 2 ? 3 : 0; /* ctx is not always filled */
      char name[32];
      snprintf(name, sizeof name, "wkv1, %d before,", before);
      OpCase c = wkv1_case(name, sizes[i], before, sizes[i].T + before + spare, BOTH);
      check_looks_and_cuts(c, jvp1, K1);
    }
}

/* Keys on both sides of both clamps. */
static void wkv1_beyond_the_clamps(void **state)
{
  (void)state;
  OpCase c = wkv1_case("wkv1, large keys,", (Sizes){2, 9, 2, 3}, 3, 14, OUTPUT);
  for (c.number[SPREAD] = 15; c.number[SPREAD] < 100; c.number[SPREAD] *= 2) {
    c.arg[LOOK_AT] = OUTPUT;
    check_against(&c, jvp1);
    c.arg[LOOK_AT] = STATE;
    check_against(&c, jvp1);
  }
}

/* ---- wkv2 ---- */

static void jvp2(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  size_t C = count_of(&c->leaf[W2]), BC = count_of(&c->leaf[A2]);
  double *decay = malloc(2 * C * sizeof *decay), *ddecay = decay + C;
  for (size_t i = 0; i < C; i++)
    decay[i] = -x[W2][i], ddecay[i] = -d[W2][i];
  oracle_wkv2_in in = {x[K2], x[V2], decay, x[U2], x[A2], x[B2]};
  oracle_wkv2_in tan = {d[K2], d[V2], ddecay, d[U2], d[A2], d[B2]};
  double *s = state_place(y, c, K2), *ds = state_place(dy, c, K2);
  oracle_wkv2_out out = {y_place(y, c), s, s ? s + BC : NULL},
                  dout = {y_place(dy, c), ds, ds ? ds + BC : NULL};
  oracle_wkv2_jvp(dims_of(c, K2), c->number[EPS], &in, &tan, &out, &dout);
  free(decay);
}

static const double both_eps[] = {1e-16, 1e-8};

static void wkv2(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t e = 0; e < COUNT_OF(both_eps); e++)
      check_looks_and_cuts(wkv2_case(e ? "wkv3" : "wkv2", sizes[i], both_eps[e], BOTH), jvp2, K2);
}

/* Some keys beyond the clamp of 60, others far below. */
static void wkv2_beyond_the_clamp(void **state)
{
  (void)state;
  for (size_t e = 0; e < COUNT_OF(both_eps); e++)
    for (int centre = 0; centre <= 60; centre += 30) {
      OpCase c = wkv2_case("wkv2, large keys", (Sizes){2, 12, 1, 5}, both_eps[e], OUTPUT);
      c.number[SPREAD] = 25, c.arg[CENTRE] = centre;
      check_against(&c, jvp2);
    }
}

/* Keys so small that the denominator is about eps: here it matters which eps it is. */
static void wkv2_where_eps_matters(void **state)
{
  (void)state;
  static const int centre[] = {-37, -19};
  for (size_t e = 0; e < COUNT_OF(both_eps); e++) {
    OpCase c = wkv2_case("wkv2, eps", (Sizes){2, 9, 1, 5}, both_eps[e], OUTPUT);
    c.arg[CENTRE] = centre[e];
    check_against(&c, jvp2);
    c.number[EPS] = both_eps[1 - e]; /* the other one is seen to be wrong */
    OpCase right = c;
    right.number[EPS] = both_eps[e];
    assert_true(how_far_apart(&right, &c).values > 1e-2);
  }
}

/* ---- wkv4 ---- */

/* Of a leaf [H] or [H,N] or [B,T,C]: the same with an entry for every token and channel, or every channel. */
static double *repeated(const double *x, size_t x_n, size_t n, oracle_dims z)
{
  double *full = malloc(n * sizeof *full);
  for (size_t i = 0; i < n; i++) {
    size_t c = i % (z.H * z.N);
    full[i] = x[x_n == n ? i : x_n == z.H * z.N ? c : c / z.N];
  }
  return full;
}

static void jvp4(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims z = dims_of(c, K4);
  size_t n = count_of(&c->leaf[K4]), BC = count_of(&c->leaf[A4]), nw = count_of(&c->leaf[W4]);
  double *w = repeated(x[W4], nw, n, z), *dw = repeated(d[W4], nw, n, z);
  oracle_wkv4_in in = {x[K4], x[V4], w, x[U4], x[A4], x[B4], x[P4]};
  oracle_wkv4_in tan = {d[K4], d[V4], dw, d[U4], d[A4], d[B4], d[P4]};
  double *s = state_place(y, c, K4), *ds = state_place(dy, c, K4);
  oracle_wkv4_out out = {y_place(y, c), s, s ? s + BC : NULL, s ? s + 2 * BC : NULL};
  oracle_wkv4_out dout = {y_place(dy, c), ds, ds ? ds + BC : NULL, ds ? ds + 2 * BC : NULL};
  oracle_wkv4_jvp(z, &in, &tan, &out, &dout);
  free(w), free(dw);
}

static const char *const wkv4_names[] = {"wkv4 per token,", "wkv4 per channel,"};

static void wkv4(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++)
      for (int start = -3; start <= 3; start += 3) {
        OpCase c = wkv4_case(wkv4_names[mode], sizes[i], mode, BOTH);
        c.arg[CENTRE] = start;
        check_looks_and_cuts(c, jvp4, K4);
      }
}

/* Keys of +-150, a state that counts for nothing, for all, for some. In float an exponent of 150 is only
   known to 1e-5. */
static void wkv4_with_extreme_keys(void **state)
{
  (void)state;
  static const int starts[] = {0, 150, -150, -1000000000};
  for (size_t i = 0; i < COUNT_OF(starts); i++)
    for (int mode = PER_TOKEN; mode <= PER_CHANNEL; mode++) {
      OpCase c = wkv4_case("wkv4, keys of +-150,", (Sizes){2, 12, 1, 5}, mode, BOTH);
      c.arg[KEYS] = EXTREME, c.arg[CENTRE] = starts[i];
#ifndef AVIARY_DOUBLE
      c.loosen = 20;
#endif
      check_looks_and_cuts(c, jvp4, K4);
    }
}

/* ---- wkv6 ---- */

static void jvp6(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_dims z = dims_of(c, K6);
  size_t n = count_of(&c->leaf[K6]), C = z.H * z.N, nw = count_of(&c->leaf[W6]), nu = count_of(&c->leaf[U6]);
  double *w = repeated(x[W6], nw, n, z), *dw = repeated(d[W6], nw, n, z);
  double *u = repeated(x[U6], nu, C, z), *du = repeated(d[U6], nu, C, z);
  oracle_wkv6_in in = {x[R6], w, x[K6], x[V6], u, x[S6]}, tan = {d[R6], dw, d[K6], d[V6], du, d[S6]};
  oracle_wkv6_out out = {y_place(y, c), state_place(y, c, K6)};
  oracle_wkv6_out dout = {y_place(dy, c), state_place(dy, c, K6)};
  oracle_wkv6_jvp(z, &in, &tan, &out, &dout);
  free(w), free(dw), free(u), free(du);
}

static void wkv6(void **state)
{
  (void)state;
  static const char *const names[] = {"wkv6 per token,", "wkv6 per channel,", "wkv6 per head,"};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int mode = PER_TOKEN; mode <= PER_HEAD; mode++)
      check_looks_and_cuts(wkv6_case(names[mode], sizes[i], mode, BOTH), jvp6, K6);
}

/* ---- wkv7 ---- */

static void jvp7(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  oracle_wkv7_in in = {x[R7], x[W7], x[K7], x[V7], x[A7], x[B7], x[S7]};
  oracle_wkv7_in tan = {d[R7], d[W7], d[K7], d[V7], d[A7], d[B7], d[S7]};
  oracle_wkv7_out out = {y_place(y, c), state_place(y, c, K7)};
  oracle_wkv7_out dout = {y_place(dy, c), state_place(dy, c, K7)};
  oracle_wkv7_jvp(dims_of(c, K7), &in, &tan, &out, &dout);
}

static void wkv7(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    check_looks_and_cuts(wkv7_case("wkv7", sizes[i], BOTH), jvp7, K7);
}

/* ---- attention ---- */

static void jvp_attention(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  Joined j = join(x, d, c, KA, VA, HKA, HVA);
  oracle_attention_in in = {x[QA], j.k, j.v}, tan = {d[QA], j.dk, j.dv};
  oracle_attention_jvp(dims_of(c, QA), j.U, &in, &tan, y_place(y, c), y_place(dy, c));
  put_joined(state_place(y, c, QA), state_place(dy, c, QA), &j);
  free(j.k);
}

static void attention(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (int before = 0; before <= 4; before += 2) {
      char name[40];
      snprintf(name, sizeof name, "attention, %d before,", before);
      check_looks_and_cuts(attention_case(name, sizes[i], before, BOTH), jvp_attention, QA);
    }
}

/* Scores of a hundred and more: in float e^s overflows, and one position takes nearly all. */
static void attention_with_large_scores(void **state)
{
  (void)state;
  OpCase c = attention_case("attention, large scores,", (Sizes){2, 9, 2, 3}, 3, OUTPUT);
  c.arg[CUT] = 4; /* so that no gradient is looked at alone: many are what is left of terms 1e6 times as large */
  for (c.number[SPREAD] = 10; c.number[SPREAD] <= 40; c.number[SPREAD] *= 4)
    check_against(&c, jvp_attention);
}

/* ---- the selective scan ---- */

static void jvp_scan(double *y, double *dy, double *const *x, double *const *d, const OpCase *c)
{
  const int *s = c->leaf[XS].shape;
  oracle_dims n = {(size_t)s[0], (size_t)s[1], (size_t)s[2], (size_t)c->leaf[AS].shape[1]};
  oracle_scan_in in = {x[XS], x[DS], x[AS], x[BS], x[CS], x[HS]}, tan = {d[XS], d[DS], d[AS], d[BS], d[CS], d[HS]};
  oracle_scan_out out = {y_place(y, c), state_place(y, c, XS)}, dout = {y_place(dy, c), state_place(dy, c, XS)};
  oracle_scan_jvp(n, &in, &tan, &out, &dout);
}

static void selective_scan(void **state)
{
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    check_looks_and_cuts(scan_case("scan", sizes[i], BOTH), jvp_scan, XS);
}

/* ---- norms ---- */

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
      if (C > 1)
        check_against(&c, jvp_layer_norm);
      c.name = "group norm", c.run = run_group_norm;
      if (z->N > 1)
        check_against(&c, jvp_group_norm);
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
  for (int i = 0; i < COPY_B * COPY_U; i++)
    tokens->data[i] = (real)copy_tokens[i];
  int count = c->arg[1] ? c->arg[1] : COPY_B * c->arg[0];
  if (c->arg[1])
    q = t_rows(tp, t_reshape(tp, q, 2, (int[]){-1, COPY_D}), c->index, 1, &count);
  return t_copy_scores(tp, q, leaf[1], tokens, c->arg[0], c->arg[1] ? c->index : NULL, count, COPY_V);
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
  oracle_head_qk_jvp((oracle_qk_dims){COPY_B, COPY_U, COPY_D, COPY_V}, q, x[1], copy_tokens, dq, d[1], full,
                     dfull);
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
      if (T == 1 && asked)
        continue;
      OpCase c = {"copy scores",
                  run_copy,
                  NULL,
                  NULL,
                  2,
                  {SHAPE(COPY_B, T, COPY_D), SHAPE(COPY_B, COPY_U, COPY_D)},
                  {T, asked},
                  .index = rows};
      check_against(&c, jvp_copy);
    }
}

/* ---- tiny attention ---- */

enum { X, E, GAMMA, BETA, WQ, WK, WV, TINY_LEAVES };

/* As RWKV-4a has it around t_linear_attention; in two pieces where arg 0 says so. */
static Tensor *run_tiny(Tape *tp, Tensor **leaf, const OpCase *c)
{
  int B = leaf[X]->shape[0], T = leaf[X]->shape[1], C = leaf[X]->shape[2], D = leaf[WQ]->shape[0],
      cut = c->arg[0];
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
  static const int cases[][5] = {
      {2, 5, 3, 2, 0}, {2, 5, 3, 2, 2}, {1, 1, 4, 1, 0}, {1, 17, 5, 3, 0}, {2, 8, 3, 4, 7}};
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
      cmocka_unit_test(wkv1),
      cmocka_unit_test(wkv1_beyond_the_clamps),
      cmocka_unit_test(wkv2),
      cmocka_unit_test(wkv2_beyond_the_clamp),
      cmocka_unit_test(wkv2_where_eps_matters),
      cmocka_unit_test(wkv4),
      cmocka_unit_test(wkv4_with_extreme_keys),
      cmocka_unit_test(wkv6),
      cmocka_unit_test(wkv7),
      cmocka_unit_test(attention),
      cmocka_unit_test(attention_with_large_scores),
      cmocka_unit_test(selective_scan),
      cmocka_unit_test(norms),
      cmocka_unit_test(copy_scores),
      cmocka_unit_test(tiny_attention),
  };
  int failed = cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
  printf("worst: values %.2g, gradients %.2g\n", worst_value, worst_gradient);
  return failed;
}
