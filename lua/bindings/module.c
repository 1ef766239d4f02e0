/* The bindings without the program: the module rwkv.core for a stock Lua 5.4. What the program has besides, and the
   bindings ask for, stands in here. */
#include "bind.h"

#include <stdio.h>

void program_become_double(lua_State *L)
{
  luaL_error(L, "this needs float64, and the module rwkv.core that Lua has loaded is float32: run the script with "
                "`aviary`, or put the directory build/f64 before the other ones in LUA_CPATH");
}

static int find_library(lua_State *L) /* -> the path of one of its files, or nothing */
{
  return luaL_dostring(L, "return package.searchpath('rwkv.sorted', package.path)") == LUA_OK && lua_isstring(L, -1);
}

bool of_library(lua_State *L, const char *source)
{
  static char home[4096]; /* with a "/" at its end */
  if (!*home) {
    lua_pushcfunction(L, find_library);
    if (lua_pcall(L, 0, 1, 0) == LUA_OK && lua_isstring(L, -1)) snprintf(home, sizeof home, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    char *end = strrchr(home, '/');
    if (end) end[1] = 0;
    else strcpy(home, "?"); /* no source begins so */
  }
  return *source == '@' && strncmp(source + 1, home, strlen(home)) == 0;
}

const char *program_cuda(void) { return NULL; } /* it opens none */

void check_time(lua_State *L) { (void)L; } /* its time is not limited */
