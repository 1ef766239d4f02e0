/* What numbers an argument may have. The engine does not look: built-in versions keep to the ranges by themselves. */
#include "bind.h"

#include <math.h>
#include <stdio.h>

const Range log_decay = {.low = -HUGE_VAL, .high = 0, .what = "a log-decay, at most 0"};
const Range at_most_0 = {.low = -HUGE_VAL, .high = 0, .what = "at most 0"};
const Range at_least_0 = {.low = 0, .high = HUGE_VAL, .what = "at least 0"};
const Range at_least_0_or_nan = {.low = 0, .high = HUGE_VAL, .what = "at least 0", .nan = true};
const Range any_number = {.low = -HUGE_VAL, .high = HUGE_VAL, .what = "that is finite"};
const Range zero_or_one = {.low = 0, .high = 1, .what = "0 or 1", .ends = true};

/* How far x is outside. */
static double beyond(const Range *r, double x)
{
  if (isnan(x)) return r->nan ? 0 : HUGE_VAL;
  if (r->ends && x > r->low && x < r->high) return fmin(x - r->low, r->high - x);
  return x > r->high ? x - r->high : x < r->low ? r->low - x : 0;
}

/* Without a branch a number: nearly always all of them are. */
static bool all_within(const Range *r, const real *x, size_t n)
{
  real low = (real)r->low, high = (real)r->high;
  int out = 0;
  if (r->ends) {
    for (size_t i = 0; i < n; i++) out |= (x[i] != low) & (x[i] != high);
  } else {
    for (size_t i = 0; i < n; i++) out |= !(x[i] >= low) | !(x[i] <= high);
  }
  return !out;
}

/* ---- on a device: with the others of the step ---- */

typedef struct {
  lua_State *L;
  const char *op, *name;
} Whose;

static const char *whose(const void *arg)
{
  static char text[320];
  const Whose *q = arg;
  luaL_where(q->L, 1);
  snprintf(text, sizeof text, "%s%s: %s is", lua_tostring(q->L, -1), q->op, q->name);
  lua_pop(q->L, 1);
  return text;
}

static void check_later(lua_State *L, const char *op, const char *name, const Tensor *t, const Range *r)
{
  unsigned rule = ALSO_INFINITE | (r->nan ? ALSO_NAN : 0) | (r->ends ? ONLY_ENDS : 0);
  bounds_check(step_tape_as_it_is(L)->checks, t, &(BoundsRange){r->low, r->high, rule, r->what}, whose,
               &(Whose){L, op, name});
}

void check_range(lua_State *L, const char *op, const char *name, const Tensor *t, const Range *r)
{
  if (!tensor_can_see()) {
    check_later(L, op, name, t, r);
    return;
  }
  real part[4 * PART];
  double farthest = 0, worst = 0;
  size_t place = 0;
  for (size_t at = 0, n; at < t->n; at += n) {
    n = t->n - at < (size_t)COUNT(part) ? t->n - at : (size_t)COUNT(part);
    tensor_read(t, at, n, part);
    for (size_t i = all_within(r, part, n) ? n : 0; i < n; i++) {
      double far = beyond(r, (double)part[i]);
      if (far > farthest) farthest = far, worst = (double)part[i], place = at + i;
    }
  }
  if (farthest > 0)
    luaL_error(L, "%s: %s is %s%s%s, expected %s", op, name, number_text(L, worst), t->axes ? " at " : "",
               t->axes ? shape_place(t->axes, t->shape, place) : "", r->what);
}

const char *number_text(lua_State *L, double x)
{
  char text[32];
  snprintf(text, sizeof text, "%g", x);
  return lua_pushstring(L, isnan(x) ? "nan" : text); /* C writes -nan, too */
}

double within(lua_State *L, double x, const Range *r, const char *what)
{
  if (beyond(r, x) > 0 || isinf(x))
    luaL_error(L, "%s: expected a number %s, found %s", what, r->what, number_text(L, x));
  return x;
}

double number_argument(lua_State *L, int index, double otherwise, const Range *r, const char *what)
{
  return within(L, luaL_optnumber(L, index, otherwise), r, what);
}

void check_ids(lua_State *L, const char *what, const Tokens *ids, int low, int high)
{
  if (high < 0) luaL_error(L, "%s: there are no ids, the table is empty", what);
  for (int i = 0; i < ids->B * ids->T; i++)
    if (ids->id[i] < low || ids->id[i] > high)
      luaL_error(L, "%s: %d at sequence %d, position %d, expected 0 to %d", what, ids->id[i], i / ids->T + 1,
                 i % ids->T + 1, high);
}

double positive_argument(lua_State *L, int index, double otherwise, const char *what)
{
  double x = luaL_optnumber(L, index, otherwise);
  if (!(x > 0 && x < HUGE_VAL)) luaL_error(L, "%s: expected a number above 0, found %s", what, number_text(L, x));
  return x;
}
