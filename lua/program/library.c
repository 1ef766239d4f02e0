/* The library's own world. What is written in Lua below lua/rwkv and lua/commands runs with globals of its own, finds
   modules by a `require` of its own, and strings, files and tensors have methods of its own: whatever a script
   replaces, the library does not see it. A script gets copies of the library's tables (lua/rwkv/public.lua), not
   the tables. */
#include "bindings/bind.h"
#include "program.h"

#include <lualib.h>
#include <stdio.h>
#include <unistd.h>

static const char key_world = 'w', key_loaded = 'l'; /* in the registry */

/* ---- files of the library ---- */

/* Words with single dots between, the last not `init`: no module has two names, or it would be loaded twice. */
static bool is_name(const char *name)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  size_t n = strspn(name, letters);
  while (n > 0 && name[n] == '.') name += n + 1, n = strspn(name, letters);
  return n > 0 && !name[n] && strcmp(name, "init");
}

/* Pushes the path of the module, or nil. */
static bool find_module(lua_State *L, const char *name)
{
  static const char *const templates[] = {"%s/lua/%s.lua", "%s/lua/%s/init.lua"};
  if (is_name(name)) {
    const char *file = luaL_gsub(L, name, ".", "/");
    for (int i = 0; i < 2; i++) {
      const char *path = lua_pushfstring(L, templates[i], program_home(), file);
      if (access(path, R_OK) == 0) return lua_remove(L, -2), true;
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  return false;
}

bool of_library(lua_State *L, const char *source)
{
  (void)L;
  const char *home = program_home();
  size_t n = home ? strlen(home) : 0;
  return home && *source == '@' && strncmp(source + 1, home, n) == 0 && strncmp(source + 1 + n, "/lua/", 5) == 0;
}

int load_library(lua_State *L, const char *path)
{
  int status = luaL_loadfilex(L, path, "t");
  if (status != LUA_OK) return status;
  source_note(L, path);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_world);
  lua_setupvalue(L, -2, 1);
  return LUA_OK;
}

static int require(lua_State *L) /* require(name) -> the module, its path */
{
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_loaded);
  lua_getfield(L, 2, name);
  if (!lua_isnil(L, -1)) return 1;
  if (!find_module(L, name)) return luaL_error(L, "the library has no module '%s'", name);
  const char *path = lua_tostring(L, -1);
  if (load_library(L, path) != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_pushstring(L, path);
  lua_call(L, 2, 1);
  if (lua_isnil(L, -1)) lua_pushboolean(L, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  lua_pushstring(L, path);
  return 2;
}

/* ---- what scripts find of it ---- */

static int push_module(lua_State *L) /* the loader of a module. upvalue: what scripts get of it */
{
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

static void push_required(lua_State *L, const char *name)
{
  lua_pushcfunction(L, require);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

/* One of package.searchers: (name) -> the loader and the path of a module of the library. */
static int search_library(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  bool core = strcmp(name, "rwkv.core") == 0;
  if (strcmp(name, "rwkv") && strncmp(name, "rwkv.", 5)) return 0;
  if (!core && !find_module(L, name)) return lua_pushfstring(L, "the library has no module '%s'", name), 1;
  push_required(L, "rwkv"); /* completes what it is made of */
  push_required(L, "rwkv.public");
  push_required(L, name);
  lua_call(L, 1, 1);
  lua_pushcclosure(L, push_module, 1);
  if (core || !find_module(L, name)) lua_pushliteral(L, ":core:");
  return 2;
}

const char *library_hint(lua_State *L, const char *word)
{
  push_required(L, "rwkv.nearest");
  lua_getfield(L, -1, "hint");
  lua_pushstring(L, word);
  lua_pushvalue(L, -4);
  lua_call(L, 2, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return lua_tostring(L, -1);
}

void library_name(lua_State *L)
{
  if (luaL_dostring(L, "rwkv = require 'rwkv'; help = rwkv.help")) lua_error(L);
}

/* ---- the world ---- */

/* A copy of the table at index, on top of the stack. */
static void push_copy(lua_State *L, int index)
{
  index = lua_absindex(L, index);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, index);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

static void make_world(lua_State *L)
{
  /* What acts on a script's world. */
  static const char *const left_out[] = {"load", "loadfile", "dofile", "require", "package"};
  lua_pushglobaltable(L);
  push_copy(L, -1);
  int world = lua_gettop(L);
  for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
    lua_pushnil(L);
    lua_setfield(L, world, left_out[i]);
  }
  for (lua_pushnil(L); lua_next(L, world - 1); lua_pop(L, 1)) { /* its tables: string, math, .. */
    if (!lua_istable(L, -1) || lua_rawequal(L, -1, world - 1) || lua_type(L, -2) != LUA_TSTRING) continue;
    if (lua_pushvalue(L, -2), lua_rawget(L, world) == LUA_TNIL) {
      lua_pop(L, 1);
      continue;
    }
    lua_pop(L, 1);
    push_copy(L, -1);
    lua_setfield(L, world, lua_tostring(L, -3));
  }
  lua_pushvalue(L, world);
  lua_setfield(L, world, "_G");
  lua_pushcfunction(L, require);
  lua_setfield(L, world, "require");
  lua_createtable(L, 0, 2); /* of `package` what it looks for files with */
  lua_getfield(L, world - 1, "package");
  lua_getfield(L, -1, "searchpath");
  lua_setfield(L, -3, "searchpath");
  lua_getfield(L, -1, "path");
  lua_setfield(L, -3, "path");
  lua_pop(L, 1);
  lua_setfield(L, world, "package");
  lua_remove(L, world - 1);
}

/* Strings: the library's copy of `string` first, then what a script may have added to its own. */
static void seal_strings(lua_State *L, int world)
{
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_getfield(L, world, "string");
  push_copy(L, -1);
  lua_createtable(L, 0, 1);
  lua_getglobal(L, "string");
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -3, "__index");
  lua_pop(L, 1);
  lua_pushliteral(L, "string");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
}

/* Nobody gets at the methods of open files. */
static void seal_files(lua_State *L)
{
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_pushliteral(L, "file");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* Puts search_library in front of the searchers for files. */
static void add_searcher(lua_State *L)
{
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i > 1; i--) lua_geti(L, -1, i), lua_seti(L, -2, i + 1);
  lua_pushcfunction(L, search_library);
  lua_seti(L, -2, 2);
  lua_pop(L, 2);
}

void library_open(lua_State *L, int core)
{
  core = lua_absindex(L, core);
  lua_newtable(L);
  lua_pushvalue(L, core);
  lua_setfield(L, -2, "rwkv.core");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_loaded);
  make_world(L);
  int world = lua_gettop(L);
  seal_strings(L, world);
  seal_files(L);
  add_searcher(L);
  lua_getfield(L, core, "private"); /* for fingerprints: both worlds, and the script's as it was */
  lua_pushvalue(L, world);
  lua_setfield(L, -2, "world");
  lua_pushglobaltable(L);
  push_copy(L, -1);
  lua_setfield(L, -3, "before");
  lua_setfield(L, -2, "globals");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_loaded);
  lua_setfield(L, -2, "loaded");
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_world);
}

void library_arguments(lua_State *L) /* the library sees the program's arguments, too */
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_world);
  lua_getglobal(L, "arg");
  push_copy(L, -1);
  lua_setfield(L, -3, "arg");
  lua_pop(L, 2);
}
