/* Tensors of any name written to files, and numbers rounded to what such files hold. */
#include "bind.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { AS_F64 = STORAGE_COUNT, AS_I64, KINDS };

/* An entry whose numbers stand in memory as the file shall have them. */
typedef struct {
  const char *name;
  int kind; /* a Storage, AS_F64 or AS_I64 */
  int axes, shape[FILE_MAX_AXES];
  const void *numbers;
} Entry;

typedef struct {
  const char *key, *text;
} Text;

typedef struct {
  Entry *entry;
  lua_Integer count;
  Text *text;
  size_t text_count;
  FileWriter *w;
} Save;

static void save_protected(void *arg)
{
  Save *s = arg;
  for (lua_Integer i = 0; i < s->count; i++) {
    const Entry *e = &s->entry[i];
    if (e->kind == AS_F64) writer_put_doubles(s->w, e->name, e->axes, e->shape, e->numbers);
    else if (e->kind == AS_I64) writer_put_ints(s->w, e->name, e->axes, e->shape, e->numbers);
    else writer_put_packed(s->w, e->name, e->axes, e->shape, (Packed){e->numbers, (Storage)e->kind});
  }
  for (size_t i = 0; i < s->text_count; i++) writer_put_meta(s->w, s->text[i].key, s->text[i].text);
}

static int kind_of(lua_State *L, const char *entry, const char *dtype, bool tokens)
{
  static const char *const names[KINDS] = {[AS_F64] = "f64", [AS_I64] = "i64"};
  if (!dtype) return tokens ? AS_I64 : sizeof(real) == 8 ? AS_F64 : STORED_F32;
  for (int kind = tokens ? AS_I64 : 0; kind < KINDS; kind++)
    if (strcmp(dtype, kind < STORAGE_COUNT ? storage_names[kind] : names[kind]) == 0) return kind;
  luaL_error(L, "save_tensors: \"%s\": dtype '%s', expected %s", entry, dtype,
             tokens ? "i64: they are tokens" : "f64, f32, bf16, f16 or i64");
  return 0;
}

/* The tensor's numbers, as the file shall have them, in memory of Lua's that is left on the stack. */
static const void *converted(lua_State *L, const Tensor *t, const Entry *e)
{
  real *x = lua_newuserdatauv(L, t->n * sizeof *x + 1, 0);
  tensor_read(t, 0, t->n, x);
  if (e->kind == AS_F64 && sizeof(real) == 8) return x;
  size_t size = e->kind == AS_F64 ? sizeof(double) : sizeof(int);
  if (e->kind < STORAGE_COUNT) size = storage_size((Storage)e->kind);
  void *out = lua_newuserdatauv(L, t->n * size + 1, 0);
  size_t bad = t->n;
  if (e->kind < STORAGE_COUNT) bad = packed_write(out, (Storage)e->kind, x, t->n);
  for (size_t i = 0; i < t->n && e->kind == AS_F64; i++) ((double *)out)[i] = (double)x[i];
  for (size_t i = 0; i < t->n && e->kind == AS_I64 && bad == t->n; i++) {
    bool whole = floor((double)x[i]) == (double)x[i] && fabs((double)x[i]) <= 2147483647.0;
    if (whole) ((int *)out)[i] = (int)x[i];
    else bad = i;
  }
  if (bad < t->n)
    luaL_error(L, "save_tensors: \"%s\": %f at place %I does not fit %s", e->name, (lua_Number)x[bad], (lua_Integer)bad,
               e->kind == AS_I64 ? "i64 (32 bits of it)" : storage_names[e->kind]);
  return out;
}

static void read_sizes(lua_State *L, int table, Entry *e, size_t n)
{
  if (raw_field(L, table, "shape") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_Integer axes = list_length(L, -1);
    if (axes > FILE_MAX_AXES)
      luaL_error(L, "save_tensors: \"%s\": at most %d axes, found %I", e->name, FILE_MAX_AXES, axes);
    e->axes = (int)axes;
    size_t product = 1;
    for (int i = 0; i < e->axes; i++) {
      lua_rawgeti(L, -1, i + 1);
      const char *what = lua_pushfstring(L, "save_tensors: \"%s\": size %d of its shape", e->name, i + 1);
      e->shape[i] = int_argument(L, -2, 0, INT_MAX, what);
      product = product > SIZE_MAX >> 32 ? SIZE_MAX : product * (size_t)e->shape[i];
      lua_pop(L, 2);
    }
    if (product != n)
      luaL_error(L, "save_tensors: \"%s\": its shape is for %I numbers, it has %I", e->name, (lua_Integer)product,
                 (lua_Integer)n);
  }
  lua_pop(L, 1);
}

/* The entry in the table at index; what it needs stays on the stack. */
static void read_entry(lua_State *L, int table, Entry *e, lua_Integer place)
{
  luaL_checkstack(L, 12, "save_tensors");
  if (raw_field(L, table, "name") != LUA_TSTRING)
    luaL_error(L, "save_tensors: entry %I has no name; expected { name =, value =, dtype =, shape = }", place);
  known_fields(L, table, "save_tensors", (const char *const[]){"name", "value", "dtype", "shape", NULL});
  e->name = lua_tostring(L, -1);
  raw_field(L, table, "value");
  int value = lua_gettop(L);
  const Tokens *tokens = test_tokens(L, value);
  raw_field(L, table, "dtype");
  e->kind = kind_of(L, e->name, lua_tostring(L, -1), tokens != NULL);
  if (tokens) {
    check_tokens(L, value, e->name);
    e->axes = 2, e->shape[0] = tokens->B, e->shape[1] = tokens->T;
    e->numbers = tokens->id;
    read_sizes(L, table, e, (size_t)tokens->B * (size_t)tokens->T);
    return;
  }
  if (!is_tensor(L, value))
    luaL_error(L, "save_tensors: \"%s\" is a %s, expected a tensor or tokens", e->name, type_text(L, value));
  const Tensor *t = check_tensor(L, value);
  e->axes = t->axes;
  memcpy(e->shape, t->shape, sizeof t->shape);
  read_sizes(L, table, e, t->n);
  e->numbers = converted(L, t, e);
}

static int by_key(const void *a, const void *b) { return strcmp(((const Text *)a)->key, ((const Text *)b)->key); }

/* {key = text} in the order of the keys; what that needs stays on the stack. */
static void read_texts(lua_State *L, int meta, Save *s)
{
  size_t count = 0;
  if (!lua_isnoneornil(L, meta) && !lua_istable(L, meta))
    luaL_error(L, "save_tensors: meta is a %s, expected a table of texts", type_text(L, meta));
  for (lua_pushnil(L); lua_istable(L, meta) && lua_next(L, meta); lua_pop(L, 1)) count++;
  lua_newtable(L); /* keeps texts made of numbers */
  int keep = lua_gettop(L);
  s->text = lua_newuserdatauv(L, count * sizeof *s->text + 1, 0);
  for (lua_pushnil(L); lua_istable(L, meta) && lua_next(L, meta); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      luaL_error(L, "save_tensors: meta holds texts under names, found a %s under a %s", type_text(L, -1),
                 type_text(L, -2));
    s->text[s->text_count++] = (Text){lua_tostring(L, -2), lua_tostring(L, -1)};
    lua_pushvalue(L, -1);
    lua_rawseti(L, keep, (lua_Integer)s->text_count);
  }
  qsort(s->text, s->text_count, sizeof *s->text, by_key);
}

/* save_tensors(path, list of {name =, value = tensor or tokens, dtype =, shape =}, {key = text} or nil): the tensors in
   the order of the list. The same arguments give the same bytes. */
static int save_tensors(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  check_writable(L, path);
  lua_Integer count = check_list(L, 2, "save_tensors");
  if (count > 200000) return luaL_error(L, "save_tensors: %I tensors", count);
  Save s = {.entry = lua_newuserdatauv(L, (size_t)count * sizeof(Entry) + 1, 0), .count = count};
  memset(s.entry, 0, (size_t)count * sizeof(Entry));
  lua_createtable(L, (int)count, 0); /* keeps what the entries point to */
  int keep = lua_gettop(L);
  for (lua_Integer i = 0; i < count; i++) {
    if (lua_rawgeti(L, 2, i + 1) != LUA_TTABLE)
      return luaL_error(L, "save_tensors: entry %I is a %s, expected a table", i + 1, type_text(L, -1));
    read_entry(L, keep + 1, &s.entry[i], i + 1);
    lua_rawseti(L, keep, i + 1); /* the numbers, or the dtype of tokens, which the list keeps anyway */
    lua_settop(L, keep);
  }
  read_texts(L, 3, &s);
  s.w = writer_create(path); /* from here on Lua allocates nothing */
  const char *error = rwkv_protect(save_protected, &s);
  if (!error) return writer_finish(s.w), 0;
  writer_abandon(s.w);
  return luaL_error(L, "%s", error);
}

/* t:round("f64", "f32", "bf16" or "f16") -> a copy without gradient, each number the nearest one of that format, of two
   the even one; infinite where it is too large */
static int round_to(lua_State *L)
{
  const Tensor *t = check_tensor(L, 1);
  int kind = kind_of(L, "round", luaL_checkstring(L, 2), false);
  if (kind == AS_I64) return luaL_error(L, "round: expected f64, f32, bf16 or f16, found i64");
  if (kind == AS_F64) return new_copy(L, t), 1;
  Tensor *copy = new_owned(L, t->axes, t->shape);
  real part[PART];
  for (size_t at = 0, n; at < t->n; at += n) {
    n = t->n - at < PART ? t->n - at : PART;
    tensor_read(t, at, n, part);
    packed_round(part, (Storage)kind, n);
    tensor_write(copy, at, n, part);
  }
  return 1;
}

void open_tensor_file(lua_State *L)
{
  add_functions(L, (luaL_Reg[]){{"save_tensors", save_tensors}, {NULL, NULL}});
  add_methods(L, "rwkv.tensor", (luaL_Reg[]){{"round", round_to}, {NULL, NULL}});
}
