/* Names that are asked for and names that there are: whatever is not known is an error, which says what is near. */
#include "bind.h"

#include "engine/nearest.h"

void push_known(lua_State *L, const char *word, const char *there_are, const char *const *names)
{
  luaL_Buffer b;
  const char *hint = nearest_hint(word, names);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, *hint ? hint : ";");
  luaL_addchar(&b, ' ');
  luaL_addstring(&b, there_are);
  for (int i = 0; names[i]; i++) {
    luaL_addstring(&b, i ? ", " : ": ");
    luaL_addstring(&b, names[i]);
  }
  luaL_pushresult(&b);
}

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
    push_known(L, key, "it knows", names);
    luaL_error(L, "%s does not know the option '%s'%s", function, key, lua_tostring(L, -1));
  }
}

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
