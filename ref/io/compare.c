#include "compare.h"

#include "engine/err.h"

#include <math.h>

enum { PART = 512 };

/* ---- where numbers are ---- */

static void from_doubles(const void *from, size_t at, size_t n, double *out)
{
  const double *x = from;
  for (size_t i = 0; i < n; i++) out[i] = x[at + i];
}

static void from_ints(const void *from, size_t at, size_t n, double *out)
{
  const int *x = from;
  for (size_t i = 0; i < n; i++) out[i] = x[at + i];
}

typedef void Read(const Tensor *t, size_t from, size_t n, real *out); /* tensor_read or tensor_read_grad */

static void read_by(Read *read, const Tensor *t, size_t at, size_t n, double *out)
{
  real part[PART];
  for (size_t done = 0, m; done < n; done += m) {
    m = n - done < PART ? n - done : PART;
    read(t, at + done, m, part);
    for (size_t i = 0; i < m; i++) out[done + i] = (double)part[i];
  }
}

static void from_tensor(const void *from, size_t at, size_t n, double *out) { read_by(tensor_read, from, at, n, out); }

static void from_gradient(const void *from, size_t at, size_t n, double *out)
{
  read_by(tensor_read_grad, from, at, n, out);
}

CompareNumbers compare_doubles(const double *x) { return (CompareNumbers){from_doubles, x}; }
CompareNumbers compare_ints(const int *x) { return (CompareNumbers){from_ints, x}; }
CompareNumbers compare_tensor(const Tensor *t) { return (CompareNumbers){from_tensor, t}; }
CompareNumbers compare_gradient(const Tensor *t) { return (CompareNumbers){from_gradient, t}; }

/* ---- the measure ---- */

double compare_scale(CompareNumbers expected, size_t n)
{
  double most = 1e-3, part[PART];
  for (size_t at = 0, m; at < n && most < 1; at += m) {
    m = n - at < PART ? n - at : PART;
    expected.read(expected.from, at, m, part);
    for (size_t i = 0; i < m; i++)
      if (isfinite(part[i]) && fabs(part[i]) > most) most = fabs(part[i]);
  }
  return most < 1 ? most : 1;
}

double compare_error(double found, double expected, double scale)
{
  if (found == expected || (isnan(found) && isnan(expected))) return 0;
  double error = fabs(found - expected) / fmax(scale, fabs(expected));
  return isnan(error) ? HUGE_VAL : error;
}

/* ---- all of it ---- */

/* A run of numbers at one position. */
typedef struct {
  size_t from, n, position; /* from: of the found ones */
  double found[PART], expected[PART];
} Run;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void next_run(const Comparison *c, Run *r)
{
  size_t in_period = r->from % c->period, at = c->offset + in_period, in_row = at % c->row;
  r->n = least(least(c->n - r->from, PART), c->period - in_period);
  if (c->positions > 1) r->n = least(r->n, c->row - in_row);
  r->position = at / c->row % c->positions;
  c->found.read(c->found.from, r->from, r->n, r->found);
  c->expected.read(c->expected.from, at, r->n, r->expected);
}

/* best: the largest error at the first position that has one above tol, which is first_position. */
typedef struct {
  Difference d;
  double squares, best;
  size_t first_position;
} Sum;

static void add_number(Sum *s, const Comparison *c, const Run *r, size_t i)
{
  Difference *d = &s->d;
  double found = r->found[i], expected = r->expected[i], e = compare_error(found, expected, d->scale);
  double absolute = e > 0 ? fabs(found - expected) : 0;
  if (isnan(absolute)) absolute = HUGE_VAL;
  s->squares += e * e;
  d->strange += !isfinite(found), d->strange_expected += !isfinite(expected);
  d->worst_absolute = fmax(d->worst_absolute, absolute);
  if (e > 0) d->worst_relative = fmax(d->worst_relative, isfinite(e) ? absolute / fabs(expected) : HUGE_VAL);
  if (e > d->worst) d->worst = e, d->at = r->from + i;
  if (c->by_position) c->by_position[r->position] = fmax(c->by_position[r->position], e);
  if (!(e > c->tol)) return;
  if (!d->above || r->position < s->first_position || (r->position == s->first_position && e > s->best))
    d->above = true, s->first_position = r->position, s->best = e, d->first = r->from + i;
}

Difference compare_numbers(const Comparison *c)
{
  Sum s = {.d = {.scale = compare_scale(c->expected, c->all)}};
  for (size_t t = 0; c->by_position && t < c->positions; t++) c->by_position[t] = -1;
  Run r;
  for (r.from = 0; r.from < c->n; r.from += r.n) {
    rwkv_poll();
    next_run(c, &r);
    for (size_t i = 0; i < r.n; i++) add_number(&s, c, &r, i);
  }
  s.d.rms = sqrt(s.squares / (double)(c->n ? c->n : 1));
  return s.d;
}
