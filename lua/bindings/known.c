/* Names that are asked for and names that there are: whatever is not known is an error, which says what is near. */
#include "bind.h"

#include "engine/nearest.h"

void known_fields(lua_State *L, int table, const char *function, const char *const *names)
{
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int i = 0;
    while (key && names[i] && strcmp(names[i], key)) i++;
    if (key && names[i]) continue;
    if (!key) key = lua_pushfstring(L, "[%s]", value_text(L, -1));
    luaL_error(L, "%s does not know the option '%s'%s", function, key, nearest_listed(key, names));
  }
}

/* ---- names of methods ---- */

/* What other libraries call it. */
static const struct {
  const char *one, *name, *ours;
  /* clang-format off */
} elsewhere[] = {
    {"tensor", "T", "x:transpose()"},    {"tensor", "mT", "x:transpose()"}, {"tensor", "ndim", "x:dim()"},
    {"tensor", "dot", "x:matmul(m)"},    {"tensor", "mm", "x:matmul(m)"},   {"tensor", "cpu", "x:keep()"},
    {"tensor", "numpy", "x:tolist()"},   {"tensor", "data", "x:tolist()"},  {"tensor", "repeat", "x:expand(sizes...)"},
    {"tensor", "where", "x:masked_fill(mask, number)"}, {"optimizer", "lr", "optimizer:rate()"},
};
/* clang-format on */

/* The nearest of the names in a table, which come in any order: of equals the first one of the alphabet. */
static const char *nearest_key(lua_State *L, int table, const char *word)
{
  const char *best = NULL;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (!best) {
      best = nearest_name(word, &name, 1);
      continue;
    }
    const char *one = nearest_name(word, (const char *[]){best, name}, 2);
    const char *other = nearest_name(word, (const char *[]){name, best}, 2);
    best = one == other || strcmp(one, other) < 0 ? one : other;
  }
  return best;
}

/* Pushes ", did you mean x:sum(axis, keep)?", or "". */
static void push_meant(lua_State *L, const char *one, int methods, const char *word)
{
  const char *call = NULL;
  for (int i = 0; i < COUNT(elsewhere); i++)
    if (strcmp(elsewhere[i].one, one) == 0 && strcmp(elsewhere[i].name, word) == 0) call = elsewhere[i].ours;
  const char *best = call ? NULL : nearest_key(L, methods, word);
  if (best) call = call_of(one, best);
  if (best && !call) call = lua_pushfstring(L, "%s:%s(..)", one, best);
  if (call) lua_pushfstring(L, ", did you mean %s?", call);
  else lua_pushstring(L, strcmp(one, "model") == 0 ? "; a parameter is model:param(name)" : "");
}

int unknown_method(lua_State *L, const char *one, int methods, int name)
{
  const char *word = value_text(L, name);
  push_meant(L, one, methods, word);
  return luaL_error(L, "%s: there is no '%s'%s", one, word, lua_tostring(L, -1));
}

static int missing(lua_State *L) /* (methods, name); upvalue: the class */
{
  return unknown_method(L, lua_tostring(L, lua_upvalueindex(1)), 1, 2);
}

static int unassignable(lua_State *L) /* (object, name, value) */
{
  return luaL_error(L, "%s: there is no '%s' that could be assigned", lua_tostring(L, lua_upvalueindex(1)),
                    value_text(L, 2));
}

void refuse_unknown(lua_State *L, const char *one)
{
  lua_pushstring(L, one);
  lua_pushcclosure(L, unassignable, 1);
  lua_setfield(L, -2, "__newindex");
  lua_getfield(L, -1, "methods");
  lua_createtable(L, 0, 1);
  lua_pushstring(L, one);
  lua_pushcclosure(L, missing, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

/* ---- for what is written in Lua ---- */

static int nearest(lua_State *L) /* nearest(word, list of names) -> the name that was probably meant, or nothing */
{
  const char *word = luaL_checkstring(L, 1), *best = NULL;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = list_length(L, 2);
  for (lua_Integer i = 1; i <= n; i++) {
    bool text = lua_rawgeti(L, 2, i) == LUA_TSTRING;
    const char *pair[] = {best, text ? lua_tostring(L, -1) : ""};
    best = best ? nearest_name(word, pair, 2) : nearest_name(word, pair + 1, 1);
    lua_pop(L, 1); /* the list keeps it */
  }
  lua_pushstring(L, best);
  return best != NULL;
}

void open_known(lua_State *L) { add_private(L, (luaL_Reg[]){{"nearest", nearest}, {NULL, NULL}}); }
