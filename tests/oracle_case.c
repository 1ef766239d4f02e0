#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "oracle_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static double worst_value, worst_gradient; /* seen in this program */

typedef struct {
  const OpCase *c;
  Jvp *jvp;
  Tensor *leaf[CASE_LEAVES];
  double *x[CASE_LEAVES], *d[CASE_LEAVES]; /* leaves and direction */
  double *y, *dy, *g;                      /* the oracle's outputs; gradient of the outputs */
  size_t n;                                /* outputs */
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
    fail_msg("%s: along %s (leaf %d, %zu) the oracle says %.15g, the gradients %.15g: %.3g apart", m->c->name, which,
             leaf, element, forward, backward, error);
  worst_gradient = fmax(worst_gradient, error);
}

static void set_direction(Match *m, int only, Rng *rng)
{
  for (int l = 0; l < m->c->leaves; l++)
    for (size_t i = 0; i < m->leaf[l]->n; i++) m->d[l][i] = only < 0 || only == l ? rng_normal(rng) : 0;
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

void check_against(const OpCase *c, Jvp *jvp)
{
  Match m = {.c = c, .jvp = jvp};
  new_leaves(m.leaf, c, true);
  for (int l = 0; l < c->leaves; l++) {
    m.x[l] = doubles_of(m.leaf[l]);
    m.d[l] = calloc(m.leaf[l]->n + 1, sizeof(double));
  }
  run_op(&m);
  check_directions(&m);
  for (int l = 0; l < c->leaves; l++) free(m.x[l]), free(m.d[l]);
  free(m.y), free(m.dy), free(m.g);
  free_leaves(m.leaf, c->leaves);
}

/* ---- where outputs go ---- */

double *y_place(double *y, const OpCase *c) { return c->arg[LOOK_AT] & OUTPUT ? y : NULL; }

double *state_place(double *y, const OpCase *c, int key)
{
  if (!(c->arg[LOOK_AT] & STATE)) return NULL;
  return y + (c->arg[LOOK_AT] & OUTPUT ? count_of(&c->leaf[key]) : 0);
}

oracle_dims dims_of(const OpCase *c, int key)
{
  Sizes z = sizes_of(c, key);
  return (oracle_dims){(size_t)z.B, (size_t)z.T, (size_t)z.H, (size_t)z.N};
}

void check_looks_and_cuts(OpCase c, Jvp *jvp, int key)
{
  int T = c.leaf[key].shape[1], cuts[] = {0, T / 2, TOKENWISE};
  char name[96];
  const char *base = c.name;
  for (int what = OUTPUT; what <= BOTH; what++)
    for (size_t i = 0; i < (T > 1 ? COUNT_OF(cuts) : 1); i++) {
      snprintf(name, sizeof name, "%s B %d T %d H %d, look %d, cut %d", base, c.leaf[key].shape[0], T, c.arg[HEADS],
               what, cuts[i]);
      c.name = name;
      c.arg[LOOK_AT] = what, c.arg[CUT] = cuts[i];
      check_against(&c, jvp);
    }
}

void print_worst(void) { printf("worst: values %.2g, gradients %.2g\n", worst_value, worst_gradient); }
