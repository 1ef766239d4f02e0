/* For lua/rwkv/golden: found numbers against those expected, see ref/io/compare.h. Numbers are those of a tensor or of
   tokens, the expected ones first; places count from 0. */
#include "bind.h"

#include "io/compare.h"

#include <limits.h>
#include <math.h>

static CompareNumbers numbers_argument(lua_State *L, int index, size_t *n)
{
  if (test_tokens(L, index)) {
    const Tokens *t = check_tokens(L, index, "compare");
    *n = (size_t)t->B * (size_t)t->T;
    return compare_ints(t->id);
  }
  const Tensor *t = check_tensor(L, index);
  *n = t->n;
  return compare_tensor(t);
}

static size_t size_field(lua_State *L, int table, const char *name, int otherwise)
{
  return (size_t)integer_field(L, table, name, otherwise);
}

static void push_place(lua_State *L, const Comparison *c, const Difference *d, size_t at, const char *name)
{
  double found, expected;
  size_t of_expected = c->offset + at % c->period;
  c->found.read(c->found.from, at, 1, &found);
  c->expected.read(c->expected.from, of_expected, 1, &expected);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)of_expected);
  lua_setfield(L, -2, "at");
  lua_pushnumber(L, found);
  lua_setfield(L, -2, "found");
  lua_pushnumber(L, expected);
  lua_setfield(L, -2, "expected");
  lua_pushnumber(L, compare_error(found, expected, d->scale));
  lua_setfield(L, -2, "error");
  lua_setfield(L, -2, name);
}

static void push_positions(lua_State *L, const Comparison *c)
{
  lua_createtable(L, (int)c->positions, 1);
  for (size_t t = 0; t < c->positions; t++) {
    if (c->by_position[t] < 0) continue;
    lua_pushnumber(L, c->by_position[t]);
    lua_rawseti(L, -2, (lua_Integer)t);
    lua_pushinteger(L, (lua_Integer)t);
    lua_setfield(L, -3, "last");
  }
  lua_setfield(L, -2, "positions");
}

static void push_difference(lua_State *L, const Comparison *c, const Difference *d)
{
  const struct {
    const char *name;
    double value;
  } numbers[] = {{"scale", d->scale},
                 {"worst", d->worst},
                 {"rms", d->rms},
                 {"worst_absolute", d->worst_absolute},
                 {"worst_relative", d->worst_relative}};
  lua_createtable(L, 0, 12);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    lua_pushnumber(L, numbers[i].value);
    lua_setfield(L, -2, numbers[i].name);
  }
  lua_pushinteger(L, (lua_Integer)d->strange);
  lua_setfield(L, -2, "strange");
  lua_pushinteger(L, (lua_Integer)d->strange_expected);
  lua_setfield(L, -2, "strange_expected");
  if (c->n) push_place(L, c, d, d->at, "at");
  if (d->above) push_place(L, c, d, d->first, "first");
  if (c->by_position) push_positions(L, c);
}

/* compare(expected, found, {offset = 0, period = all, tol = infinite, positions = nil, row =}) -> {scale =, worst =,
   rms =, worst_absolute =, worst_relative =, strange =, strange_expected =, at = place, first = place or nil,
   positions = {[0] = the largest error at each}, last =}, of which a place is {at = of the expected number, found =,
   expected =, error =}. Found number i answers to expected number offset + i % period. Without `positions` the numbers
   do not run over any. */
static int difference(lua_State *L)
{
  size_t all, n;
  CompareNumbers expected = numbers_argument(L, 1, &all), found = numbers_argument(L, 2, &n);
  luaL_checktype(L, 3, LUA_TTABLE);
  known_fields(L, 3, "compare", (const char *const[]){"offset", "period", "tol", "positions", "row", NULL});
  Comparison c = {.found = found, .expected = expected, .n = n, .all = all, .tol = number_field(L, 3, "tol", HUGE_VAL)};
  c.offset = size_field(L, 3, "offset", 0);
  c.period = size_field(L, 3, "period", all < INT_MAX ? (int)all : INT_MAX);
  c.positions = size_field(L, 3, "positions", 0), c.row = size_field(L, 3, "row", 1);
  if (n && (!c.period || !c.row || c.offset > all || all - c.offset < (c.period < n ? c.period : n)))
    return luaL_error(L, "compare: places %I to %I, there are %I", (lua_Integer)c.offset,
                      (lua_Integer)(c.offset + c.period), (lua_Integer)all);
  if (c.positions) c.by_position = lua_newuserdatauv(L, c.positions * sizeof *c.by_position, 0);
  else c.positions = 1;
  Difference d = compare_numbers(&c);
  push_difference(L, &c, &d);
  return 1;
}

/* ---- what it is instead ---- */

static Likeness likeness(lua_State *L, double scale, double tol)
{
  Likeness l = {.scale = scale, .tol = tol, .function = compare_function("same")};
  l.expected = numbers_argument(L, 1, &l.expected_n);
  l.found = numbers_argument(L, 2, &l.found_n);
  return l;
}

static int push_likeness(lua_State *L, const Likeness *l, bool like)
{
  if (!like) return 0;
  lua_pushnumber(L, l->worst);
  lua_pushnumber(L, sqrt(l->squares / (double)(l->count ? l->count : 1)));
  return 2;
}

/* The list of whole numbers in the field, of the length of the box. */
static void read_steps(lua_State *L, int box, const char *name, int axes, ptrdiff_t *out)
{
  if (raw_field(L, box, name) != LUA_TTABLE || list_length(L, -1) != axes)
    luaL_error(L, "like: a box needs %d numbers as its %s", axes, name);
  for (int i = 0; i < axes; i++) {
    lua_rawgeti(L, -1, i + 1);
    out[i] = int_argument(L, -1, -INT_MAX, INT_MAX, "like: a step");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static CompareBox read_box(lua_State *L, int box)
{
  CompareBox b = {.found_from = size_field(L, box, "found_from", 0),
                  .expected_from = size_field(L, box, "expected_from", 0)};
  ptrdiff_t size[COMPARE_AXES];
  known_fields(L, box, "like", (const char *const[]){"size", "found", "expected", "found_from", "expected_from", NULL});
  if (raw_field(L, box, "size") != LUA_TTABLE || list_length(L, -1) > COMPARE_AXES)
    luaL_error(L, "like: expected the sizes of a box, of at most %d axes", COMPARE_AXES);
  b.axes = (int)list_length(L, -1);
  lua_pop(L, 1);
  read_steps(L, box, "size", b.axes, size);
  read_steps(L, box, "found", b.axes, b.found_step);
  read_steps(L, box, "expected", b.axes, b.expected_step);
  for (int i = 0; i < b.axes; i++) b.size[i] = size[i] > 0 ? (size_t)size[i] : 0;
  return b;
}

/* like(expected, found, {scale =, tol =, by = a function's name, k = {constants}, other =, share =}, box, ...) -> the
   worst error and the rms of all boxes if none is above tol; otherwise nothing. other: numbers as many as expected,
   times share added. A box is {size = {}, found = {steps}, expected = {steps}, found_from = 0, expected_from = 0}. */
static int like(lua_State *L)
{
  luaL_checktype(L, 3, LUA_TTABLE);
  known_fields(L, 3, "like", (const char *const[]){"scale", "tol", "by", "k", "other", "share", NULL});
  Likeness l = likeness(L, number_field(L, 3, "scale", 1), number_field(L, 3, "tol", 0));
  int boxes = lua_gettop(L);
  if (raw_field(L, 3, "by") == LUA_TSTRING) l.function = compare_function(lua_tostring(L, -1));
  if (!l.function) return luaL_error(L, "like: there is no function '%s'", lua_tostring(L, -1));
  if (raw_field(L, 3, "k") == LUA_TTABLE)
    for (int i = 0; i < 2; i++) lua_rawgeti(L, boxes + 2, i + 1), l.k[i] = lua_tonumber(L, -1), lua_pop(L, 1);
  CompareNumbers other;
  if (raw_field(L, 3, "other") != LUA_TNIL) {
    size_t n;
    other = numbers_argument(L, lua_gettop(L), &n);
    if (n != l.expected_n) return luaL_error(L, "like: other has %I numbers", (lua_Integer)n);
    l.other = &other, l.share = number_field(L, 3, "share", 1);
  }
  bool is = true;
  for (int i = 4; is && i <= boxes; i++) {
    luaL_checktype(L, i, LUA_TTABLE);
    CompareBox b = read_box(L, i);
    is = compare_like(&l, &b);
  }
  return push_likeness(L, &l, is);
}

/* like_softmax(expected, found, numbers of a row, whether its logarithm, scale, tol) -> as like */
static int like_softmax(lua_State *L)
{
  Likeness l = likeness(L, luaL_checknumber(L, 5), luaL_checknumber(L, 6));
  size_t row = (size_t)int_argument(L, 3, 1, INT_MAX, "like_softmax: a row");
  return push_likeness(L, &l, compare_softmax(&l, l.found_n / row, row, lua_toboolean(L, 4)));
}

/* compare_sums(expected, found) -> a table; as many of both */
static int sums(lua_State *L)
{
  Likeness l = likeness(L, 1, 0);
  if (l.expected_n != l.found_n) return luaL_error(L, "compare_sums: the numbers are not as many");
  CompareSums s = compare_sums(l.found, l.expected, l.found_n);
  const struct {
    const char *name;
    double value;
  } numbers[] = {{"found", s.found},
                 {"expected", s.expected},
                 {"found_low", s.found_low},
                 {"found_high", s.found_high},
                 {"expected_low", s.expected_low},
                 {"expected_high", s.expected_high},
                 {"ratio", s.ratio},
                 {"scale", compare_scale(l.found, l.found_n)}};
  const struct {
    const char *name;
    size_t value;
  } counts[] = {{"n", l.found_n}, {"finite", s.finite}, {"zeros", s.zeros}, {"low", s.low}, {"high", s.high}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    lua_pushnumber(L, numbers[i].value);
    lua_setfield(L, -2, numbers[i].name);
  }
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    lua_pushinteger(L, (lua_Integer)counts[i].value);
    lua_setfield(L, -2, counts[i].name);
  }
  return 1;
}

/* compare_order(expected, found, {outer, size, inner}, scale, tol) -> list of the slices (from 0) of the expected that
   the found ones are, -1 for zeros, -2 for none */
static int order(lua_State *L)
{
  Likeness l = likeness(L, luaL_checknumber(L, 4), luaL_checknumber(L, 5));
  size_t sizes[3];
  luaL_checktype(L, 3, LUA_TTABLE);
  for (int i = 0; i < 3; i++) {
    lua_rawgeti(L, 3, i + 1);
    sizes[i] = (size_t)int_argument(L, -1, 0, INT_MAX, "compare_order: a size");
  }
  CompareSlice *room = lua_newuserdatauv(L, 2 * sizes[1] * sizeof *room + 1, 0);
  int *at = lua_newuserdatauv(L, sizes[1] * sizeof *at + 1, 0);
  compare_order(&l, sizes[0], sizes[1], sizes[2], room, at);
  lua_createtable(L, (int)sizes[1], 0);
  for (size_t i = 0; l.found_n && i < sizes[1]; i++) lua_pushinteger(L, at[i]), lua_rawseti(L, -2, (lua_Integer)i + 1);
  return 1;
}

/* {first, last, first, last, ..} of what is marked */
static void push_ranges(lua_State *L, const bool *off, size_t n)
{
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t i = 0; i < n; i++) {
    if (off[i] && (i == 0 || !off[i - 1])) lua_pushinteger(L, (lua_Integer)i), lua_rawseti(L, -2, ++count);
    if (off[i] && (i + 1 == n || !off[i + 1])) lua_pushinteger(L, (lua_Integer)i), lua_rawseti(L, -2, ++count);
  }
}

/* compare_marks(expected, found, {sizes}, scale, tol) -> for each axis {first, last, first, last, ..}: the indices
   (from 0) at which an error is above tol */
static int marks(lua_State *L)
{
  Likeness l = likeness(L, luaL_checknumber(L, 4), luaL_checknumber(L, 5));
  size_t size[COMPARE_AXES];
  bool *off[COMPARE_AXES];
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer axes = list_length(L, 3);
  if (axes > COMPARE_AXES) return luaL_error(L, "compare_marks: %I axes, at most %d", axes, COMPARE_AXES);
  luaL_checkstack(L, 2 * COMPARE_AXES + 4, "compare_marks");
  for (int i = 0; i < axes; i++) {
    lua_rawgeti(L, 3, i + 1);
    size[i] = (size_t)int_argument(L, -1, 0, INT_MAX, "compare_marks: a size");
    off[i] = memset(lua_newuserdatauv(L, size[i] + 1, 0), 0, size[i] + 1);
  }
  compare_marks(&l, (int)axes, size, off);
  lua_createtable(L, (int)axes, 0);
  for (int i = 0; i < axes; i++) push_ranges(L, off[i], size[i]), lua_rawseti(L, -2, i + 1);
  return 1;
}

void open_compare(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"compare", difference},
                              {"like", like},
                              {"like_softmax", like_softmax},
                              {"compare_sums", sums},
                              {"compare_order", order},
                              {"compare_marks", marks},
                              {NULL, NULL}});
}
