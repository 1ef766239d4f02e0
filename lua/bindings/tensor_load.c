/* Tensors of any name from files of any format. */
#include "bind.h"

#include "io/names.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

static const char file_class[] = "rwkv.file";

static int close_file(lua_State *L)
{
  TensorFile **f = luaL_checkudata(L, 1, file_class);
  file_close(*f);
  *f = NULL;
  return 0;
}

TensorFile **push_file(lua_State *L)
{
  TensorFile **f = lua_newuserdatauv(L, sizeof *f, 0);
  *f = NULL;
  luaL_setmetatable(L, file_class);
  return f;
}

static bool begins(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

/* Memory of Lua's, on top of the stack, for the numbers of any one tensor whose name begins so. */
static void *push_room(lua_State *L, const TensorFile *f, const char *prefix)
{
  size_t most = 0;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    if (!begins(t->name, prefix)) continue;
    if (t->n > INT_MAX) luaL_error(L, "%s: tensor \"%s\" has %I numbers", file_path(f), t->name, (lua_Integer)t->n);
    size_t bytes = t->n * (file_is_floating(t->type) ? sizeof(real) : sizeof(double));
    if (bytes > most) most = bytes;
  }
  return lua_newuserdatauv(L, most + 1, 0);
}

/* Integers of 32 bits in one or two axes, room: a Tokens value. Returns false, and pushes nothing, if they are not. */
static bool push_integers(lua_State *L, const FileTensor *t, const double *numbers)
{
  if (t->axes < 1 || t->axes > 2 || t->n == 0) return false;
  for (size_t i = 0; i < t->n; i++)
    if (fabs(numbers[i]) > INT_MAX) return false;
  int B = t->axes == 2 ? t->shape[0] : 1;
  Tokens *tokens = new_tokens(L, B, (lua_Integer)(t->n / (size_t)B), t->name);
  for (size_t i = 0; i < t->n; i++) tokens->id[i] = (int)numbers[i];
  return true;
}

/* Numbers as they are, or an error. */
static void put_exactly(lua_State *L, const TensorFile *f, const FileTensor *t, Tensor *out, const double *numbers)
{
  Writer w = {.t = out};
  for (size_t i = 0; i < t->n; i++) {
    if ((double)(real)numbers[i] != numbers[i] || fabs(numbers[i]) > 9007199254740992.0)
      luaL_error(L, "%s: tensor \"%s\" has the number %f, which a tensor cannot hold exactly%s", file_path(f), t->name,
                 numbers[i], sizeof(real) == 4 ? " in float32 (--double)" : "");
    put_number(&w, (real)numbers[i]);
  }
}

static void push_value(lua_State *L, const TensorFile *f, const FileTensor *t, void *room)
{
  bool floating = file_is_floating(t->type), folded = t->axes > MAX_AXES;
  if (!floating) file_read_doubles(f, t, room);
  if (!floating && t->type != FILE_BOOL && push_integers(L, t, room)) return;
  Tensor *out = new_owned(L, folded ? 1 : t->axes, folded ? &(int){(int)t->n} : t->shape);
  if (!floating) {
    put_exactly(L, f, t, out, room);
    return;
  }
  file_read(f, t, room);
  tensor_write(out, 0, t->n, room);
}

static void push_entry(lua_State *L, const TensorFile *f, const FileTensor *t, void *room)
{
  char dtype[8];
  const char *name = file_type_name(t->type);
  size_t n = strlen(name);
  for (size_t i = 0; i <= n; i++) dtype[i] = (char)tolower((unsigned char)name[i]);
  lua_createtable(L, 0, 5);
  push_value(L, f, t, room);
  lua_setfield(L, -2, "value");
  lua_pushstring(L, dtype);
  lua_setfield(L, -2, "dtype");
  lua_createtable(L, t->axes, 0);
  for (int i = 0; i < t->axes; i++) lua_pushinteger(L, t->shape[i]), lua_rawseti(L, -2, i + 1);
  lua_setfield(L, -2, "shape");
  lua_pushstring(L, t->given);
  lua_setfield(L, -2, "given");
  lua_pushboolean(L, t->written);
  lua_setfield(L, -2, "written");
}

static int by_place(const void *a, const void *b)
{
  return (*(const FileTensor *const *)a)->place - (*(const FileTensor *const *)b)->place;
}

/* The names that begin so, in the order of the file, on top of the stack. */
static void push_names(lua_State *L, const TensorFile *f, const char *prefix)
{
  size_t count = 0, all = (size_t)file_count(f);
  const FileTensor **order = lua_newuserdatauv(L, all * sizeof *order + 1, 0);
  for (size_t i = 0; i < all; i++)
    if (begins(file_tensor(f, (int)i)->name, prefix)) order[count++] = file_tensor(f, (int)i);
  qsort(order, count, sizeof *order, by_place);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) lua_pushstring(L, order[i]->name), lua_rawseti(L, -2, (lua_Integer)i + 1);
}

/* load_tensors(path, prefix, version) -> {name = {value =, dtype = "f32", shape = {sizes}, given = its name in the
   file, written = whether as text}}, {key = text}, names in the order of the file. A value is a tensor, flat if it has
   more axes than a tensor can have; integers of 32 bits in one or two axes are tokens. prefix: only tensors whose names
   begin so. version: names of families, also of gradients, become the official ones of this version (names_known). */
static int load_tensors(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1), *prefix = luaL_optstring(L, 2, ""), *key, *text;
  const char *version = luaL_optstring(L, 3, NULL);
  TensorFile **f = push_file(L);
  int file = lua_gettop(L);
  *f = file_open(path);
  if (version) names_known(*f, version);
  void *room = push_room(L, *f, prefix);
  lua_newtable(L);
  for (int i = 0; i < file_count(*f); i++) {
    rwkv_poll();
    if (!begins(file_tensor(*f, i)->name, prefix)) continue;
    push_entry(L, *f, file_tensor(*f, i), room);
    lua_setfield(L, -2, file_tensor(*f, i)->name);
  }
  lua_newtable(L);
  for (int i = 0; (text = file_meta_at(*f, i, &key)); i++) {
    rwkv_poll();
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
  }
  push_names(L, *f, prefix);
  lua_remove(L, -2);
  file_close(*f);
  *(TensorFile **)lua_touserdata(L, file) = NULL;
  return 3;
}

void open_tensor_load(lua_State *L)
{
  add_class(L, file_class, NULL, (luaL_Reg[]){{"__gc", close_file}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"load_tensors", load_tensors}, {NULL, NULL}});
}
