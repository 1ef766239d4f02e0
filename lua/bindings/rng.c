/* Random numbers: rwkv.rng(seed, stream) gives the same numbers on every machine. */
#include "bind.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char class[] = "rwkv.rng";

static Rng *check_rng(lua_State *L, int index) { return luaL_checkudata(L, index, class); }

static int make(lua_State *L) /* rng(seed or 0, stream: a name, or 0, 1, ...) */
{
  uint64_t seed = (uint64_t)luaL_optinteger(L, 1, 0);
  Rng value = lua_type(L, 2) == LUA_TSTRING ? rng_named(seed, lua_tostring(L, 2))
                                            : rng_new(seed, (uint64_t)luaL_optinteger(L, 2, 0));
  Rng *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = value;
  luaL_setmetatable(L, class);
  return 1;
}

static int uniform(lua_State *L) /* r:uniform() in [0,1); r:uniform(low, high) */
{
  Rng *r = check_rng(L, 1);
  double low = luaL_optnumber(L, 2, 0), high = luaL_optnumber(L, 3, 1);
  if (!(low <= high && isfinite(high - low)))
    return luaL_error(L, "uniform: nothing lies from %s to %s", number_text(L, low), number_text(L, high));
  lua_pushnumber(L, low + (high - low) * rng_uniform(r));
  return 1;
}

static int normal(lua_State *L) /* r:normal(mean or 0, deviation or 1) */
{
  Rng *r = check_rng(L, 1);
  double mean = luaL_optnumber(L, 2, 0), deviation = number_argument(L, 3, 1, &at_least_0, "normal: the deviation");
  if (!isfinite(mean)) return luaL_error(L, "normal: the mean is %s, expected a number", number_text(L, mean));
  lua_pushnumber(L, mean + deviation * rng_normal(r));
  return 1;
}

static int integer(lua_State *L) /* r:integer(low, high): both included */
{
  Rng *r = check_rng(L, 1);
  lua_Integer low = luaL_checkinteger(L, 2), high = luaL_checkinteger(L, 3);
  if (high < low) return luaL_error(L, "integer: nothing lies from %I to %I", low, high);
  uint64_t n = (uint64_t)high - (uint64_t)low + 1;
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + (n ? rng_below(r, n) : rng_bits(r))));
  return 1;
}

static int shuffle(lua_State *L) /* r:shuffle(list) -> list, in place */
{
  Rng *r = check_rng(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_Integer i = list_length(L, 2); i > 1; i--) {
    lua_Integer j = (lua_Integer)rng_below(r, (uint64_t)i) + 1;
    lua_rawgeti(L, 2, i);
    lua_rawgeti(L, 2, j);
    lua_rawseti(L, 2, i);
    lua_rawseti(L, 2, j);
  }
  lua_settop(L, 2);
  return 1;
}

enum { MANY = 1 << 24 }; /* what a list is drawn from */

/* r:distinct(count, low, high) -> a list: what calls of r:integer(low, high) give, without what came before */
static int distinct(lua_State *L)
{
  Rng *r = check_rng(L, 1);
  lua_Integer low = luaL_checkinteger(L, 3), high = luaL_checkinteger(L, 4);
  uint64_t n = (uint64_t)high - (uint64_t)low + 1;
  if (high < low || n - 1 >= MANY)
    return luaL_error(L, "distinct: from %I to %I, expected a range of 1 to %d numbers", low, high, MANY);
  int count = int_argument(L, 2, 0, (int)n, "distinct: the count");
  lua_createtable(L, count, 0);
  unsigned char *there = lua_newuserdatauv(L, (size_t)n, 0);
  memset(there, 0, (size_t)n);
  for (int i = 1; i <= count;) {
    uint64_t x = rng_below(r, n);
    if (there[x]) continue;
    there[x] = 1;
    lua_pushinteger(L, low + (lua_Integer)x);
    lua_rawseti(L, -3, i++);
  }
  lua_pop(L, 1);
  return 1;
}

typedef struct {
  double time;
  int place;
} Arrival;

static int earlier(const void *a, const void *b)
{
  const Arrival *x = a, *y = b;
  return x->time < y->time ? -1 : x->time > y->time ? 1 : x->place - y->place;
}

/* r:order(weights) -> 1 .. n in the order in which they come when drawn one by one, without replacement: that of
   exponential waiting times with the weights as rates. */
static int order(lua_State *L)
{
  Rng *r = check_rng(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = list_length(L, 2);
  if (n > MANY) return luaL_error(L, "order: %I weights, expected at most %d", n, MANY);
  Arrival *at = lua_newuserdatauv(L, (size_t)n * sizeof *at, 0);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 2, i + 1);
    double weight = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(weight > 0 && isfinite(weight)))
      return luaL_error(L, "order: weight %d is %s, expected a finite number above 0", i + 1, value_text(L, -1));
    lua_pop(L, 1);
    at[i] = (Arrival){-log(1 - rng_uniform(r)) / weight, i + 1};
  }
  qsort(at, (size_t)n, sizeof *at, earlier);
  lua_createtable(L, (int)n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, at[i].place);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* r:tensor("normal" or "uniform", shape...): mean 0, deviation 1; or in [0,1) */
static int tensor(lua_State *L)
{
  Rng *r = check_rng(L, 1);
  int kind = luaL_checkoption(L, 2, "normal", (const char *const[]){"normal", "uniform", NULL});
  int shape[MAX_AXES], axes = shape_arguments(L, 3, shape);
  Writer w = {.t = new_owned(L, axes, shape)};
  while (w.at < w.t->n) put_number(&w, (real)(kind == 0 ? rng_normal(r) : rng_uniform(r)));
  return 1;
}

static int count(lua_State *L) /* r:count() -> draws so far; r:count(n) goes to draw n */
{
  Rng *r = check_rng(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    lua_Integer n = luaL_checkinteger(L, 2);
    if (n < 0) return luaL_error(L, "count: expected 0 or more draws, found %I", n);
    r->count = (uint64_t)n;
  }
  lua_pushinteger(L, (lua_Integer)r->count);
  return 1;
}

/* rng_place(r) -> seed, stream, draws so far; rng_place(r, seed, stream, count) goes there */
static int place(lua_State *L)
{
  Rng *r = check_rng(L, 1);
  if (lua_gettop(L) > 1) {
    lua_Integer seed = luaL_checkinteger(L, 2), stream = luaL_checkinteger(L, 3), n = luaL_checkinteger(L, 4);
    *r = (Rng){(uint64_t)seed, (uint64_t)stream, (uint64_t)n};
  }
  lua_pushinteger(L, (lua_Integer)r->seed);
  lua_pushinteger(L, (lua_Integer)r->stream);
  lua_pushinteger(L, (lua_Integer)r->count);
  return 3;
}

void open_rng(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"uniform", uniform}, {"normal", normal}, {"integer", integer}, {"shuffle", shuffle},
                         {"distinct", distinct}, {"order", order}, {"tensor", tensor}, {"count", count}, {NULL, NULL}},
            NULL);
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"rng", make}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"rng_place", place}, {NULL, NULL}});
}
