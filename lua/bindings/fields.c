/* Numbers, lists and fields of tables, as scripts give them. */
#include "bind.h"

#include <limits.h>

lua_Integer list_length(lua_State *L, int index) { return (lua_Integer)lua_rawlen(L, index); }

int raw_field(lua_State *L, int table, const char *name)
{
  lua_pushstring(L, name);
  return lua_rawget(L, table);
}

lua_Integer check_list(lua_State *L, int index, const char *what)
{
  index = lua_absindex(L, index);
  lua_Integer n = list_length(L, index);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    if (key < 1 || key > n)
      luaL_error(L, "%s: expected a list, found the key '%s' beside its %I entries", what, value_text(L, -2), n);
  }
  return n;
}

const char *type_text(lua_State *L, int index)
{
  static const char ours[] = "rwkv.";
  const char *name = luaL_typename(L, index);
  if (luaL_getmetafield(L, index, "__name") == LUA_TNIL) return name;
  const char *class = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : ""; /* the metatable keeps it */
  lua_pop(L, 1);
  bool is_ours = lua_type(L, index) == LUA_TUSERDATA && strncmp(class, ours, strlen(ours)) == 0;
  return is_ours ? class + strlen(ours) : name;
}

const char *value_text(lua_State *L, int index)
{
  int type = lua_type(L, index);
  return lua_pushstring(L, type == LUA_TNUMBER || type == LUA_TSTRING ? luaL_tolstring(L, index, NULL)
                                                                      : type_text(L, index));
}

int int_argument(lua_State *L, int index, int low, int high, const char *what)
{
  int whole;
  lua_Integer n = lua_tointegerx(L, index, &whole);
  if (!whole || n < low || n > high)
    luaL_error(L, "%s: expected a whole number from %d to %d, found %s", what, low, high, value_text(L, index));
  return (int)n;
}

int opt_int_argument(lua_State *L, int index, int low, int high, int otherwise, const char *what)
{
  return lua_isnoneornil(L, index) ? otherwise : int_argument(L, index, low, high, what);
}

double number_field(lua_State *L, int table, const char *name, double otherwise)
{
  int type = raw_field(L, table, name), ok;
  double x = type == LUA_TNIL ? otherwise : lua_tonumberx(L, -1, &ok);
  if (type != LUA_TNIL && !ok) luaL_error(L, "%s: expected a number, found a %s", name, type_text(L, -1));
  lua_pop(L, 1);
  return x;
}

int integer_field(lua_State *L, int table, const char *name, int otherwise)
{
  raw_field(L, table, name);
  int n = opt_int_argument(L, -1, 0, INT_MAX, otherwise, name);
  lua_pop(L, 1);
  return n;
}

void check_field(lua_State *L, bool fits, const char *function, const char *name, const char *expected)
{
  if (!fits) luaL_error(L, "%s: %s is a %s, expected %s", function, name, type_text(L, -1), expected);
}

bool boolean_field(lua_State *L, int table, const char *function, const char *name)
{
  raw_field(L, table, name);
  check_field(L, lua_isnil(L, -1) || lua_isboolean(L, -1), function, name, "a boolean");
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}
