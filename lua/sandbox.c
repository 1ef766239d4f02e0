/* What a script may not do unless it is trusted: write outside its output directory, start processes, load C
   libraries or bytecode, reach `debug`. A function that may do some of it checks its arguments and goes on in the
   original; one that may do nothing of it says which flag permits it. */
#include "bind.h"
#include "program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char root[PATH_MAX]; /* the output directory, resolved; empty: everything may be written */
static const char *root_given;

/* ---- where a script may write ---- */

/* The absolute path without links and dots of something that need not be there yet; false if there is none. */
static bool resolve(const char *path, char out[PATH_MAX])
{
  char head[PATH_MAX]; /* what is there of it */
  struct stat link;
  size_t n = strlen(path);
  if (n >= sizeof head) return false;
  memcpy(head, path, n + 1);
  for (;;) {
    while (n > 1 && head[n - 1] == '/') head[--n] = 0;
    if (realpath(n ? head : ".", out)) break;
    if (errno != ENOENT || lstat(head, &link) == 0) return false; /* a link to nothing may lead anywhere */
    while (n > 0 && head[n - 1] != '/') n--;
    head[n] = 0;
  }
  size_t used = strcmp(out, "/") ? strlen(out) : 0;
  for (const char *name = path + n; *(name += strspn(name, "/"));) {
    size_t length = strcspn(name, "/");
    if (strspn(name, ".") >= length || used + length + 2 > PATH_MAX) return false;
    used += (size_t)sprintf(out + used, "/%.*s", (int)length, name);
    name += length;
  }
  return true;
}

int make_directories(const char *path)
{
  char part[PATH_MAX];
  size_t n = 0;
  if (strlen(path) >= sizeof part) return ENAMETOOLONG;
  while (path[n]) {
    n += strspn(path + n, "/");
    n += strcspn(path + n, "/");
    memcpy(part, path, n);
    part[n] = 0;
    if (mkdir(part, 0777) && errno != EEXIST) return errno;
  }
  return 0;
}

void check_writable(lua_State *L, const char *path)
{
  char place[PATH_MAX];
  size_t n = strcmp(root, "/") ? strlen(root) : 0;
  if (!*root) return;
  if (!resolve(path, place) || strncmp(place, root, n) || (place[n] && place[n] != '/'))
    luaL_error(L, "%s: a script may write only below %s; start aviary with --output DIR, or with --trust", path,
               root_given);
  make_directories(root);
}

/* ---- what stands in the place of library functions; upvalues: the original, its name ---- */

static int original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

static int refuse(lua_State *L)
{
  return luaL_error(L, "%s: a script may not; start aviary with --trust to permit it",
                    lua_tostring(L, lua_upvalueindex(2)));
}

static int open_file(lua_State *L) /* io.open(path, mode) */
{
  if (strpbrk(luaL_optstring(L, 2, "r"), "wa+")) check_writable(L, luaL_checkstring(L, 1));
  return original(L);
}

static int set_output(lua_State *L) /* io.output(path or file) */
{
  if (lua_isstring(L, 1)) check_writable(L, lua_tostring(L, 1));
  return original(L);
}

static int remove_file(lua_State *L) /* os.remove(path) */
{
  check_writable(L, luaL_checkstring(L, 1));
  return original(L);
}

static int rename_file(lua_State *L) /* os.rename(from, to) */
{
  check_writable(L, luaL_checkstring(L, 1));
  check_writable(L, luaL_checkstring(L, 2));
  return original(L);
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
  int status = luaL_loadfilex(L, path, *root ? "t" : NULL);
  if (status != LUA_OK) name_flag(L);
  return status;
}

static int load_chunk(lua_State *L) /* load(chunk, name, mode, env) */
{
  if (lua_gettop(L) < 3) lua_settop(L, 3);
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  int results = original(L);
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

/* ---- the whole ---- */

static const struct {
  const char *library, *name;
  lua_CFunction by;
} replaced[] = {
    {"_G", "load", load_chunk},     {"_G", "loadfile", load_file},  {"_G", "dofile", do_file},
    {"io", "open", open_file},      {"io", "output", set_output},   {"io", "popen", refuse},
    {"io", "tmpfile", refuse},      {"os", "execute", refuse},      {"os", "remove", remove_file},
    {"os", "rename", rename_file},  {"os", "tmpname", refuse},      {"os", "setlocale", refuse},
    {"package", "loadlib", refuse},
};

/* The function under `name` in the table on top of the stack. */
static void replace(lua_State *L, const char *library, const char *name, lua_CFunction by)
{
  lua_getfield(L, -1, name);
  lua_pushfstring(L, "%s.%s", library, name);
  lua_pushcclosure(L, by, 2);
  lua_setfield(L, -2, name);
}

static void close_debug(lua_State *L)
{
  lua_getglobal(L, "debug");
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pop(L, 1);
    if (strcmp(lua_tostring(L, -1), "traceback") == 0) continue;
    lua_pushvalue(L, -2);
    replace(L, "debug", lua_tostring(L, -2), refuse);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* require finds what is preloaded, and Lua files. */
static void close_package(lua_State *L)
{
  lua_getglobal(L, "package");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_file, 1);
  lua_seti(L, -2, 2);
  for (int i = 4; i > 2; i--) {
    lua_pushnil(L);
    lua_seti(L, -2, i);
  }
  lua_pop(L, 2);
}

void sandbox_open(lua_State *L, const char *output)
{
  if (!*output || !resolve(output, root)) luaL_error(L, "--output %s: there can be no such directory", output);
  root_given = output;
  for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
    lua_getglobal(L, replaced[i].library);
    replace(L, replaced[i].library, replaced[i].name, replaced[i].by);
    lua_pop(L, 1);
  }
  close_debug(L);
  close_package(L);
}
