#include "shadow.h"

#include "../engine/err.h"
#include "fast.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

Ops shadowed;
void (*shadow_watch)(const ShadowCall *c, bool before);

void shadow_enable(void)
{
  fast_enable(1);
  shadowed = ops;
  ops = shadow_ops;
  ops.settle = shadowed.settle;
  ops.batch = shadowed.batch;
  ops.read_later = shadowed.read_later;
}

/* ---- how far apart they may be ---- */

/* Differences are relative to the largest magnitude in the output, or of a term of its sums where that is larger.
   The rounding error of a float sum grows as the root of the number of its terms, and so does a sum of terms of random
   sign; but a gradient that is close to 0, as training makes them, is a small rest of large terms. So sums of more than
   4096 terms (gradients of weights, biases and decays over all tokens, mostly) are allowed more, as the root: 2e-5 for
   16384 terms. Found in the first steps of all versions: 3e-6 at most below 6400 terms, and 2e-5 for 135168 (v1's
   decay), where 6e-5 is allowed. */
#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-12;
#else
static const double tolerance = 1e-5;
#endif

static double allowed(const Output *o)
{
  return tolerance * fmax(1, sqrt(o->terms) / 64);
}

/* ---- copies ---- */

static size_t size_of(const Output *o)
{
  static const size_t size[] = {[IS_REAL] = sizeof(real), [IS_ACC] = sizeof(acc), [IS_INT] = sizeof(int)};
  return o->data ? o->count * size[o->type] : 0;
}

/* Each begins where an acc may stand. */
static size_t room_of(const Output *o) { return (size_of(o) + sizeof(acc) - 1) / sizeof(acc) * sizeof(acc); }

/* What is overwritten holds NaN before (an int: -1): a number that a kernel forgets shows. */
static void prepare(const Output *o, const char *before)
{
  if (!size_of(o)) return;
  if (o->kept) memcpy(o->data, before, size_of(o));
  else memset(o->data, 0xff, size_of(o));
}

void shadow_before(ShadowCall *c)
{
  size_t total = 0;
  for (int i = 0; i < c->outputs; i++) total += 2 * room_of(&c->out[i]);
  char *at = c->copies = rwkv_alloc(total + 1, 1, "copies for shadow mode");
  for (int i = 0; i < c->outputs; at += 2 * room_of(&c->out[i++]))
    if (size_of(&c->out[i])) memcpy(at, c->out[i].data, size_of(&c->out[i]));
  at = c->copies;
  for (int i = 0; i < c->outputs; at += 2 * room_of(&c->out[i++])) prepare(&c->out[i], at);
  if (shadow_watch) shadow_watch(c, true);
}

void shadow_between(ShadowCall *c)
{
  fast_settle();
  if (shadow_watch) shadow_watch(c, false);
  char *at = c->copies;
  for (int i = 0; i < c->outputs; at += 2 * room_of(&c->out[i++]))
    if (size_of(&c->out[i])) memcpy(at + room_of(&c->out[i]), c->out[i].data, size_of(&c->out[i]));
  at = c->copies;
  for (int i = 0; i < c->outputs; at += 2 * room_of(&c->out[i++])) prepare(&c->out[i], at);
}

/* ---- comparing ---- */

static double number(const Output *o, const void *data, size_t i)
{
  switch (o->type) {
  case IS_INT: return ((const int *)data)[i];
  case IS_ACC: return ((const acc *)data)[i];
  default: return (double)((const real *)data)[i];
  }
}

/* Of finite numbers their distance; NaN goes with NaN and infinity with itself, and nothing else with them. */
static double distance(double x, double y)
{
  if (isfinite(x) && isfinite(y)) return fabs(x - y);
  return (isnan(y) ? isnan(x) : x == y) ? 0 : HUGE_VAL;
}

static _Noreturn void disagree(const ShadowCall *c, const Output *o, size_t at, double got, double want, double scale)
{
  char sizes[200] = "";
  for (int i = 0; i < c->size_count; i++)
    snprintf(sizes + strlen(sizes), sizeof sizes - strlen(sizes), "%s%zu", i ? ", " : "", c->sizes[i]);
  rwkv_release(c->copies);
  rwkv_fail("shadow: %s: the kernels disagree in %s[%zu] of %zu: fast %.9g, reference %.9g; the largest number of %s "
            "or term of its sums is %.3g, and %.1e of it is allowed, found %.1e; sizes (%s) = (%s)", c->op, o->name, at,
            o->count, got, want, o->name, scale, allowed(o), distance(got, want) / scale, c->size_names, sizes);
}

void shadow_after(ShadowCall *c)
{
  const char *copy = c->copies;
  for (int k = 0; k < c->outputs; copy += 2 * room_of(&c->out[k++])) {
    const Output *o = &c->out[k];
    const char *fast = copy + room_of(o);
    double scale = fmax(o->term, 1e-30), worst = 0;
    size_t at = 0;
    if (!size_of(o)) continue;
    for (size_t i = 0; i < o->count; i++) {
      double want = number(o, o->data, i), d = distance(number(o, fast, i), want);
      if (isfinite(want)) scale = fmax(scale, fabs(want));
      if (d > worst) worst = d, at = i;
    }
    if (o->type == IS_INT ? worst > 0 : !(worst <= allowed(o) * scale))
      disagree(c, o, at, number(o, fast, at), number(o, o->data, at), scale);
  }
  rwkv_release(c->copies);
}
