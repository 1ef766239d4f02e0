/* The machine and the build: clock, terminal, precision; the classes there are. */
#include "bind.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int now(lua_State *L) /* time() -> seconds, for differences */
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

/* pause(seconds): a signal ends it */
static int take_a_pause(lua_State *L)
{
  double s = luaL_checknumber(L, 1), whole = floor(s);
  nanosleep(&(struct timespec){(time_t)whole, (long)((s - whole) * 1e9)}, NULL);
  return 0;
}

/* is_terminal("errors" or "output") -> whether a person watches it; without an argument the error output */
static int is_terminal(lua_State *L)
{
  lua_pushboolean(L, isatty(luaL_checkoption(L, 1, "errors", (const char *const[]){"output", "errors", NULL}) + 1));
  return 1;
}

static int terminal_size(lua_State *L) /* terminal_size() -> columns, lines; nothing if the output goes elsewhere */
{
  struct winsize w;
  if (!isatty(1) || ioctl(1, TIOCGWINSZ, &w) || !w.ws_col) return 0;
  lua_pushinteger(L, w.ws_col);
  lua_pushinteger(L, w.ws_row);
  return 2;
}

/* classes() -> {tensor = {name = method, ...}, model = ...}: copies, for those who look names up */
static int classes(lua_State *L)
{
  lua_settop(L, 0);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strncmp(name, "rwkv.", 5) || !lua_istable(L, -1) || raw_field(L, lua_gettop(L), "methods") != LUA_TTABLE) {
      lua_settop(L, 3);
      continue;
    }
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, 5);
    }
    lua_setfield(L, 1, name + 5);
    lua_settop(L, 3);
  }
  return 1;
}

/* add_method(class, name, function): for the parts of the library that are written in Lua */
static int add_method(lua_State *L)
{
  luaL_checktype(L, 3, LUA_TFUNCTION);
  luaL_getmetatable(L, lua_pushfstring(L, "rwkv.%s", luaL_checkstring(L, 1)));
  if (!lua_istable(L, -1) || raw_field(L, lua_gettop(L), "methods") != LUA_TTABLE)
    return luaL_error(L, "add_method: there is no class '%s'", lua_tostring(L, 1));
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, luaL_checkstring(L, 2));
  return 0;
}

static int need_double(lua_State *L) /* need_double(): goes on in the float64 program, from the start */
{
#ifndef AVIARY_DOUBLE
  program_become_double(L);
#endif
  (void)L;
  return 0;
}

void open_system(lua_State *L)
{
  /* clang-format off */
  add_functions(L, (luaL_Reg[]){{"time", now}, {"is_terminal", is_terminal}, {"terminal_size", terminal_size},
                                {"classes", classes}, {"need_double", need_double}, {NULL, NULL}});
  /* clang-format on */
  add_private(L, (luaL_Reg[]){{"add_method", add_method}, {"pause", take_a_pause}, {NULL, NULL}});
  lua_pushliteral(L, REAL_NAME);
  lua_setfield(L, -2, "precision");
}
