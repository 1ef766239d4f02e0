/* Models: made, loaded, run, saved. */
#include "bind.h"

static const char class[] = "rwkv.model";

/* What may be given to rwkv.model{...} and stands in m:config(), and where it goes. */
static const struct {
  const char *name;
  size_t dim;
} sizes[] = {
    {"layers", offsetof(Dims, L)},    {"vocab", offsetof(Dims, V)},      {"dim", offsetof(Dims, C)},
    {"dim_att", offsetof(Dims, A)},   {"dim_ffn", offsetof(Dims, F)},    {"head_size", offsetof(Dims, N)},
    {"decay_rank", offsetof(Dims, Dw)}, {"iclr_rank", offsetof(Dims, Da)}, {"value_rank", offsetof(Dims, Dv)},
    {"gate_rank", offsetof(Dims, Dg)},  {"mix_rank", offsetof(Dims, Dm)},  {"head_qk", offsetof(Dims, Q)},
    {"ctx", offsetof(Dims, ctx)},       {"pre_ffn", offsetof(Dims, pre_ffn)},
    {"tiny_att_layer", offsetof(Dims, tiny_layer)}, {"tiny_att", offsetof(Dims, tiny)},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

Model *check_model(lua_State *L, int index)
{
  Model **m = luaL_checkudata(L, index, class);
  if (!*m) luaL_argerror(L, index, "this model is gone");
  return *m;
}

static Model **new_handle(lua_State *L)
{
  Model **m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = NULL;
  luaL_setmetatable(L, class);
  remember(L, -1);
  return m;
}

/* The version and sizes in the table at index; sets *seed. */
static const Version *read_sizes(lua_State *L, int index, const char *function, Dims *d, double *seed)
{
  const char *known[SIZES + 4] = {"version", "seed", "tokens"};
  luaL_checktype(L, index, LUA_TTABLE);
  for (int i = 0; i < SIZES; i++) known[i + 3] = sizes[i].name;
  known_fields(L, index, function, known);
  raw_field(L, index, "version");
  const char *name = lua_tostring(L, -1);
  const Version *v = version_find(name ? name : "(none)");
  lua_pop(L, 1);
  *d = (Dims){.one = 1};
  for (int i = 0; i < SIZES; i++) *dim_at(d, sizes[i].dim) = integer_field(L, index, sizes[i].name, 0);
  *seed = number_field(L, index, "seed", 0);
  if (!(*seed >= 0 && *seed <= 9007199254740992.0)) luaL_error(L, "seed: expected 0 to 2^53, found %f", *seed);
  return v;
}

static void push_config(lua_State *L, const Version *v, const Dims *d)
{
  Dims copy = *d;
  lua_newtable(L);
  lua_pushstring(L, v->name);
  lua_setfield(L, -2, "version");
  for (int i = 0; i < SIZES; i++) {
    int n = *dim_at(&copy, sizes[i].dim);
    if (!n) continue;
    lua_pushinteger(L, n);
    lua_setfield(L, -2, sizes[i].name);
  }
}

static int make(lua_State *L) /* model{version=, layers=, dim=, vocab=, head_size=, ..., seed=} */
{
  Dims d;
  double seed;
  const Version *v = read_sizes(L, 1, "rwkv.model", &d, &seed);
  Model **m = new_handle(L);
  *m = model_new(v, &d, (uint64_t)seed);
  return 1;
}

/* describe{version=, ..., tokens=} -> counts and the complete config, without making the model */
static int describe(lua_State *L)
{
  Dims d;
  double seed;
  const Version *v = read_sizes(L, 1, "rwkv.describe", &d, &seed);
  int tokens = integer_field(L, 1, "tokens", 0);
  d = version_complete(v, &d);
  Counts c = version_counts(v, &d, tokens < 0 ? 0 : tokens);
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

static void load_protected(void *arg) /* (file, model) */
{
  void **p = arg;
  *(Model **)p[1] = model_load(p[0]);
}

static int load(lua_State *L) /* load(path) -> model */
{
  const char *path = luaL_checkstring(L, 1);
  Model **m = new_handle(L);
  StFile *f = st_open(path);
  const char *error = rwkv_protect(load_protected, (void *[]){f, m});
  st_close(f);
  return error ? luaL_error(L, "%s", error) : 1;
}

typedef struct {
  lua_State *L; /* on top of its stack a table of texts */
  const Model *m;
  const Optim *o;
  StWriter *w;
} Save;

static void save_protected(void *arg)
{
  Save *s = arg;
  model_write(s->m, s->w);
  if (s->o) opt_write(s->o, s->m, s->w);
  for (lua_pushnil(s->L); lua_next(s->L, -2); lua_pop(s->L, 1))
    st_put_meta(s->w, lua_tostring(s->L, -2), lua_tostring(s->L, -1));
}

/* m:save(path, {optimizer =, meta = {key = text}}): parameters, the optimizer's moments, text */
static int save(lua_State *L)
{
  Model *m = check_model(L, 1);
  const char *path = luaL_checkstring(L, 2);
  check_writable(L, path);
  Optim *o = NULL;
  if (!lua_isnoneornil(L, 3)) {
    luaL_checktype(L, 3, LUA_TTABLE);
    known_fields(L, 3, "save", (const char *const[]){"optimizer", "meta", NULL});
    if (raw_field(L, 3, "optimizer") != LUA_TNIL) {
      o = check_optim(L, -1);
      lua_getiuservalue(L, -1, 1);
      if (!lua_rawequal(L, -1, 1)) return luaL_error(L, "save: the optimizer is of another model");
    }
    raw_field(L, 3, "meta");
  } else
    lua_pushnil(L);
  int meta = lua_gettop(L);
  if (!lua_isnil(L, meta)) luaL_checktype(L, meta, LUA_TTABLE);
  lua_newtable(L); /* the same as texts: from st_create on Lua allocates nothing */
  for (lua_pushnil(L); lua_istable(L, meta) && lua_next(L, meta);) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      return luaL_error(L, "save: meta holds texts under names, found a %s under a %s", luaL_typename(L, -1),
                        luaL_typename(L, -2));
    lua_tostring(L, -1);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, meta + 1);
  }
  lua_settop(L, meta + 1);
  Save s = {L, m, o, st_create(path)};
  const char *error = rwkv_protect(save_protected, &s);
  if (!error) return st_finish(s.w), 0;
  st_abandon(s.w);
  return luaL_error(L, "%s", error);
}

/* ---- running ---- */

/* The state argument, or a fresh one. The state stays on the stack, and pinned as long as the tape needs it. */
static State *state_argument(lua_State *L, int index, const Model *m, int B)
{
  if (lua_isnoneornil(L, index)) {
    push_state(L, state_new(m, B));
  } else {
    check_state(L, index);
    lua_pushvalue(L, index);
  }
  step_pin(L, -1);
  return check_state(L, -1);
}

static int forward(lua_State *L) /* m:forward(tokens [B,T], state or nil) -> logits [B,T,V], state */
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 3);
  const Tokens *tokens = check_tokens(L, 2, "tokens");
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, tokens->B);
  push_step(L, model_logits(tp, m, tokens->id, tokens->B, tokens->T, st));
  lua_insert(L, -2);
  return 2;
}

/* m:loss(tokens, targets, {state =, l2wrap =}) -> loss [], {scored =, correct =}, state */
static int loss(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 4);
  const Tokens *tokens = check_tokens(L, 2, "tokens"), *targets = check_tokens(L, 3, "targets");
  double l2wrap = 0;
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    known_fields(L, 4, "loss", (const char *const[]){"state", "l2wrap", NULL});
    l2wrap = number_field(L, 4, "l2wrap", 0);
    raw_field(L, 4, "state");
  } else
    lua_pushnil(L);
  if (tokens->B != targets->B || tokens->T != targets->T)
    return luaL_error(L, "loss: tokens [%d,%d] and targets [%d,%d] differ", tokens->B, tokens->T, targets->B,
                      targets->T);
  step_pin(L, 1);
  State *st = state_argument(L, 5, m, tokens->B);
  Score score;
  push_step(L, model_loss(tp, m, tokens->id, targets->id, tokens->B, tokens->T, st, l2wrap, &score));
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, score.scored);
  lua_setfield(L, -2, "scored");
  lua_pushinteger(L, score.correct);
  lua_setfield(L, -2, "correct");
  lua_pushvalue(L, -3);
  return 3;
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

static int param(lua_State *L) /* m:param(name) -> the parameter itself; fails if there is none */
{
  Model *m = check_model(L, 1);
  const char *name = luaL_checkstring(L, 2);
  Param *p = model_param(m, name);
  if (!p) return luaL_error(L, "param: this %s model has no parameter \"%s\"", m->version->name, name);
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
  lua_pushinteger(L, (lua_Integer)model_param_count(check_model(L, 1), lua_toboolean(L, 2)));
  return 1;
}

/* m:state_floats(tokens or 0) -> numbers a sequence; the state of v1-v3 grows with the tokens seen */
static int count_state_floats(lua_State *L)
{
  const Model *m = check_model(L, 1);
  lua_Integer tokens = luaL_optinteger(L, 2, 0);
  if (tokens < 0 || tokens > 2147483647) return luaL_error(L, "state_floats: %I tokens", tokens);
  lua_pushinteger(L, (lua_Integer)version_state_floats(m->version, &m->d, (int)tokens));
  return 1;
}

static int zero_grad(lua_State *L) /* m:zero_grad() */
{
  Model *m = check_model(L, 1);
  for (int i = 0; i < m->count; i++) memset(m->params[i].t->grad, 0, m->params[i].t->n * sizeof(real));
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

void open_model(lua_State *L)
{
  add_class(L, class,
            (luaL_Reg[]){{"forward", forward}, {"loss", loss}, {"parameters", parameters}, {"param", param},
                         {"config", config}, {"param_count", param_count}, {"state_floats", count_state_floats},
                         {"zero_grad", zero_grad}, {"save", save}, {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"model", make}, {"describe", describe}, {"load", load},
                                {"versions", versions}, {NULL, NULL}});
}
