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
  int hidden;   /* 0: not asked for; the layer, or of the last norm: */
  Tensor *into; /* a tensor of the script's */
} ForwardOptions;

enum { LAST_NORM = -1 };

static ForwardOptions read_forward_options(lua_State *L, int index, const Model *m)
{
  ForwardOptions o = {0};
  raw_field(L, index, "last");
  o.last = keep_argument(L, -1);
  if (raw_field(L, index, "hidden") == LUA_TBOOLEAN) o.hidden = lua_toboolean(L, -1) ? LAST_NORM : 0;
  else if (!lua_isnil(L, -1)) o.hidden = int_argument(L, -1, 1, m->d.L, "forward: hidden, true or a layer,");
  if (raw_field(L, index, "into") != LUA_TNIL) o.into = check_numbers(L, -1);
  return o;
}

/* The last position of each sequence of y [B,T,C]: [B,1,C]. */
static Tensor *last_of(Tape *tp, Tensor *y, const Batch *b)
{
  int *row = arena_alloc(&tp->arena, (size_t)b->B * sizeof *row);
  for (int i = 0; i < b->B; i++) row[i] = i * b->T + (b->length ? b->length[i] : b->T) - 1;
  return t_rows(tp, t_reshape(tp, y, 2, (int[]){b->B * b->T, y->shape[2]}), row, 2, (int[]){b->B, 1});
}

static Tensor *run_forward(Tape *tp, Model *m, const Batch *b, State *st, const ForwardOptions *o)
{
  if (!o->hidden) return (o->last ? model_logits_last : model_logits)(tp, m, b, st);
  Tensor *y = model_hidden(tp, m, b, st, o->hidden == LAST_NORM ? 0 : o->hidden);
  return o->last ? last_of(tp, y, b) : y;
}

/* m:forward(tokens [B,T] or vectors [B,T,C], state or nil, {last =, hidden =, into =, lengths =, starts =}) -> logits
   [B,T,V], or with last those of the last position of each sequence [B,1,V], or with hidden vectors [B,T,C] or [B,1,C] in
   their place; state. into: a tensor that has the result, too, once the state is the one after. */
static int forward(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 4);
  const Batch b = read_batch(L, "forward", (const char *const[]){"last", "hidden", "into", NULL});
  ForwardOptions o = read_forward_options(L, 4, m);
  int shape[] = {b.B, o.last ? 1 : b.T, o.hidden ? m->d.C : m->d.V};
  if (o.into && (o.into->axes != 3 || memcmp(o.into->shape, shape, sizeof shape)))
    return luaL_error(L, "forward: into is %s, expected %s", tensor_shape(o.into), shape_text(3, shape));
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, b.B);
  Tensor *result = run_forward(tp, m, &b, st, &o);
  if (o.into) tensor_copy(o.into, result);
  push_step(L, result);
  lua_insert(L, -2);
  return 2;
}

/* What a run with targets is given: m, tokens [B,T], targets [B,T], options. The state is on top of the stack. */
typedef struct {
  Tape *tape;
  Model *model;
  Batch batch;
  const Tokens *targets;
  State *state;
} Scored;

static Scored scored_arguments(lua_State *L, const char *function, const char *const *options)
{
  Scored s = {.tape = step_tape(L), .model = check_model(L, 1)};
  lua_settop(L, 4);
  s.targets = check_sequences(L, 3, "targets");
  s.batch = read_batch(L, function, options);
  if (s.batch.B != s.targets->B || s.batch.T != s.targets->T)
    luaL_error(L, "%s: tokens [%d,%d] and targets [%d,%d] differ", function, s.batch.B, s.batch.T, s.targets->B,
               s.targets->T);
  for (int b = 0; b < s.batch.B; b++) {
    int tokens = s.batch.length ? s.batch.length[b] : s.batch.T;
    int targets = s.targets->length ? s.targets->length[b] : s.targets->T;
    if (targets < tokens) luaL_error(L, "%s: sequence %d has %d tokens and %d targets", function, b + 1, tokens, targets);
  }
  raw_field(L, 4, "state");
  step_pin(L, 1);
  s.state = state_argument(L, lua_gettop(L), s.model, s.batch.B);
  return s;
}

/* m:loss(tokens, targets, {state =, l2wrap =, total =, lengths =, starts =}) -> loss [], {scored =, correct =}, state */
static int loss(lua_State *L)
{
  Scored s = scored_arguments(L, "loss", (const char *const[]){"state", "l2wrap", "total", NULL});
  int state = lua_gettop(L);
  const LossOptions o = {number_field(L, 4, "l2wrap", 0), integer_field(L, 4, "total", 0)};
  Score score;
  push_step(L, model_loss(s.tape, s.model, &s.batch, s.targets->id, s.state, &o, &score));
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, score.scored);
  lua_setfield(L, -2, "scored");
  lua_pushinteger(L, score.correct);
  lua_setfield(L, -2, "correct");
  lua_pushvalue(L, state);
  return 3;
}

/* m:log_likelihood(tokens, targets, {state =, lengths =, starts =}) -> of each target >= 0, row after row: a list of
   log-probabilities in nats, and a list of whether the target has the largest logit; state */
static int log_likelihood(lua_State *L)
{
  Scored s = scored_arguments(L, "log_likelihood", (const char *const[]){"state", NULL});
  int state = lua_gettop(L);
  size_t n = (size_t)s.batch.B * (size_t)s.batch.T;
  double *log_p = lua_newuserdatauv(L, n * sizeof *log_p, 0);
  bool *greedy = lua_newuserdatauv(L, n * sizeof *greedy, 0);
  int scored = model_log_likelihood(s.tape, s.model, &s.batch, s.targets->id, s.state, log_p, greedy);
  lua_createtable(L, scored, 0);
  lua_createtable(L, scored, 0);
  for (int i = 0; i < scored; i++) {
    lua_pushnumber(L, log_p[i]);
    lua_rawseti(L, -3, i + 1);
    lua_pushboolean(L, greedy[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, state);
  return 3;
}

typedef struct {
  Trace trace;
  lua_State *L;
  int table;      /* stack index of the list that receives {name =, value =} */
  bool recording; /* the tensors of the step, not copies */
} ListTrace;

static void see(Trace *trace, const char *name, Tensor *t)
{
  ListTrace *l = (ListTrace *)(void *)trace;
  lua_State *L = l->L;
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  if (l->recording) push_step(L, t);
  else new_copy(L, t);
  lua_setfield(L, -2, "value");
  lua_rawseti(L, l->table, (lua_Integer)lua_rawlen(L, l->table) + 1);
}

/* m:trace_run(tokens or vectors, state or nil, {lengths =, starts =}) -> logits, state, list of {name =, value =}: every
   named intermediate in the order of computation, with its gradient until the step ends; in no_grad copied.
   lua/rwkv/trace.lua makes m:trace of it. */
static int trace_run(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 4);
  const Batch b = read_batch(L, "trace_run", (const char *const[]){NULL});
  step_pin(L, 1);
  State *st = state_argument(L, 3, m, b.B);
  lua_newtable(L);
  ListTrace l = {{see}, L, lua_gettop(L), tp->recording};
  push_step(L, model_trace(tp, m, &b, st, &l.trace));
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
            (luaL_Reg[]){{"forward", forward}, {"loss", loss}, {"log_likelihood", log_likelihood},
                         {"parameters", parameters}, {"param", param}, {"config", config},
                         {"param_count", param_count}, {"weight_bytes", weight_bytes},
                         {"state_floats", count_state_floats}, {"zero_grad", zero_grad}, {"trace_run", trace_run},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"model", make}, {"describe", describe}, {"versions", versions}, {NULL, NULL}});
}
