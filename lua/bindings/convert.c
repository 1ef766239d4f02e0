/* Files of tensors in other formats, types and sizes. */
#include "bind.h"

#include "io/convert.h"
#include "io/names.h"

#include <ctype.h>
#include <stdint.h>

typedef struct {
  Told told;
  Convert c;
  int files;
} Conversion;

static void convert_protected(void *conversion)
{
  Conversion *v = conversion;
  v->files = convert_file(&v->c);
}

/* "f32" or nil */
static FileType check_dtype(lua_State *L, int index)
{
  const char *given = luaL_optstring(L, index, NULL);
  for (int type = 0; given && type < FILE_TYPES && file_is_floating((FileType)type); type++) {
    const char *name = file_type_name((FileType)type), *c = given;
    while (*c && toupper((unsigned char)*c) == *name && !isupper((unsigned char)*c)) c++, name++;
    if (!*c && !*name) return (FileType)type;
  }
  if (given) luaL_error(L, "convert: dtype '%s', expected f64, f32, bf16 or f16", given);
  return FILE_TYPES;
}

/* A family of names, by any word for it; NULL: they stay. */
static const char *check_family(lua_State *L, int index)
{
  static const char *const words[][2] = {{"keep", NULL}, {"hf-rwkv4", "transformers"}};
  const char *given = luaL_optstring(L, index, "keep");
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(words[i][0], given) == 0) return words[i][1];
  for (const char *const *family = names_families; *family; family++)
    if (strcmp(*family, given) == 0) return *family;
  luaL_error(L, "convert: names '%s', expected keep, official, fla, transformers or llama.cpp", given);
  return NULL;
}

/* convert(in, out, {dtype = "f32", names = "keep", shards = bytes, progress = function(done, all) end}) -> how many
   files of tensors */
static int convert(lua_State *L)
{
  Conversion v = {.told = {L, 4, false}, .c = {.in = luaL_checkstring(L, 1), .out = luaL_checkstring(L, 2)}};
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) lua_newtable(L), lua_replace(L, 3);
  luaL_checktype(L, 3, LUA_TTABLE);
  known_fields(L, 3, "convert", (const char *const[]){"dtype", "names", "shards", "progress", NULL});
  check_writable(L, v.c.out);
  if (raw_field(L, 3, "progress") != LUA_TNIL) {
    luaL_checktype(L, 4, LUA_TFUNCTION);
    v.c.watch = tell, v.c.watching = &v.told;
  }
  raw_field(L, 3, "dtype");
  v.c.type = check_dtype(L, -1);
  raw_field(L, 3, "names");
  v.c.names = check_family(L, -1);
  if (raw_field(L, 3, "shards") != LUA_TNIL) {
    lua_Integer bytes = luaL_checkinteger(L, -1);
    if (bytes < 1) return luaL_error(L, "convert: shards of %I bytes, expected at least 1", bytes);
    v.c.shard = (size_t)bytes;
  }
  luaL_checkstack(L, 8, "convert");
  const char *error = rwkv_protect(convert_protected, &v);
  if (v.told.failed) return rethrow(L);
  if (error) return luaL_error(L, "%s", error);
  lua_pushinteger(L, v.files);
  return 1;
}

void open_convert(lua_State *L) { add_functions(L, (luaL_Reg[]){{"convert", convert}, {NULL, NULL}}); }
