/* ROSA of one group of channels of one sequence by its table, for the reference and for devices. C and C++. */
#ifndef AVIARY_K_ROSA_GROUP_H
#define AVIARY_K_ROSA_GROUP_H

#include "k_rosa.h"

#include <math.h>

#ifndef ROSA_FUNCTION
#define ROSA_FUNCTION static inline
#endif

#define ROSA_SMALLEST 1e-3 /* what a gradient divides by at least */

/* A bit of a token of this run that is taken as the other one. */
typedef struct {
  size_t t, bit;
  bool of_q, of_k, of_v;
} RosaFlip;

typedef struct {
  const Rosa *op;
  size_t b, group;
} RosaGroup;

ROSA_FUNCTION size_t rosa_channels(const Rosa *op) { return op->G * op->bits; }

/* The symbols of token t of q and of place e of k are the same. */
ROSA_FUNCTION bool rosa_same(RosaGroup r, size_t t, size_t e, const RosaFlip *f)
{
  const Rosa *op = r.op;
  size_t C = rosa_channels(op), old = op->U - op->T, first = r.group * op->bits;
  const real *q = op->q + (r.b * op->T + t) * C + first, *k = op->k + (r.b * op->U + e) * C + first;
  for (size_t j = 0; j < op->bits; j++) {
    bool other_q = f->of_q && f->bit == j && f->t == t, other_k = f->of_k && f->bit == j && old + f->t == e;
    if (((q[j] > 0) != other_q) != ((k[j] > 0) != other_k)) return false;
  }
  return true;
}

/* Row t of the table of runs from row t - 1: runs[e stride] for places e up to its own. Returns the place that is read:
   one after the end of the longest run, of several the latest; 0 if there is none. */
ROSA_FUNCTION size_t rosa_row(RosaGroup r, real *runs, size_t stride, size_t t, const RosaFlip *f)
{
  size_t at = r.op->U - r.op->T + t, read = 0;
  real longest = 0;
  for (size_t e = at + 1; e-- > 0;) {
    real run = rosa_same(r, t, e, f) ? (e > 0 ? runs[(e - 1) * stride] : 0) + 1 : 0;
    runs[e * stride] = run;
    if (e < at && run > longest) longest = run, read = e + 1;
  }
  return read;
}

/* y of channel j of the group, where `read` is the place that was found. */
ROSA_FUNCTION real rosa_output(RosaGroup r, size_t read, size_t j, const RosaFlip *f)
{
  const Rosa *op = r.op;
  size_t C = rosa_channels(op), c = r.group * op->bits + j;
  if (read == 0) return op->none_low ? op->low[c] : 0;
  bool other = f->of_v && f->bit == j && read == op->U - op->T + f->t;
  return (op->v[(r.b * op->U + read) * C + c] > 0) != other ? op->high[c] : op->low[c];
}

/* The sum of g y from token f.t on. runs: row f.t - 1; trial: room for as many, both one after the other. */
ROSA_FUNCTION acc rosa_sum(RosaGroup r, const real *g, const real *runs, real *trial, const RosaFlip *f)
{
  const Rosa *op = r.op;
  size_t C = rosa_channels(op);
  acc sum = 0;
  for (size_t e = 0; e < op->U - op->T + f->t; e++) trial[e] = runs[e];
  for (size_t t = f->t; t < op->T; t++) {
    size_t read = rosa_row(r, trial, 1, t, f);
    for (size_t j = 0; j < op->bits; j++)
      sum += (acc)g[(r.b * op->T + t) * C + r.group * op->bits + j] * (acc)rosa_output(r, read, j, f);
  }
  return sum;
}

/* The gradient of x, whose bit is the flipped one. */
ROSA_FUNCTION real rosa_difference(real x, acc as_it_is, acc other)
{
  return (real)((x > 0 ? as_it_is - other : other - as_it_is) / (2 * fmax(fabs((acc)x), ROSA_SMALLEST)));
}

ROSA_FUNCTION void rosa_forward(RosaGroup r)
{
  const Rosa *op = r.op;
  const RosaFlip none = {0, 0, false, false, false};
  size_t C = rosa_channels(op), old = op->U - op->T;
  real *runs = op->runs + r.b * op->U * op->G + r.group;
  for (size_t e = 0; e < old; e++) runs[e * op->G] = op->before[(r.b * old + e) * op->G + r.group];
  for (size_t t = 0; t < op->T; t++) {
    size_t read = rosa_row(r, runs, op->G, t, &none);
    for (size_t j = 0; j < op->bits; j++)
      op->y[(r.b * op->T + t) * C + r.group * op->bits + j] = rosa_output(r, read, j, &none);
  }
}

/* Adds the gradients of q, k and v of the group. runs: row t - 1. */
ROSA_FUNCTION void rosa_back_token(const RosaBackward *op, RosaGroup r, const real *runs, real *trial, size_t t)
{
  const Rosa *f = &op->forward;
  const RosaFlip none = {t, 0, false, false, false};
  size_t C = rosa_channels(f), first = r.group * f->bits, old = f->U - f->T;
  acc sum = rosa_sum(r, op->g, runs, trial, &none);
  for (size_t j = 0; j < f->bits; j++) {
    size_t i = (r.b * f->T + t) * C + first + j, u = (r.b * f->U + old + t) * C + first + j;
    const RosaFlip q = {t, j, true, op->self, op->self}, k = {t, j, false, true, false}, v = {t, j, false, false, true};
    if (op->gq) op->gq[i] += rosa_difference(f->q[i], sum, rosa_sum(r, op->g, runs, trial, &q));
    if (op->self) continue;
    if (op->gk) op->gk[u] += rosa_difference(f->k[u], sum, rosa_sum(r, op->g, runs, trial, &k));
    if (op->gv) op->gv[u] += rosa_difference(f->v[u], sum, rosa_sum(r, op->g, runs, trial, &v));
  }
}

/* Adds the gradients of low and high of the group's channels, of a token that reads that place. */
ROSA_FUNCTION void rosa_back_levels(const RosaBackward *op, RosaGroup r, size_t read, size_t t)
{
  const Rosa *f = &op->forward;
  size_t C = rosa_channels(f);
  for (size_t j = 0; j < f->bits; j++) {
    size_t c = r.group * f->bits + j;
    bool high = read > 0 && f->v[(r.b * f->U + read) * C + c] > 0, low = !high && (read > 0 || f->none_low);
    real g = op->g[(r.b * f->T + t) * C + c];
    if (high && op->ghigh) op->ghigh[c] += g;
    if (low && op->glow) op->glow[c] += g;
  }
}

/* room: 2 U numbers. `levels`: of low and high, which the sequences of a group share; or of the rest. */
ROSA_FUNCTION void rosa_backward(const RosaBackward *op, RosaGroup r, real *room, bool levels)
{
  const Rosa *f = &op->forward;
  const RosaFlip none = {0, 0, false, false, false};
  size_t old = f->U - f->T;
  real *runs = room, *trial = room + f->U;
  bool wanted = op->gq || (!op->self && (op->gk || op->gv));
  for (size_t e = 0; e < old; e++) runs[e] = f->before[(r.b * old + e) * f->G + r.group];
  for (size_t t = 0; t < f->T; t++) {
    if (!levels && wanted) rosa_back_token(op, r, runs, trial, t);
    size_t read = rosa_row(r, runs, 1, t, &none);
    if (levels) rosa_back_levels(op, r, read, t);
  }
}

#endif
