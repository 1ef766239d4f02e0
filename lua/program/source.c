/* Which files of Lua the program has loaded, each with the digest of what it was then: private.sources. */
#include "program.h"

#include "bindings/bind.h"
#include "bindings/sha256.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char key_sources = 's'; /* in the registry: {path = digest} */

/* What is no file cannot be read again: its digest is nobody's. */
static void find_digest(const char *path, char digest[65])
{
  struct stat is;
  bool regular = path && stat(path, &is) == 0 && S_ISREG(is.st_mode);
  FILE *file = regular ? fopen(path, "rb") : NULL;
  memset(digest, '0', 64), digest[64] = 0;
  if (!file) return;
  Sha256 h;
  char part[1 << 12];
  sha256_begin(&h);
  for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;) sha256_add(&h, part, n);
  fclose(file);
  sha256_end(&h, digest);
}

/* The first digest of a path stays, unless the file is another one now: then the numbers come from both. */
void source_note(lua_State *L, const char *path)
{
  char digest[65];
  if (path && access(path, R_OK)) return;
  find_digest(path, digest);
  if (!path) path = "standard input";
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_sources);
  if (lua_getfield(L, -1, path) == LUA_TSTRING && strcmp(lua_tostring(L, -1), digest) != 0)
    path = lua_pushfstring(L, "%s (%s)", path, digest);
  else lua_pushnil(L);
  lua_pushstring(L, digest);
  lua_setfield(L, -4, path);
  lua_pop(L, 3);
}

/* ---- Lua's own ways to load a file, where there is no sandbox; the last upvalue is the original ---- */

static int load(lua_State *L) /* loadfile or dofile */
{
  if (lua_isnoneornil(L, 1)) source_note(L, NULL);
  if (lua_type(L, 1) == LUA_TSTRING) source_note(L, lua_tostring(L, 1));
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int search(lua_State *L) /* package.searchers[i]. upvalues: package, the original */
{
  int results = lua_tocfunction(L, lua_upvalueindex(2))(L);
  if (results == 2 && lua_isfunction(L, -2)) source_note(L, lua_tostring(L, -1));
  return results;
}

void source_open(lua_State *L)
{
  static const char *const loaders[] = {"loadfile", "dofile"};
  for (int i = 0; i < 2; i++) {
    lua_getglobal(L, loaders[i]);
    lua_pushcclosure(L, load, 1);
    lua_setglobal(L, loaders[i]);
  }
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_geti(L, -2, 2); /* of files of Lua */
  lua_pushcclosure(L, search, 2);
  lua_seti(L, -2, 2);
  lua_pop(L, 2);
  luaL_getsubtable(L, -1, "private");
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_sources);
  lua_setfield(L, -2, "sources");
  lua_pop(L, 1);
}
