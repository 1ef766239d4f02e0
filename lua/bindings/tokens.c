/* Tokens and targets: integers in an array [B,T]. */
#include "bind.h"

static const char class[] = "rwkv.tokens";

Tokens *new_tokens(lua_State *L, lua_Integer B, lua_Integer T, const char *what)
{
  if (B < 1 || T < 1 || B > (1 << 28) / (T + 1))
    luaL_error(L, "%s: [%I,%I], expected at least one sequence of one token", what, B, T);
  Tokens *t = lua_newuserdatauv(L, sizeof *t + (size_t)(B * T + B) * sizeof *t->id, 0); /* room for lengths behind */
  t->B = (int)B, t->T = (int)T, t->length = NULL;
  luaL_setmetatable(L, class);
  return t;
}

/* The sequences are not of equal length: the place for their lengths. */
static int *make_ragged(Tokens *t) { return t->length = t->id + (size_t)t->B * (size_t)t->T; }

static int length_of(const Tokens *t, int b) { return t->length ? t->length[b] : t->T; }

/* The list on top of the stack, of so many entries. It is gone through once: this is a good part of making a batch. */
static void read_row(lua_State *L, int *out, lua_Integer count, const char *what, lua_Integer row)
{
  lua_Integer found = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), found++) {
    int whole;
    lua_Integer at = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0, id = lua_tointegerx(L, -1, &whole);
    if (at < 1 || at > count) check_list(L, -3, what);
    if (!whole || id < -2147483647 || id > 2147483647)
      luaL_error(L, "%s: %s at sequence %I, position %I, expected a whole number of 32 bits", what, value_text(L, -1),
                 row, at);
    out[at - 1] = (int)id;
  }
  if (found == count) return;
  for (lua_Integer i = 1; i <= count; i++, lua_pop(L, 1))
    if (lua_rawgeti(L, -1, i) == LUA_TNIL)
      luaL_error(L, "%s: nil at sequence %I, position %I, expected a whole number of 32 bits", what, row, i);
}

/* The entries of sequence b (from 1) of the list at index. */
static lua_Integer row_length(lua_State *L, int index, lua_Integer b, const char *what)
{
  if (lua_rawgeti(L, index, b) != LUA_TTABLE) luaL_error(L, "%s: sequence %I is not a list", what, b);
  lua_Integer n = list_length(L, -1);
  if (n < 1) {
    check_list(L, -1, what);
    luaL_error(L, "%s: sequence %I is empty, expected at least one entry", what, b);
  }
  lua_pop(L, 1);
  return n;
}

static Tokens *read_rows(lua_State *L, int index, const char *what)
{
  lua_Integer B = check_list(L, index, what), T = 0;
  bool equal = true;
  for (lua_Integer b = 1; b <= B; b++) {
    lua_Integer n = row_length(L, index, b, what);
    equal &= b == 1 || n == T;
    T = n > T ? n : T;
  }
  Tokens *t = new_tokens(L, B, T, what);
  for (int i = 0; !equal && i < t->B * t->T; i++) t->id[i] = -100;
  if (!equal) make_ragged(t);
  for (lua_Integer b = 1; b <= B; b++) {
    lua_rawgeti(L, index, b);
    lua_Integer n = list_length(L, -1);
    if (!equal) t->length[b - 1] = (int)n;
    read_row(L, t->id + (b - 1) * T, n, what, b);
    lua_pop(L, 1);
  }
  return t;
}

const Tokens *test_tokens(lua_State *L, int index) { return luaL_testudata(L, index, class); }

const Tokens *check_sequences(lua_State *L, int index, const char *what)
{
  Tokens *t = luaL_testudata(L, index, class);
  if (t) return t;
  if (!lua_istable(L, index))
    luaL_error(L, "%s: expected a list of numbers or a list of lists, found a %s", what, type_text(L, index));
  bool nested = lua_rawgeti(L, index, 1) == LUA_TTABLE;
  lua_pop(L, 1);
  if (nested) t = read_rows(L, index, what);
  else {
    t = new_tokens(L, 1, check_list(L, index, what), what);
    lua_pushvalue(L, index);
    read_row(L, t->id, t->T, what, 1);
    lua_pop(L, 1);
  }
  lua_replace(L, index);
  return t;
}

const Tokens *check_tokens(lua_State *L, int index, const char *what)
{
  const Tokens *t = check_sequences(L, index, what);
  for (int b = 0; b < t->B; b++)
    if (length_of(t, b) != length_of(t, 0))
      luaL_error(L, "%s: sequence %d has %d entries, the first one has %d; expected equal lengths", what, b + 1,
                 length_of(t, b), length_of(t, 0));
  return t;
}

static int make(lua_State *L) /* tokens(list or list of lists) */
{
  lua_settop(L, 1);
  check_sequences(L, 1, "tokens");
  return 1;
}

static int tolist(lua_State *L) /* t:tolist() -> list of lists */
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_createtable(L, t->B, 0);
  for (int b = 0; b < t->B; b++) {
    lua_createtable(L, length_of(t, b), 0);
    for (int i = 0; i < length_of(t, b); i++) {
      lua_pushinteger(L, t->id[b * t->T + i]);
      lua_seti(L, -2, i + 1);
    }
    lua_seti(L, -2, b + 1);
  }
  return 1;
}

static int shape(lua_State *L) /* t:shape() -> {B, T}, T of the longest sequence */
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, t->B);
  lua_seti(L, -2, 1);
  lua_pushinteger(L, t->T);
  lua_seti(L, -2, 2);
  return 1;
}

static int size(lua_State *L) /* t:size() -> how many there are */
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_Integer n = 0;
  for (int b = 0; b < t->B; b++) n += length_of(t, b);
  lua_pushinteger(L, n);
  return 1;
}

static int lengths(lua_State *L) /* t:lengths() -> a list, one number a sequence */
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_createtable(L, t->B, 0);
  for (int b = 0; b < t->B; b++) {
    lua_pushinteger(L, length_of(t, b));
    lua_seti(L, -2, b + 1);
  }
  return 1;
}

/* cut_tokens(t, lengths) -> t, of whose sequences only so many entries count from now on. For what was read from a
   file: to a script, tokens stay as they are. */
static int cut(lua_State *L)
{
  Tokens *t = luaL_checkudata(L, 1, class);
  if (!lua_istable(L, 2) || list_length(L, 2) != t->B)
    return luaL_error(L, "lengths: expected a list of %d, one for each sequence", t->B);
  int *length = make_ragged(t);
  for (int b = 0; b < t->B; b++) length[b] = t->T;
  for (int b = 0; b < t->B; b++) {
    lua_rawgeti(L, 2, b + 1);
    length[b] = int_argument(L, -1, 1, t->T, "lengths");
    lua_pop(L, 1);
  }
  lua_settop(L, 1);
  return 1;
}

static int tensor(lua_State *L) /* t:tensor() -> [B,T], for arithmetic */
{
  const Tokens *t = (luaL_checkudata(L, 1, class), check_tokens(L, 1, "tensor"));
  Writer w = {.t = new_owned(L, 2, (int[]){t->B, t->T})};
  for (int i = 0; i < t->B * t->T; i++) {
    if ((real)t->id[i] != t->id[i]) luaL_error(L, "tokens: float32 does not hold %d exactly (--double)", t->id[i]);
    put_number(&w, (real)t->id[i]);
  }
  return 1;
}

static int rows(lua_State *L) /* t:rows(first, last) -> the sequences first..last, both included */
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_optinteger(L, 3, first);
  if (first < 1 || last < first || last > t->B)
    return luaL_error(L, "rows: %I to %I: expected the first and the last of 1 to %d", first, last, t->B);
  Tokens *part = new_tokens(L, last - first + 1, t->T, "rows");
  memcpy(part->id, t->id + (first - 1) * t->T, (size_t)part->B * (size_t)part->T * sizeof *part->id);
  if (t->length) memcpy(make_ragged(part), t->length + first - 1, (size_t)part->B * sizeof *part->length);
  return 1;
}

static int to_string(lua_State *L)
{
  const Tokens *t = luaL_checkudata(L, 1, class);
  lua_pushfstring(L, "tokens[%d,%d]", t->B, t->T);
  return 1;
}

void open_tokens(lua_State *L)
{
  add_class(L, class,
            (luaL_Reg[]){{"tolist", tolist},
                         {"shape", shape},
                         {"size", size},
                         {"lengths", lengths},
                         {"tensor", tensor},
                         {"rows", rows},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"tokens", make}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"cut_tokens", cut}, {NULL, NULL}});
}
