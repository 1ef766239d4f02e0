/* ROSA of one group of channels of one sequence by its table, for the reference and for devices. C and C++. */
#ifndef AVIARY_K_ROSA_GROUP_H
#define AVIARY_K_ROSA_GROUP_H

#include "k_rosa.h"

#include <math.h>

#ifndef ROSA_FUNCTION
#define ROSA_FUNCTION static inline
#endif

#define ROSA_SMALLEST 1e-3 /* what a gradient divides by at least */

/* A bit of the token at a place that is taken as the other one. */
typedef struct {
  size_t at, bit;
  bool of_q, of_k, of_v;
} RosaFlip;

typedef struct {
  const Rosa *op;
  size_t b, group;
} RosaGroup;

/* The first of the group's numbers at a place of q, k or v. */
ROSA_FUNCTION size_t rosa_at(RosaGroup r, size_t place)
{
  return ((r.b * r.op->U + place) * r.op->G + r.group) * r.op->bits;
}

/* The symbols at place i of q and at place e of k are the same. */
ROSA_FUNCTION bool rosa_same(RosaGroup r, size_t i, size_t e, const RosaFlip *f)
{
  const real *q = r.op->q + rosa_at(r, i), *k = r.op->k + rosa_at(r, e);
  for (size_t j = 0; j < r.op->bits; j++) {
    bool other_q = f->of_q && f->bit == j && f->at == i, other_k = f->of_k && f->bit == j && f->at == e;
    if (((q[j] > 0) != other_q) != ((k[j] > 0) != other_k)) return false;
  }
  return true;
}

/* Row i of the table of runs from row i - 1: runs[e stride] for places e up to its own. Returns the place that is read:
   one after the end of the longest run, of several the latest; 0 if there is none. */
ROSA_FUNCTION size_t rosa_row(RosaGroup r, real *runs, size_t stride, size_t i, const RosaFlip *f)
{
  size_t read = 0;
  real longest = 0;
  for (size_t e = i + 1; e-- > 0;) {
    real run = rosa_same(r, i, e, f) ? (e > 0 ? runs[(e - 1) * stride] : 0) + 1 : 0;
    runs[e * stride] = run;
    if (e < i && run > longest) longest = run, read = e + 1;
  }
  return read;
}

/* y of channel j of the group, where `read` is the place that was found. */
ROSA_FUNCTION real rosa_output(RosaGroup r, size_t read, size_t j, const RosaFlip *f)
{
  const Rosa *op = r.op;
  size_t c = r.group * op->bits + j;
  if (read == 0) return op->none_low ? op->low[c] : 0;
  bool other = f->of_v && f->bit == j && f->at == read;
  return (op->v[rosa_at(r, read) + j] > 0) != other ? op->high[c] : op->low[c];
}

ROSA_FUNCTION void rosa_forward(RosaGroup r)
{
  const Rosa *op = r.op;
  const RosaFlip none = {0, 0, false, false, false};
  size_t old = op->U - op->T;
  real *runs = op->runs + r.b * op->U * op->G + r.group;
  for (size_t e = 0; e < old; e++) runs[e * op->G] = op->before[(r.b * old + e) * op->G + r.group];
  for (size_t t = 0; t < op->T; t++) {
    size_t read = rosa_row(r, runs, op->G, old + t, &none), y = ((r.b * op->T + t) * op->G + r.group) * op->bits;
    for (size_t j = 0; j < op->bits; j++) op->y[y + j] = rosa_output(r, read, j, &none);
  }
}

/* ---- gradients ---- */

/* The first of the group's numbers in g of the token at a place, which is one of this run's. */
ROSA_FUNCTION size_t rosa_of_run(RosaGroup r, size_t i)
{
  return ((r.b * r.op->T + i - (r.op->U - r.op->T)) * r.op->G + r.group) * r.op->bits;
}

/* The sum of g y. runs: row f.at - 1; trial: room for as many as there are places. */
ROSA_FUNCTION acc rosa_sum(RosaGroup r, const real *g, const real *runs, real *trial, const RosaFlip *f)
{
  const Rosa *op = r.op;
  acc sum = 0;
  for (size_t e = 0; e < f->at; e++) trial[e] = runs[e];
  for (size_t i = f->at; i < op->U; i++) {
    size_t read = rosa_row(r, trial, 1, i, f);
    if (i < op->U - op->T) continue;
    for (size_t j = 0; j < op->bits; j++) sum += (acc)g[rosa_of_run(r, i) + j] * (acc)rosa_output(r, read, j, f);
  }
  return sum;
}

/* The gradient of x, whose bit is the flipped one. */
ROSA_FUNCTION real rosa_difference(real x, acc as_it_is, acc other)
{
  return (real)((x > 0 ? as_it_is - other : other - as_it_is) / (2 * fmax(fabs((acc)x), ROSA_SMALLEST)));
}

/* Adds the gradients of q, k and v of the group at a place. runs: the row before. */
ROSA_FUNCTION void rosa_back_place(const RosaBackward *op, RosaGroup r, const real *runs, real *trial, size_t i)
{
  const Rosa *f = &op->forward;
  const RosaFlip none = {i, 0, false, false, false};
  acc sum = rosa_sum(r, op->g, runs, trial, &none);
  for (size_t j = 0; j < f->bits; j++) {
    size_t n = rosa_at(r, i) + j;
    const RosaFlip q = {i, j, true, op->self, op->self}, k = {i, j, false, true, false}, v = {i, j, false, false, true};
    if (op->gq) op->gq[n] += rosa_difference(f->q[n], sum, rosa_sum(r, op->g, runs, trial, &q));
    if (op->self) continue;
    if (op->gk) op->gk[n] += rosa_difference(f->k[n], sum, rosa_sum(r, op->g, runs, trial, &k));
    if (op->gv) op->gv[n] += rosa_difference(f->v[n], sum, rosa_sum(r, op->g, runs, trial, &v));
  }
}

/* Adds the gradients of low and high of the group's channels, of a token that reads that place. */
ROSA_FUNCTION void rosa_back_levels(const RosaBackward *op, RosaGroup r, size_t read, size_t i)
{
  const Rosa *f = &op->forward;
  for (size_t j = 0; j < f->bits; j++) {
    size_t c = r.group * f->bits + j;
    bool high = read > 0 && f->v[rosa_at(r, read) + j] > 0, low = !high && (read > 0 || f->none_low);
    real g = op->g[rosa_of_run(r, i) + j];
    if (high && op->ghigh) op->ghigh[c] += g;
    if (low && op->glow) op->glow[c] += g;
  }
}

/* room: 2 U numbers. `levels`: of low and high, which the sequences of a group share; or of the rest. */
ROSA_FUNCTION void rosa_backward(const RosaBackward *op, RosaGroup r, real *room, bool levels)
{
  const Rosa *f = &op->forward;
  const RosaFlip none = {0, 0, false, false, false};
  real *runs = room, *trial = room + f->U;
  bool wanted = op->gq || (!op->self && (op->gk || op->gv));
  for (size_t i = 0; i < f->U; i++) {
    if (!levels && wanted) rosa_back_place(op, r, runs, trial, i);
    size_t read = rosa_row(r, runs, 1, i, &none);
    if (levels && i >= f->U - f->T) rosa_back_levels(op, r, read, i);
  }
}

#endif
