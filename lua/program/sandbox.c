/* The world of a script that is not trusted: a table of globals made of what is named here, and of nothing else. It
   holds no function that writes outside the output directory, starts processes, loads C libraries or bytecode, or looks
   into other functions; where Lua has one, a function stands that says which flag permits it. */
#include "bindings/bind.h"
#include "program.h"

static bool closed; /* there is a sandbox */

static int refuse(lua_State *L) /* upvalue: the name */
{
  return luaL_error(L, "%s: a script may not; start aviary with --trust to permit it",
                    lua_tostring(L, lua_upvalueindex(1)));
}

/* ---- text only: bytecode can do with memory what it likes ---- */

static void name_flag(lua_State *L)
{
  const char *message = lua_tostring(L, -1);
  if (!message || !strstr(message, "binary chunk")) return;
  lua_pushliteral(L, "; start aviary with --trust to permit it");
  lua_concat(L, 2);
}

int load_script(lua_State *L, const char *path)
{
  int status = luaL_loadfilex(L, path, closed ? "t" : NULL);
  if (status != LUA_OK) name_flag(L);
  else source_note(L, path);
  return status;
}

static int load_chunk(lua_State *L) /* load(chunk, name, mode, env). upvalue: the original */
{
  if (lua_gettop(L) < 3) lua_settop(L, 3);
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
  if (results == 2) name_flag(L); /* nil and a message */
  return results;
}

static int load_file(lua_State *L) /* loadfile(path, mode, env) */
{
  bool environment = !lua_isnone(L, 3);
  lua_settop(L, 3);
  if (load_script(L, luaL_optstring(L, 1, NULL)) != LUA_OK) return lua_pushnil(L), lua_insert(L, -2), 2;
  lua_insert(L, 3);
  if (!environment || !lua_setupvalue(L, 3, 1)) lua_settop(L, 3);
  return 1;
}

static int results_of_file(lua_State *L, int status, lua_KContext context)
{
  (void)status, (void)context;
  return lua_gettop(L) - 1;
}

static int do_file(lua_State *L) /* dofile(path) */
{
  lua_settop(L, 1);
  if (load_script(L, luaL_optstring(L, 1, NULL)) != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, results_of_file);
  return results_of_file(L, 0, 0);
}

static int search_file(lua_State *L) /* package.searchers[2](name). upvalue: package */
{
  const char *name = luaL_checkstring(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushvalue(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "path");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* where it was looked for */
  lua_pop(L, 1);
  if (load_script(L, lua_tostring(L, -1)) != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, lua_tostring(L, -2),
                      lua_tostring(L, -1));
  lua_insert(L, -2);
  return 2;
}

/* ---- the world ---- */

/* What a script has of each library: as it is; and with a function of ours in its place, whose upvalue is Lua's own. */
static const struct {
  const char *library, *as_it_is;
  luaL_Reg ours[6];
  /* clang-format off */
} worlds[] = {
    {"_G", " assert collectgarbage error getmetatable ipairs next pairs pcall print rawequal rawget rawlen rawset "
           "require select setmetatable tonumber tostring type warn xpcall ",
     {{"load", load_chunk}, {"loadfile", load_file}, {"dofile", do_file}}},
    {"coroutine", " close create isyieldable resume running status wrap yield ", {{0}}},
    {"debug", " traceback ", {{0}}},
    {"io", " close flush input lines read type write ", {{"open", script_open}, {"output", script_output}}},
    {"math", " abs acos asin atan ceil cos deg exp floor fmod log max min modf rad random randomseed sin sqrt tan "
             "tointeger type ult ", {{0}}},
    {"os", " clock date difftime exit getenv time ", {{"remove", script_remove}, {"rename", script_rename}}},
    {"string", " byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper ",
     {{0}}},
    {"table", " concat insert move pack remove sort unpack ", {{0}}},
    {"utf8", " char codepoint codes len offset ", {{0}}},
};
/* clang-format on */
enum { WORLDS = sizeof worlds / sizeof *worlds };

static bool is_named(const char *list, const char *name)
{
  size_t n = strlen(name);
  for (const char *at = list; (at = strstr(at, name)); at += n)
    if (at > list && at[-1] == ' ' && at[n] == ' ') return true;
  return false;
}

/* Lua's value on top, under `name` in library i, becomes what a script has in its place. */
static void substitute(lua_State *L, int i, const char *name)
{
  if (!lua_isfunction(L, -1) || is_named(worlds[i].as_it_is, name)) return;
  for (const luaL_Reg *r = worlds[i].ours; r->name; r++)
    if (strcmp(r->name, name) == 0) {
      lua_pushcclosure(L, r->func, 1);
      return;
    }
  lua_pop(L, 1);
  lua_pushfstring(L, "%s.%s", worlds[i].library, name);
  lua_pushcclosure(L, refuse, 1);
}

/* A script's form of the library whose table is on top takes its place; what is a table in it is left out. */
static void push_world(lua_State *L, int i)
{
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3);) {
    if (lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) {
      lua_pop(L, 1);
      continue;
    }
    substitute(L, i, lua_tostring(L, -2));
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

/* `require` looks into this very table: it finds what is preloaded, and Lua files. */
static void close_package(lua_State *L)
{
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_pushliteral(L, "package.loadlib");
  lua_pushcclosure(L, refuse, 1);
  lua_setfield(L, -2, "loadlib");
  lua_getfield(L, -1, "searchers");
  lua_geti(L, -1, 1);
  lua_createtable(L, 2, 0);
  lua_insert(L, -2);
  lua_seti(L, -2, 1);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, search_file, 1);
  lua_seti(L, -2, 2);
  lua_setfield(L, -3, "searchers");
  lua_pop(L, 1);
}

void sandbox_open(lua_State *L)
{
#ifdef AVIARY_NO_INNER_WALL /* for tests of the outer one */
  return;
#endif
  closed = true;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  for (int i = 0; i < WORLDS; i++) {
    lua_getfield(L, loaded, worlds[i].library);
    push_world(L, i);
    lua_setfield(L, loaded, worlds[i].library);
  }
  lua_getfield(L, loaded, "_G");
  for (int i = 1; i < WORLDS; i++) {
    lua_getfield(L, loaded, worlds[i].library);
    lua_setfield(L, -2, worlds[i].library);
  }
  lua_getfield(L, loaded, "package");
  close_package(L);
  lua_setfield(L, -2, "package");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "_G");
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pop(L, 1);
}
