/* Models run over tokens or vectors. */
#include "bind.h"

#include <limits.h>

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
  ForwardOptions o = {.last = boolean_field(L, index, "forward", "last")};
  if (raw_field(L, index, "hidden") == LUA_TBOOLEAN) o.hidden = lua_toboolean(L, -1) ? LAST_NORM : 0;
  else if (!lua_isnil(L, -1)) o.hidden = int_argument(L, -1, 1, m->d.L, "forward: hidden (true or a layer)");
  if (raw_field(L, index, "into") == LUA_TNIL) return o;
  check_field(L, is_tensor(L, -1), "forward", "into", "a tensor");
  o.into = check_numbers(L, -1);
  return o;
}

/* The last position of each sequence of y [B,T,C]: [B,1,C]. */
static Tensor *last_of(Tape *tp, Tensor *y, const Batch *b)
{
  Tensor *flat = t_reshape(tp, y, 2, (int[]){b->B * b->T, y->shape[2]});
  return t_rows(tp, flat, model_last_positions(tp, b), 2, (int[]){b->B, 1});
}

static Tensor *run_forward(Tape *tp, Model *m, const Batch *b, State *st, const ForwardOptions *o)
{
  if (!o->hidden) return (o->last ? model_logits_last : model_logits)(tp, m, b, st);
  Tensor *y = model_hidden(tp, m, b, st, o->hidden == LAST_NORM ? 0 : o->hidden);
  return o->last ? last_of(tp, y, b) : y;
}

/* m:forward(tokens [B,T] or vectors [B,T,C], state or nil, {last =, hidden =, into =, lengths =, starts =}) -> logits
   [B,T,V], or with last those of the last position of each sequence [B,1,V], or with hidden vectors [B,T,C] or
   [B,1,C] in their place; state. into: a tensor that has the result, too, once the state is the one after. */
static int forward(lua_State *L)
{
  Tape *tp = step_tape(L);
  Model *m = check_model(L, 1);
  lua_settop(L, 4);
  const Batch b = read_batch(L, "forward", (const char *const[]){"last", "hidden", "into", NULL});
  ForwardOptions o = lua_isnil(L, 4) ? (ForwardOptions){.last = false} : read_forward_options(L, 4, m);
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
  if (lua_isnil(L, 4)) lua_newtable(L), lua_replace(L, 4);
  s.targets = check_sequences(L, 3, "targets");
  s.batch = read_batch(L, function, options);
  if (s.batch.B != s.targets->B || s.batch.T != s.targets->T)
    luaL_error(L, "%s: tokens [%d,%d] and targets [%d,%d] differ", function, s.batch.B, s.batch.T, s.targets->B,
               s.targets->T);
  for (int b = 0; b < s.batch.B; b++) {
    int tokens = batch_length(&s.batch, b);
    int targets = s.targets->length ? s.targets->length[b] : s.targets->T;
    if (targets < tokens)
      luaL_error(L, "%s: sequence %d has %d tokens and %d targets", function, b + 1, tokens, targets);
  }
  raw_field(L, 4, "state");
  check_field(L, lua_isnil(L, -1) || luaL_testudata(L, -1, "rwkv.state"), function, "state", "a state");
  step_pin(L, 1);
  s.state = state_argument(L, lua_gettop(L), s.model, s.batch.B);
  return s;
}

/* m:loss(tokens, targets, {state =, l2wrap =, total =, lengths =, starts =}) -> loss [],
   {scored =, correct =}, state */
static int loss(lua_State *L)
{
  Scored s = scored_arguments(L, "loss", (const char *const[]){"state", "l2wrap", "total", NULL});
  int state = lua_gettop(L);
  raw_field(L, 4, "total");
  const LossOptions o = {.l2wrap = within(L, number_field(L, 4, "l2wrap", 0), &at_least_0, "loss: l2wrap"),
                         .total = opt_int_argument(L, -1, 1, INT_MAX, 0, "loss: total")};
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

/* m:trace_run(tokens or vectors, state or nil, {lengths =, starts =}) -> logits, state, list of {name =, value =}:
   every named intermediate in the order of computation, with its gradient until the step ends; in no_grad copied.
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

void open_model_run(lua_State *L)
{
  add_methods(L, "rwkv.model",
              (luaL_Reg[]){{"forward", forward},
                           {"loss", loss},
                           {"log_likelihood", log_likelihood},
                           {"trace_run", trace_run},
                           {NULL, NULL}});
}
