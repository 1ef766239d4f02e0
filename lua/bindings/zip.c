/* Files as strings: whole ones, and the entries of a zip archive, as NumPy's .npz is one. */
#include "bind.h"

#include "io/regular.h"

#include <errno.h>
#include <zip.h>

/* What is open; its finalizer closes what an error left so. */
typedef struct {
  FILE *stream;
  zip_t *archive;
  zip_file_t *entry;
} Source;

static const char class[] = "rwkv.source";

enum { AT_ONCE = 1 << 20 }; /* bytes: nothing is allocated because a file merely claims a size */

static Source *new_source(lua_State *L)
{
  Source *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (Source){0};
  luaL_setmetatable(L, class);
  return s;
}

static void close_source(Source *s)
{
  if (s->stream) fclose(s->stream);
  if (s->entry) zip_fclose(s->entry);
  if (s->archive) zip_discard(s->archive);
  *s = (Source){0};
}

static int collect(lua_State *L)
{
  close_source(luaL_checkudata(L, 1, class));
  return 0;
}

static int read_file(lua_State *L) /* read_file(path) -> the bytes of a regular file */
{
  const char *path = luaL_checkstring(L, 1);
  size_t size, n;
  luaL_Buffer b;
  Source *s = new_source(L);
  s->stream = regular_open(path, &size);
  luaL_buffinit(L, &b);
  do {
    rwkv_poll();
    n = fread(luaL_prepbuffsize(&b, AT_ONCE), 1, AT_ONCE, s->stream);
    luaL_addsize(&b, n);
  } while (n == AT_ONCE);
  if (ferror(s->stream)) return luaL_error(L, "%s: %s", path, strerror(errno));
  luaL_pushresult(&b);
  close_source(s);
  return 1;
}

/* One entry as a string on top of the stack. Only the read that finds its end compares size and CRC. */
static void push_entry(lua_State *L, Source *s, zip_uint64_t i, const char *path, const zip_stat_t *about)
{
  luaL_Buffer b;
  zip_uint64_t size = 0;
  zip_int64_t n;
  s->entry = zip_fopen_index(s->archive, i, 0);
  if (!s->entry) luaL_error(L, "%s: entry %s cannot be read: %s", path, about->name, zip_strerror(s->archive));
  luaL_buffinit(L, &b);
  while ((n = zip_fread(s->entry, luaL_prepbuffsize(&b, AT_ONCE), AT_ONCE)) > 0) {
    luaL_addsize(&b, (size_t)n);
    size += (zip_uint64_t)n;
    rwkv_poll();
    if (size > about->size) break;
  }
  if (n < 0)
    luaL_error(L, "%s: entry %s could not be unpacked: it is damaged (%s)", path, about->name,
               zip_file_strerror(s->entry));
  if (size != about->size)
    luaL_error(L, "%s: entry %s could not be unpacked: it is damaged (%s than the %I bytes it claims)", path,
               about->name, size > about->size ? "more" : "less", (lua_Integer)about->size);
  luaL_pushresult(&b);
  zip_fclose(s->entry);
  s->entry = NULL;
}

static void open_archive(lua_State *L, Source *s, const char *path)
{
  size_t size;
  int code = 0;
  fclose(regular_open(path, &size)); /* libzip would take a directory, and wait for a pipe */
  s->archive = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (s->archive) return;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  lua_pushfstring(L, "%s: %s", path,
                  code == ZIP_ER_EXISTS ? "an entry stands there twice" : zip_error_strerror(&error));
  zip_error_fini(&error);
  lua_error(L);
}

/* unzip(path) -> {name = bytes}, names in the order of the archive */
static int unzip(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  Source *s = new_source(L);
  int entries = lua_gettop(L) + 1, names = entries + 1;
  open_archive(L, s, path);
  lua_newtable(L);
  lua_newtable(L);
  for (zip_int64_t i = 0; i < zip_get_num_entries(s->archive, 0); i++) {
    zip_stat_t about;
    if (zip_stat_index(s->archive, (zip_uint64_t)i, 0, &about) || !(about.valid & ZIP_STAT_SIZE) ||
        !(about.valid & ZIP_STAT_NAME))
      return luaL_error(L, "%s: entry %I: %s", path, (lua_Integer)i + 1, zip_strerror(s->archive));
    for (const char *c = about.name; *c; c++)
      if ((unsigned char)*c < ' ' || *c == 127)
        return luaL_error(L, "%s: the name of entry %I has a control character", path, (lua_Integer)i + 1);
    if (raw_field(L, entries, about.name) != LUA_TNIL)
      return luaL_error(L, "%s: entry %s stands there twice", path, about.name);
    lua_pop(L, 1);
    push_entry(L, s, (zip_uint64_t)i, path, &about);
    lua_setfield(L, entries, about.name);
    lua_pushstring(L, about.name);
    lua_rawseti(L, names, (lua_Integer)i + 1);
  }
  close_source(s);
  return 2;
}

void open_zip(lua_State *L)
{
  add_class(L, class, NULL, (luaL_Reg[]){{"__gc", collect}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"read_file", read_file}, {"unzip", unzip}, {NULL, NULL}});
}
