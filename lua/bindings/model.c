/* Models: made, run, counted. */
#include "bind.h"

#include "engine/nearest.h"

#include <limits.h>
#include <math.h>

static const char class[] = "rwkv.model";

static const char *const inits[] = {"official", "uniform", NULL};

Model *check_model(lua_State *L, int index)
{
  Model **m = luaL_checkudata(L, index, class);
  if (!*m) luaL_argerror(L, index, "this model is gone");
  return *m;
}

Model **new_model(lua_State *L)
{
  Model **m = lua_newuserdatauv(L, sizeof *m, 1); /* the uservalue keeps its hooks */
  *m = NULL;
  luaL_setmetatable(L, class);
  remember(L, -1);
  return m;
}

static void check_init(lua_State *L, int table, const char *function)
{
  int type = raw_field(L, table, "init");
  check_field(L, type == LUA_TNIL || type == LUA_TSTRING, function, "init", "'official' or 'uniform'");
  const char *init = type == LUA_TNIL ? inits[0] : lua_tostring(L, -1);
  if (strcmp(init, inits[0]) && strcmp(init, inits[1]))
    luaL_error(L, "%s: there is no init '%s'%s", function, init, nearest_listed(init, inits));
  lua_pop(L, 1);
}

/* A size of some versions only must be of this one. Ranks and heads may be for hooks; ctx limits v1, others have no
   limit. */
static void check_sizes(lua_State *L, const char *function, const Version *v, const Dims *d)
{
  const size_t of_some[] = {offsetof(Dims, Q), offsetof(Dims, tiny), offsetof(Dims, tiny_layer)};
  for (size_t i = 0; i < sizeof of_some / sizeof *of_some; i++) {
    const SizeName *s = model_size_names;
    while (s->at != of_some[i]) s++;
    if (dims_size(d, s->at) && !version_has_size(v, s->at))
      luaL_error(L, "%s: %s has no %s", function, v->name, s->name);
  }
}

const Version *read_design(lua_State *L, int index, const char *function, Dims *d, double *seed)
{
  const char *known[40] = {"version", "seed", "tokens", "hooks", "init"};
  luaL_checktype(L, index, LUA_TTABLE);
  for (int i = 0; model_size_names[i].name; i++) known[i + 5] = model_size_names[i].name;
  known_fields(L, index, function, known);
  raw_field(L, index, "version");
  const char *name = lua_tostring(L, -1);
  const Version *v = version_find(name ? name : "(none)");
  lua_pop(L, 1);
  *d = (Dims){.one = 1};
  for (const SizeName *s = model_size_names; s->name; s++) *dims_at(d, s->at) = integer_field(L, index, s->name, 0);
  check_sizes(L, function, v, d);
  check_init(L, index, function);
  *seed = number_field(L, index, "seed", 0);
  if (!(*seed >= 0 && *seed <= 9007199254740992.0) || floor(*seed) != *seed)
    luaL_error(L, "seed: expected a whole number from 0 to 2^53, found %f", *seed);
  raw_field(L, index, "hooks");
  read_hooks(L, lua_gettop(L), v, d);
  return v;
}

static void push_layer_names(lua_State *L, const Version *v, const Dims *d, HookSlot slot) /* {"v7", "attention"} */
{
  lua_createtable(L, d->L, 0);
  for (int layer = 0; layer < d->L; layer++) {
    const Hook *h = dims_hook(d, slot, layer);
    lua_pushstring(L, h ? h->name : v->own[slot]);
    lua_rawseti(L, -2, layer + 1);
  }
}

void push_config(lua_State *L, const Version *v, const Dims *d)
{
  lua_newtable(L);
  lua_pushstring(L, v->name);
  lua_setfield(L, -2, "version");
  for (const SizeName *s = model_size_names; s->name; s++) {
    if (!dims_size(d, s->at)) continue;
    lua_pushinteger(L, dims_size(d, s->at));
    lua_setfield(L, -2, s->name);
  }
  lua_newtable(L);
  int hooks = 0;
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    if (!dims_hooked(d, slot)) continue;
    if (d->layer_hook[slot]) push_layer_names(L, v, d, slot);
    else lua_pushstring(L, d->hook[slot]->name);
    lua_setfield(L, -2, hook_slots[slot].name), hooks++;
  }
  if (hooks) lua_setfield(L, -2, "hooks");
  else lua_pop(L, 1);
}

/* model({version=, layers=, dim=, vocab=, head_size=, ..., seed=, hooks=, init = "official" or "uniform"},
   function(done, all) or nil: told now and then how many numbers there are) */
static int make(lua_State *L)
{
  Dims d;
  double seed;
  lua_settop(L, 2);
  const Version *v = read_design(L, 1, "rwkv.model", &d, &seed);
  int hooks = lua_gettop(L);
  raw_field(L, 1, "init");
  bool uniform = !lua_isnil(L, -1) && strcmp(lua_tostring(L, -1), inits[1]) == 0;
  if (raw_field(L, 1, "tokens") != LUA_TNIL) return luaL_error(L, "rwkv.model: tokens is for rwkv.describe");
  Model **m = new_model(L);
  lua_pushvalue(L, hooks);
  lua_setiuservalue(L, -2, 1);
  *m = make_model(L, v, &d, (uint64_t)seed, uniform, 2);
  (*m)->host = m;
  return 1;
}

/* describe{version=, ..., tokens=} -> counts and the complete config, without making the model */
static int describe(lua_State *L)
{
  Dims d;
  double seed;
  const Version *v = read_design(L, 1, "rwkv.describe", &d, &seed);
  int tokens = integer_field(L, 1, "tokens", 0);
  d = version_complete(v, &d);
  Counts c = version_counts(v, &d, tokens);
  push_config(L, v, &d);
  lua_pushstring(L, v->title);
  lua_setfield(L, -2, "title");
  lua_pushinteger(L, (lua_Integer)c.params);
  lua_setfield(L, -2, "parameters");
  lua_pushinteger(L, (lua_Integer)c.unused);
  lua_setfield(L, -2, "unused");
  lua_pushinteger(L, (lua_Integer)c.state);
  lua_setfield(L, -2, "state_floats");
  lua_pushnumber(L, c.flops);
  lua_setfield(L, -2, "flops_per_token");
  return 1;
}

/* ---- parameters and facts ---- */

static int next_parameter(lua_State *L)
{
  Model *m = check_model(L, 1);
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
  if (i >= m->count) return 0;
  lua_pushinteger(L, i + 1);
  lua_replace(L, lua_upvalueindex(1));
  lua_pushstring(L, m->params[i].name);
  return push_borrowed(L, m->params[i].t, 1) + 1;
}

static int parameters(lua_State *L) /* for name, tensor in m:parameters() do */
{
  check_model(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_parameter, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static int no_parameter(lua_State *L, const char *function, const Model *m, const char *name)
{
  const char **names = lua_newuserdatauv(L, (size_t)m->count * sizeof *names + 1, 0);
  for (int i = 0; i < m->count; i++) names[i] = m->params[i].name;
  const char *near = nearest_name(name, names, m->count);
  if (near) near = lua_pushfstring(L, ", did you mean \"%s\"?", near);
  return luaL_error(L, "%s: this %s model has no parameter \"%s\"%s", function, m->version->name, name,
                    near ? near : "");
}

static int param(lua_State *L) /* m:param(name) -> the parameter itself; fails if there is none */
{
  Model *m = check_model(L, 1);
  const char *name = luaL_checkstring(L, 2);
  Param *p = model_param(m, name);
  if (!p) return no_parameter(L, "param", m, name);
  return push_borrowed(L, p->t, 1);
}

static int config(lua_State *L) /* m:config() -> {version =, layers =, dim =, ...} */
{
  const Model *m = check_model(L, 1);
  push_config(L, m->version, &m->d);
  return 1;
}

static int param_count(lua_State *L) /* m:param_count(with_unused or false) */
{
  lua_pushinteger(L, (lua_Integer)model_param_count(check_model(L, 1), keep_argument(L, 2)));
  return 1;
}

static int weight_bytes(lua_State *L) /* m:weight_bytes(name or nil) -> bytes in memory, of one parameter or of all */
{
  Model *m = check_model(L, 1);
  const char *name = luaL_optstring(L, 2, NULL);
  size_t bytes = 0;
  if (name && !model_param(m, name)) return no_parameter(L, "weight_bytes", m, name);
  for (int i = 0; i < m->count; i++)
    if (!name || strcmp(name, m->params[i].name) == 0) bytes += model_param_bytes(&m->params[i]);
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

/* m:state_floats(tokens or 0) -> numbers a sequence; the state of v1-v3 grows with the tokens seen */
static int count_state_floats(lua_State *L)
{
  const Model *m = check_model(L, 1);
  int tokens = opt_int_argument(L, 2, 0, INT_MAX, 0, "state_floats: tokens");
  lua_pushinteger(L, (lua_Integer)version_state_floats(m->version, &m->d, tokens));
  return 1;
}

static int zero_grad(lua_State *L) /* m:zero_grad() */
{
  Model *m = check_model(L, 1);
  for (int i = 0; i < m->count; i++) tensor_clear_grad(m->params[i].t);
  return 0;
}

static int to_string(lua_State *L)
{
  const Model *m = check_model(L, 1);
  lua_pushfstring(L, "%s: %d layers, dim %d, vocab %d, %I parameters", m->version->title, m->d.L, m->d.C, m->d.V,
                  (lua_Integer)model_param_count(m, false));
  return 1;
}

static int collect(lua_State *L)
{
  Model **m = luaL_checkudata(L, 1, class);
  note_finalized(L, 1);
  model_free(*m);
  *m = NULL;
  return 0;
}

static int versions(lua_State *L) /* versions() -> {"v4", ...} */
{
  lua_newtable(L);
  for (int i = 0; version_list()[i]; i++) {
    lua_pushstring(L, version_list()[i]->name);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

static int size_names(lua_State *L) /* size_names() -> {"layers", "vocab", ...} */
{
  lua_newtable(L);
  for (int i = 0; model_size_names[i].name; i++) {
    lua_pushstring(L, model_size_names[i].name);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

void open_model(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"parameters", parameters}, {"param", param}, {"config", config},
                         {"param_count", param_count}, {"weight_bytes", weight_bytes},
                         {"state_floats", count_state_floats}, {"zero_grad", zero_grad},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"versions", versions}, {"size_names", size_names}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"model", make}, {"describe", describe}, {NULL, NULL}});
}
