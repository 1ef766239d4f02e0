/* Models in files. */
#include "bind.h"

#include <stdio.h>

typedef struct {
  TensorFile *file;
  LoadOptions options;
  Model *model;           /* load */
  const Version *version; /* hooks_in */
  Dims d;
  const char *names;
} Load;

static void load_protected(void *arg)
{
  Load *l = arg;
  l->model = model_load(l->file, &l->options);
}

/* load(path, hooks by slot or nil, whether the weights stay packed, head size or nil) -> model */
static int load(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  int head_size = opt_int_argument(L, 4, 1, 1 << 20, 0, "load: head_size");
  Dims d = {0};
  lua_settop(L, 3);
  read_hooks(L, 2, NULL, &d);
  Model **m = new_model(L);
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, -2, 1);
  Load l = {.options = {&d, head_size, lua_toboolean(L, 3)}};
  l.file = file_open(path);
  const char *error = rwkv_protect(load_protected, &l);
  file_close(l.file);
  if (error) return luaL_error(L, "%s", error);
  *m = l.model;
  (*m)->host = m;
  return 1;
}

static int pack(lua_State *L) /* m:pack("f32", "bf16" or "f16") -> a copy for inference, its matrices kept so */
{
  const Model *m = check_model(L, 1);
  const char *names[STORAGE_COUNT + 1] = {0};
  for (int i = 0; i < STORAGE_COUNT; i++) names[i] = storage_names[i];
  Storage storage = (Storage)luaL_checkoption(L, 2, NULL, names);
  check_lasting(L, 1);
  Model **copy = new_model(L);
  lua_getiuservalue(L, 1, 1);
  lua_setiuservalue(L, -2, 1);
  *copy = model_pack(m, storage);
  (*copy)->host = copy;
  return 1;
}

static void describe_protected(void *arg)
{
  Load *l = arg;
  l->version = model_hooked(l->file, &l->d, &l->names);
}

/* hooks_in(path) -> {version =, layers =, ..., hooks = {slot = name}} of a file that says so, otherwise nil */
static int hooks_in(lua_State *L)
{
  TensorFile **held = push_file(L);
  *held = file_open(luaL_checkstring(L, 1));
  Load l = {.file = *held};
  const char *error = rwkv_protect(describe_protected, &l);
  if (error) return luaL_error(L, "%s", error);
  if (!l.version) return lua_pushnil(L), 1;
  push_config(L, l.version, &l.d);
  lua_newtable(L);
  for (int slot = 0; slot < HOOK_SLOTS; slot++) {
    const char *name = hook_name_in(l.names, (HookSlot)slot);
    if (name) lua_pushstring(L, name), lua_setfield(L, -2, hook_slots[slot].name);
  }
  lua_setfield(L, -2, "hooks");
  return 1;
}

/* A tensor's numbers in memory of Lua's. */
typedef struct {
  const char *name;
  const Tensor *t;
  const real *numbers;
} Named;

typedef struct {
  lua_State *L; /* on top of its stack a table of texts */
  const Model *m;
  const Optim *o;
  const Named *more;
  lua_Integer count;
  FileWriter *w;
} Save;

static void save_protected(void *arg)
{
  Save *s = arg;
  model_write(s->m, s->w);
  if (s->o) opt_write(s->o, "optim.", s->w);
  for (lua_Integer i = 0; i < s->count; i++)
    writer_put(s->w, s->more[i].name, s->more[i].t->axes, s->more[i].t->shape, s->more[i].numbers);
  for (lua_pushnil(s->L); lua_next(s->L, -2); lua_pop(s->L, 1))
    writer_put_meta(s->w, lua_tostring(s->L, -2), lua_tostring(s->L, -1));
}

/* The list at index {{name =, value = tensor}, ..}, in memory of Lua's on top of the stack; names begin with
   "carried.". */
static const Named *read_carried(lua_State *L, int list, lua_Integer *count)
{
  *count = lua_isnil(L, list) ? 0 : check_list(L, list, "save: carried");
  Named *out = lua_newuserdatauv(L, (size_t)*count * sizeof *out + 1, 1);
  lua_newtable(L); /* keeps the names and numbers */
  int keep = lua_gettop(L);
  for (lua_Integer i = 0; i < *count; i++) {
    lua_rawgeti(L, list, i + 1);
    const char *place = lua_pushfstring(L, "save: carried: entry %I", i + 1);
    lua_insert(L, -2);
    if (!lua_istable(L, -1)) luaL_error(L, "%s is a %s, expected { name =, value = }", place, type_text(L, -1));
    int entry = lua_gettop(L);
    known_fields(L, entry, place, (const char *const[]){"name", "value", NULL});
    raw_field(L, entry, "value");
    check_field(L, is_tensor(L, -1), place, "value", "a tensor");
    const Tensor *t = out[i].t = check_numbers(L, -1);
    raw_field(L, entry, "name");
    check_field(L, lua_type(L, -1) == LUA_TSTRING, place, "name", "a string");
    out[i].name = lua_pushfstring(L, CARRIED_PREFIX "%s", lua_tostring(L, -1));
    lua_rawseti(L, keep, 2 * i + 1);
    real *numbers = lua_newuserdatauv(L, t->n * sizeof *numbers + 1, 0);
    tensor_read(t, 0, t->n, numbers);
    out[i].numbers = numbers;
    lua_rawseti(L, keep, 2 * i + 2);
    lua_settop(L, keep);
  }
  lua_setiuservalue(L, -2, 1);
  return out;
}

/* {key = text} on top, at index meta, or nil, as texts in a new table on top of it: from writer_create on Lua allocates
   nothing. */
static void push_texts(lua_State *L, int meta)
{
  check_field(L, lua_isnil(L, meta) || lua_istable(L, meta), "save", "meta", "a table of texts");
  lua_newtable(L);
  int out = lua_gettop(L);
  for (lua_pushnil(L); lua_istable(L, meta) && lua_next(L, meta);) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      luaL_error(L, "save: meta holds texts under names, found a %s under a %s", type_text(L, -1), type_text(L, -2));
    lua_tostring(L, -1);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, out);
  }
  lua_settop(L, out);
}

/* m:save(path, {optimizer =, meta = {key = text}, carried = {{name =, value = tensor}, ..}}): parameters, the
   optimizer's moments, text, and tensors that are no part of the model, under names that begin with "carried." */
static int save(lua_State *L)
{
  Model *m = check_model(L, 1);
  const char *path = luaL_checkstring(L, 2);
  check_writable(L, path);
  Save s = {.L = L, .m = m};
  lua_settop(L, 3);
  if (lua_isnil(L, 3)) lua_newtable(L), lua_replace(L, 3);
  luaL_checktype(L, 3, LUA_TTABLE);
  known_fields(L, 3, "save", (const char *const[]){"optimizer", "meta", "carried", NULL});
  if (raw_field(L, 3, "optimizer") != LUA_TNIL) {
    check_field(L, luaL_testudata(L, -1, "rwkv.optimizer"), "save", "optimizer", "an optimizer");
    s.o = check_optim(L, -1);
    lua_getiuservalue(L, -1, 1);
    if (!lua_rawequal(L, -1, 1)) return luaL_error(L, "save: the optimizer is of another model");
    lua_pop(L, 1);
  }
  raw_field(L, 3, "carried");
  check_field(L, lua_isnil(L, -1) || lua_istable(L, -1), "save", "carried", "a list");
  s.more = read_carried(L, lua_gettop(L), &s.count);
  raw_field(L, 3, "meta");
  push_texts(L, lua_gettop(L));
  s.w = writer_create(path);
  const char *error = rwkv_protect(save_protected, &s);
  if (!error) return writer_finish(s.w), 0;
  writer_abandon(s.w);
  return luaL_error(L, "%s", error);
}

void open_model_file(lua_State *L)
{
  add_methods(L, "rwkv.model", (luaL_Reg[]){{"save", save}, {"pack", pack}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"load", load}, {"hooks_in", hooks_in}, {NULL, NULL}});
}
