/* Models: made, run, counted. */
#include "bind.h"

#include <limits.h>
#include <math.h>

static const char class[] = "rwkv.model";

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
  *seed = number_field(L, index, "seed", 0);
  if (!(*seed >= 0 && *seed <= 9007199254740992.0) || floor(*seed) != *seed)
    luaL_error(L, "seed: expected a whole number from 0 to 2^53, found %f", *seed);
  raw_field(L, index, "hooks");
  read_hooks(L, lua_gettop(L), v, d);
  return v;
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
  for (int slot = 0; slot < HOOK_SLOTS; slot++)
    if (d->hook[slot]) lua_pushstring(L, d->hook[slot]->name), lua_setfield(L, -2, hook_slots[slot].name), hooks++;
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
  bool uniform = luaL_checkoption(L, -1, "official", (const char *const[]){"official", "uniform", NULL}) == 1;
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

/* ---- running ---- */

/* The state argument, or a fresh one. The state stays on the stack, and pinned as long as the tape needs it. */
static State *state_argument(lua_State *L, int index, const Model *m, int B)
{
  if (lua_isnoneornil(L, index)) {
    State **s = push_state(L, 1);
    *s = state_new(m, B);
  } else {
    check_state(L, index);
    lua_pushvalue(L, index);
  }
  step_pin(L, -1);
  return check_state(L, -1);
}

typedef struct {
  bool last;
  Tensor *into;
} ForwardOptions;

static ForwardOptions read_forward_options(lua_State *L, int index, const Model *m, const Tokens *tokens)
{
  ForwardOptions o = {0};
  if (lua_isnil(L, index)) return o;
  luaL_checktype(L, index, LUA_TTABLE);
  known_fields(L, index, "forward", (const char *const[]){"last", "into", NULL});
  raw_field(L, index, "last");
  o.last = keep_argument(L, -1);
  if (raw_field(L, index, "into") == LUA_TNIL) return o;
  int shape[] = {tokens->B, o.last ? 1 : tokens->T, m->d.V};
  o.into = check_numbers(L, -1);
  if (o.into->axes != 3 || memcmp(o.into->shape, shape, sizeof shape))
    luaL_error(L, "forward: into is %s, expected %s", tensor_shape(o.into), shape_text(3, shape));
  return o;
}

/* m:forward(tokens [B,T], state or nil, {last =, into =}) -> logits [B,T,V], or with last those of the last position
   [B,1,V]; state. into: a tensor that has the logits, too, once the state is the one after. */
static int forward(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 4);
  const Tokens *tokens = check_tokens(L, 2, "tokens");
  ForwardOptions o = read_forward_options(L, 4, m, tokens);
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, tokens->B);
  Tensor *logits = (o.last ? model_logits_last : model_logits)(tp, m, tokens->id, tokens->B, tokens->T, st);
  if (o.into) tensor_copy(o.into, logits);
  push_step(L, logits);
  lua_insert(L, -2);
  return 2;
}

/* m:hidden(tokens [B,T], state or nil) -> the output of the last norm [B,T,C], state */
static int hidden(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 3);
  const Tokens *tokens = check_tokens(L, 2, "tokens");
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, tokens->B);
  push_step(L, model_hidden(tp, m, tokens->id, tokens->B, tokens->T, st));
  lua_insert(L, -2);
  return 2;
}

/* What a run with targets is given: m, tokens [B,T], targets [B,T], options. The state is on top of the stack. */
typedef struct {
  Tape *tape;
  Model *model;
  const Tokens *tokens, *targets;
  State *state;
  double l2wrap;
} Scored;

static Scored scored_arguments(lua_State *L, const char *function, const char *const *options)
{
  Scored s = {.tape = step_tape(L), .model = check_model(L, 1)};
  lua_settop(L, 4);
  s.tokens = check_tokens(L, 2, "tokens"), s.targets = check_tokens(L, 3, "targets");
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    known_fields(L, 4, function, options);
    s.l2wrap = number_field(L, 4, "l2wrap", 0);
    raw_field(L, 4, "state");
  } else lua_pushnil(L);
  if (s.tokens->B != s.targets->B || s.tokens->T != s.targets->T)
    luaL_error(L, "%s: tokens [%d,%d] and targets [%d,%d] differ", function, s.tokens->B, s.tokens->T, s.targets->B,
               s.targets->T);
  step_pin(L, 1);
  s.state = state_argument(L, 5, s.model, s.tokens->B);
  return s;
}

/* m:loss(tokens, targets, {state =, l2wrap =}) -> loss [], {scored =, correct =}, state */
static int loss(lua_State *L)
{
  Scored s = scored_arguments(L, "loss", (const char *const[]){"state", "l2wrap", NULL});
  Score score;
  push_step(
      L, model_loss(s.tape, s.model, s.tokens->id, s.targets->id, s.tokens->B, s.tokens->T, s.state, s.l2wrap, &score));
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, score.scored);
  lua_setfield(L, -2, "scored");
  lua_pushinteger(L, score.correct);
  lua_setfield(L, -2, "correct");
  lua_pushvalue(L, -3);
  return 3;
}

/* m:log_likelihood(tokens, targets, {state =}) -> of each target >= 0, row after row: a list of log-probabilities in
   nats, and a list of whether the target has the largest logit; state */
static int log_likelihood(lua_State *L)
{
  Scored s = scored_arguments(L, "log_likelihood", (const char *const[]){"state", NULL});
  size_t n = (size_t)s.tokens->B * (size_t)s.tokens->T;
  double *log_p = lua_newuserdatauv(L, n * sizeof *log_p, 0);
  bool *greedy = lua_newuserdatauv(L, n * sizeof *greedy, 0);
  int scored = model_log_likelihood(s.tape, s.model, s.tokens->id, s.targets->id, s.tokens->B, s.tokens->T, s.state,
                                    log_p, greedy);
  lua_createtable(L, scored, 0);
  lua_createtable(L, scored, 0);
  for (int i = 0; i < scored; i++) {
    lua_pushnumber(L, log_p[i]);
    lua_rawseti(L, -3, i + 1);
    lua_pushboolean(L, greedy[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, -5);
  return 3;
}

typedef struct {
  Trace trace;
  lua_State *L;
  int table; /* stack index of the list that receives {name =, value =} */
} ListTrace;

static void see(Trace *trace, const char *name, Tensor *t)
{
  ListTrace *l = (ListTrace *)(void *)trace;
  lua_State *L = l->L;
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  new_copy(L, t);
  lua_setfield(L, -2, "value");
  lua_rawseti(L, l->table, (lua_Integer)lua_rawlen(L, l->table) + 1);
}

/* m:trace_run(tokens, state or nil) -> logits, state, list of {name =, value =}: every named intermediate, copied, in
   the order of computation. lua/rwkv/trace.lua makes m:trace of it. */
static int trace_run(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 3);
  const Tokens *tokens = check_tokens(L, 2, "tokens");
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, tokens->B);
  lua_newtable(L);
  ListTrace l = {{see}, L, lua_gettop(L)};
  push_step(L, model_trace(tp, m, tokens->id, tokens->B, tokens->T, st, &l.trace));
  lua_insert(L, -3);
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

static int weight_bytes(lua_State *L) /* m:weight_bytes(name or nil) -> bytes in memory, of one parameter or of all */
{
  Model *m = check_model(L, 1);
  const char *name = luaL_optstring(L, 2, NULL);
  size_t bytes = 0;
  if (name && !model_param(m, name))
    return luaL_error(L, "weight_bytes: this %s model has no parameter \"%s\"", m->version->name, name);
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

void open_model(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"forward", forward}, {"hidden", hidden}, {"loss", loss}, {"log_likelihood", log_likelihood},
                         {"parameters", parameters}, {"param", param}, {"config", config},
                         {"param_count", param_count}, {"weight_bytes", weight_bytes},
                         {"state_floats", count_state_floats}, {"zero_grad", zero_grad}, {"trace_run", trace_run},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"model", make}, {"describe", describe}, {"versions", versions}, {NULL, NULL}});
}
