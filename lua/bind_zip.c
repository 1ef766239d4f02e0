/* The entries of a zip archive, as NumPy's .npz is one. */
#include "bind.h"

#include <zip.h>

static const char class[] = "rwkv.zip";

static int close_archive(lua_State *L)
{
  zip_t **z = luaL_checkudata(L, 1, class);
  if (*z) zip_discard(*z);
  *z = NULL;
  return 0;
}

/* One entry as a string on top of the stack. */
static void push_entry(lua_State *L, zip_t *z, zip_uint64_t i, const char *path, const char *name, zip_uint64_t size)
{
  luaL_Buffer b;
  if (size > (zip_uint64_t)1 << 40) luaL_error(L, "%s: entry %s claims a size that cannot be", path, name);
  char *bytes = luaL_buffinitsize(L, &b, (size_t)size);
  zip_file_t *f = zip_fopen_index(z, i, 0);
  zip_int64_t n = f ? zip_fread(f, bytes, size) : -1;
  if (f) zip_fclose(f);
  if (n < 0 || (zip_uint64_t)n != size)
    luaL_error(L, "%s: entry %s could not be unpacked: %s", path, name, f ? "it is damaged" : zip_strerror(z));
  luaL_pushresultsize(&b, (size_t)size);
}

/* unzip(path) -> {name = bytes}, names in the order of the archive */
static int unzip(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  zip_t **z = lua_newuserdatauv(L, sizeof *z, 0);
  int code = 0;
  *z = NULL;
  luaL_setmetatable(L, class);
  *z = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (!*z) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    lua_pushfstring(L, "%s: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return lua_error(L);
  }
  lua_newtable(L);
  lua_newtable(L);
  for (zip_int64_t i = 0; i < zip_get_num_entries(*z, 0); i++) {
    zip_stat_t s;
    if (zip_stat_index(*z, (zip_uint64_t)i, 0, &s) || !(s.valid & ZIP_STAT_SIZE) || !(s.valid & ZIP_STAT_NAME))
      return luaL_error(L, "%s: entry %d: %s", path, (int)i, zip_strerror(*z));
    push_entry(L, *z, (zip_uint64_t)i, path, s.name, s.size);
    lua_setfield(L, -3, s.name);
    lua_pushstring(L, s.name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  zip_discard(*z);
  *z = NULL;
  return 2;
}

void open_zip(lua_State *L)
{
  add_class(L, class, NULL, (luaL_Reg[]){{"__gc", close_archive}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"unzip", unzip}, {NULL, NULL}});
}
