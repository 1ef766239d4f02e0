/* Hooks from Lua: what lua/rwkv/hooks.lua has made of a script's table becomes a Hook that a model can use, and its
   function is called when the model runs. */
#include "bind.h"

#include "engine/nearest.h"

#include <stdio.h>

static const char class[] = "rwkv.hook";

/* Everything a Hook points to. uservalue 1: the function. */
typedef struct {
  Hook hook; /* first: a Hook* is also the address of the userdata */
  char name[32], origin[120];
  ParamSpec *param;
  StateSpec *state;
  char (*param_name)[32], (*state_name)[32];
} LuaHook;

static const struct {
  const char *name;
  void (*init)(const Init *in);
  /* clang-format off */
} inits[] = {
    {"fill", init_fill},           {"normal", init_normal},         {"uniform", init_uniform},
    {"orthogonal", init_orthogonal}, {"orthogonal_wide", init_ortho_wide}, {"lerp", init_lerp},
    {"decay_v4", init_decay_v4},   {"decay_v5", init_decay_v5},     {"decay_v7", init_decay_v7},
    {"bonus", init_bonus},         {"iclr", init_iclr},             {"key_norm", init_key_norm},
    {"value_residual", init_value_residual}, {"ln_x", init_ln_x},
};
/* clang-format on */

/* ---- from a table to a Hook ---- */

static void read_name(lua_State *L, int table, char out[32])
{
  size_t n = 0;
  raw_field(L, table, "name");
  const char *name = lua_tolstring(L, -1, &n);
  if (n < 1 || n > 31 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") < n)
    luaL_error(L, "a name of 1 to 31 letters, digits, '_', '-' and '.' is needed, found '%s'", name ? name : "nothing");
  strcpy(out, name);
  lua_pop(L, 1);
}

static ShapeSpec read_shape(lua_State *L, int table)
{
  ShapeSpec s = {0};
  if (raw_field(L, table, "shape") != LUA_TTABLE) luaL_error(L, "a shape is needed");
  int shape = lua_gettop(L);
  lua_Integer axes = list_length(L, shape);
  if (axes < 1 || axes > MAX_AXES) luaL_error(L, "a shape of 1 to %d sizes is needed, found %I", MAX_AXES, axes);
  for (int i = 0; i < axes; i++) {
    int whole;
    lua_rawgeti(L, shape, i + 1);
    lua_Integer n = lua_tointegerx(L, -1, &whole);
    bool tokens = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "tokens") == 0;
    if (tokens) s.size[i] = offsetof(Dims, history);
    else if (whole && n >= 1 && n <= 1 << 24) s.size[i] = FIXED(n);
    else luaL_error(L, "size %d of the shape: expected 1 to 2^24, found %s", i + 1, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
  }
  s.axes = (int)axes;
  lua_pop(L, 1);
  return s;
}

/* A number of the parameter or state in the table. */
static double read_number(lua_State *L, int table, const char *name, double otherwise, const Range *r)
{
  raw_field(L, table, "name");
  const char *what = lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), name);
  double x = within(L, number_field(L, table, name, otherwise), r, what);
  lua_pop(L, 2);
  return x;
}

static void read_param(lua_State *L, int table, ParamSpec *p, char name[32])
{
  read_name(L, table, name);
  *p = (ParamSpec){name,
                   read_shape(L, table),
                   always,
                   init_fill,
                   read_number(L, table, "gain", 0, &any_number),
                   read_number(L, table, "lr", 1, &at_least_0),
                   0,
                   false};
  p->shared = boolean_field(L, table, lua_pushfstring(L, "parameter %s", name), "shared");
  lua_pop(L, 1);
  for (int i = 0; i < p->shape.axes; i++)
    if (p->shape.size[i] == offsetof(Dims, history)) luaL_error(L, "parameter %s: \"tokens\" is for states", name);
  raw_field(L, table, "init");
  const char *init = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (!init)
    luaL_error(L, "parameter %s: init is a %s, expected a number, a name or a function", name, type_text(L, -1));
  size_t i = 0;
  while (i < sizeof inits / sizeof *inits && strcmp(inits[i].name, init)) i++;
  if (i == sizeof inits / sizeof *inits) {
    const char *known[sizeof inits / sizeof *inits + 1] = {NULL};
    for (i = 0; i < sizeof inits / sizeof *inits; i++) known[i] = inits[i].name;
    luaL_error(L, "parameter %s: there is no initial value '%s'%s", name, init, nearest_listed(init, known));
  }
  p->init = inits[i].init;
  lua_pop(L, 1);
}

static void read_state(lua_State *L, int table, StateSpec *s, char name[32])
{
  read_name(L, table, name);
  *s = (StateSpec){name, read_shape(L, table), always, read_number(L, table, "start", 0, &any_number)};
  for (int i = 1; i < s->shape.axes; i++)
    if (s->shape.size[i] == offsetof(Dims, history))
      luaL_error(L, "state %s: \"tokens\" can only be the first size", name);
  if (s->shape.axes == MAX_AXES)
    luaL_error(L, "state %s: at most %d sizes, the batch comes before them", name, MAX_AXES - 1);
}

static int list_field(lua_State *L, int table, const char *name) /* pushes the list, returns its length */
{
  if (raw_field(L, table, name) != LUA_TTABLE) luaL_error(L, "%s: expected a list", name);
  lua_Integer n = list_length(L, -1);
  if (n > 64) luaL_error(L, "%s: at most 64, found %I", name, n);
  return (int)n;
}

/* bind_hook{slot =, name =, apply =, origin = the script's function, params = {{name, shape, init, gain, lr}..},
   state = {{name, shape, start}..}} -> a hook for a model of exactly these sizes */
static int bind_hook(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  LuaHook *h = lua_newuserdatauv(L, sizeof *h, 1);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, class);
  raw_field(L, 1, "slot");
  h->hook.slot = (HookSlot)hook_slot(luaL_checkstring(L, -1));
  read_name(L, 1, h->name);
  if (raw_field(L, 1, "origin") != LUA_TFUNCTION) return luaL_error(L, "origin: expected a function");
  lua_Debug where;
  lua_getinfo(L, ">S", &where);
  snprintf(h->origin, sizeof h->origin, "%s:%d", where.short_src, where.linedefined);

  int n = list_field(L, 1, "params"), list = lua_gettop(L);
  h->param = rwkv_alloc((size_t)n, sizeof *h->param, "hook");
  h->param_name = rwkv_alloc((size_t)n, sizeof *h->param_name, "hook");
  for (int i = 0; i < n; i++) {
    if (lua_rawgeti(L, list, i + 1) != LUA_TTABLE) return luaL_error(L, "params: expected a list of tables");
    read_param(L, lua_gettop(L), &h->param[i], h->param_name[i]);
    lua_pop(L, 1);
  }
  int states = list_field(L, 1, "state");
  list = lua_gettop(L);
  h->state = rwkv_alloc((size_t)states, sizeof *h->state, "hook");
  h->state_name = rwkv_alloc((size_t)states, sizeof *h->state_name, "hook");
  for (int i = 0; i < states; i++) {
    if (lua_rawgeti(L, list, i + 1) != LUA_TTABLE) return luaL_error(L, "state: expected a list of tables");
    read_state(L, lua_gettop(L), &h->state[i], h->state_name[i]);
    lua_pop(L, 1);
  }
  if (raw_field(L, 1, "apply") != LUA_TFUNCTION) return luaL_error(L, "apply: expected a function");
  lua_setiuservalue(L, 2, 1);
  h->hook = (Hook){h->hook.slot, h->name, h->origin, h->param, n, h->state, states, NULL, hook_call};
  remember(L, 2);
  lua_pushvalue(L, 2);
  return 1;
}

static int collect(lua_State *L)
{
  LuaHook *h = luaL_checkudata(L, 1, class);
  note_finalized(L, 1);
  rwkv_release(h->param), rwkv_release(h->state), rwkv_release(h->param_name), rwkv_release(h->state_name);
  h->param = NULL, h->state = NULL, h->param_name = h->state_name = NULL;
  return 0;
}

/* ---- for models ---- */

/* The hook on top of the stack; NULL: the name of what the version does itself, or false. The table at `keep` keeps
   it alive. */
static const Hook *read_one(lua_State *L, int keep, const Version *v, HookSlot slot)
{
  LuaHook *h = luaL_testudata(L, -1, class);
  if (h) {
    check_lasting(L, -1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    return &h->hook;
  }
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) return NULL;
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (!name) luaL_error(L, "hooks: %s is a %s, expected a name or a hook", hook_slots[slot].name, type_text(L, -1));
  if (v && v->own[slot] && strcmp(v->own[slot], name) == 0) return NULL;
  const Hook *built_in = hook_find(slot, name);
  if (!built_in) luaL_error(L, "hooks: there is no built-in %s \"%s\"", hook_slots[slot].name, name);
  return built_in;
}

/* The list on top of the stack, an entry for each of the model's layers. */
static void read_layers(lua_State *L, int keep, const Version *v, Dims *d, HookSlot slot)
{
  int list = lua_gettop(L);
  lua_Integer count = list_length(L, list);
  if (!d->L) d->L = (int)count;
  if (count != d->L || count < 1)
    luaL_error(L, "hooks: %s has %I entries, expected one for each of the %d layers", hook_slots[slot].name, count,
               d->L);
  const Hook **layers = lua_newuserdatauv(L, (size_t)count * sizeof *layers, 0);
  lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
  for (int layer = 0; layer < count; layer++) {
    lua_rawgeti(L, list, layer + 1);
    layers[layer] = read_one(L, keep, v, slot);
    lua_pop(L, 1);
  }
  d->layer_hook[slot] = layers;
}

void read_hooks(lua_State *L, int index, const Version *v, Dims *d)
{
  lua_newtable(L);
  int keep = lua_gettop(L);
  if (lua_isnil(L, index)) return;
  luaL_checktype(L, index, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "hooks: expected a table by slot, as {decay = ...}");
    int slot = hook_slot(lua_tostring(L, -2));
    if (lua_istable(L, -1)) read_layers(L, keep, v, d, (HookSlot)slot);
    else d->hook[slot] = read_one(L, keep, v, (HookSlot)slot);
  }
}

/* hook_slots(version) -> {{slot =, part =, inputs =, returns =, own =, builtin = {names}}, ...} */
static int list_slots(lua_State *L)
{
  const Version *v = version_find(luaL_checkstring(L, 1));
  lua_newtable(L);
  for (int slot = 0, n = 0; slot < HOOK_SLOTS; slot++) {
    if (!v->own[slot]) continue;
    lua_newtable(L);
    const Slot *s = &hook_slots[slot];
    const char *streams = slot == HOOK_SHIFT ? v->streams : slot == HOOK_FFN_SHIFT ? v->ffn_streams : NULL;
    lua_pushstring(L, s->name), lua_setfield(L, -2, "slot");
    lua_pushstring(L, s->part), lua_setfield(L, -2, "part");
    push_words(L, slot == HOOK_RECURRENCE ? v->recurrence : s->inputs), lua_setfield(L, -2, "inputs");
    lua_pushstring(L, s->returns), lua_setfield(L, -2, "returns");
    lua_pushstring(L, v->own[slot]), lua_setfield(L, -2, "own");
    if (streams) push_words(L, streams), lua_setfield(L, -2, "streams");
    lua_newtable(L);
    for (int i = 0, k = 0; hook_list()[i]; i++)
      if (hook_list()[i]->slot == (HookSlot)slot) lua_pushstring(L, hook_list()[i]->name), lua_rawseti(L, -2, ++k);
    lua_setfield(L, -2, "builtin");
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* hook_sizes({version =, layers =, ...}, slot) -> the sizes that a hook there may rely on */
static int sizes(lua_State *L)
{
  Dims d;
  double seed;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const Version *v = read_design(L, 1, "rwkv.model", &d, &seed);
  int slot = hook_slot(luaL_checkstring(L, 2));
  d = version_complete(v, &d);
  push_hook_sizes(L, v, &d, (HookSlot)slot);
  return 1;
}

/* hook_layers({version =, .., hooks = bound}, slot) -> the layers, from 1, in which a hook there is at work */
static int layers(lua_State *L)
{
  Dims d;
  double seed;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const Version *v = read_design(L, 1, "rwkv.describe", &d, &seed);
  HookSlot slot = (HookSlot)hook_slot(luaL_checkstring(L, 2));
  d = version_complete(v, &d);
  lua_newtable(L);
  for (int layer = 0, n = 0; layer < d.L; layer++)
    if (hook_works(&d, slot, layer)) lua_pushinteger(L, layer + 1), lua_rawseti(L, -2, ++n);
  return 1;
}

void open_hook(lua_State *L)
{
  add_class(L, class, NULL, (luaL_Reg[]){{"__gc", collect}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"hook_slots", list_slots}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"bind_hook", bind_hook}, {"hook_sizes", sizes}, {"hook_layers", layers}, {NULL, NULL}});
}
