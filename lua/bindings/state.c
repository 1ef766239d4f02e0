/* The state of a model between runs. */
#include "bind.h"

#include <limits.h>

static const char class[] = "rwkv.state";

State *check_state(lua_State *L, int index)
{
  State **s = luaL_checkudata(L, index, class);
  if (!*s) luaL_argerror(L, index, "this state is gone");
  return *s;
}

State **push_state(lua_State *L, int keeper)
{
  check_lasting(L, keeper); /* its hooks go soon if it does */
  lua_getiuservalue(L, keeper, 1);
  State **h = lua_newuserdatauv(L, sizeof *h, 1);
  *h = NULL;
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, class);
  remember(L, -1);
  return h;
}

/* The list of tokens seen at index: how many sequences; into seen, if it is not NULL. */
static int read_seen(lua_State *L, int index, int64_t *seen)
{
  lua_Integer B = check_list(L, index, "state: tokens seen");
  if (B < 1 || B > 1 << 24) luaL_error(L, "state: a list of %I sequences, expected 1 to %d", B, 1 << 24);
  for (lua_Integer b = 0; seen && b < B; b++) {
    int whole;
    lua_rawgeti(L, index, b + 1);
    seen[b] = lua_tointegerx(L, -1, &whole);
    if (!whole || seen[b] < 0)
      luaL_error(L, "state: tokens seen: expected a whole number from 0, found %s", value_text(L, -1));
    lua_pop(L, 1);
  }
  return (int)B;
}

/* m:state(batch or 1) -> the state before the first token. With a list in place of the batch, of the tokens that each
   sequence has seen: what grows with the tokens has grown so far, and holds start values. */
static int make(lua_State *L)
{
  const Model *m = check_model(L, 1);
  bool listed = lua_istable(L, 2);
  int B = listed ? read_seen(L, 2, NULL) : opt_int_argument(L, 2, 1, 1 << 24, 1, "state: the batch");
  int64_t *seen = listed ? lua_newuserdatauv(L, (size_t)B * sizeof *seen, 0) : NULL;
  if (seen) read_seen(L, 2, seen);
  State **s = push_state(L, 1);
  int64_t longest = 0;
  for (int b = 0; seen && version_state_grows(m->version, &m->d) && b < B; b++) {
    if (seen[b] > INT_MAX)
      return luaL_error(L, "state: sequence %d has seen %I tokens; this state grows with them", b + 1,
                        (lua_Integer)seen[b]);
    if (m->d.ctx && seen[b] > m->d.ctx)
      return luaL_error(L, "state: sequence %d has seen %I tokens, expected at most ctx, which is %d", b + 1,
                        (lua_Integer)seen[b], m->d.ctx);
    longest = seen[b] > longest ? seen[b] : longest;
  }
  *s = state_sized(m->version, &m->d, B, (int)longest);
  if (seen) memcpy((*s)->seen, seen, (size_t)B * sizeof *seen);
  return 1;
}

static int copy(lua_State *L) /* s:copy() -> values without gradient */
{
  const State *s = check_state(L, 1);
  State **c = push_state(L, 1);
  *c = state_copy(s);
  return 1;
}

static int detach(lua_State *L) /* s:detach() -> s, cut off from the tape */
{
  state_detach(check_state(L, 1));
  lua_settop(L, 1);
  return 1;
}

/* s:get("0.att_kv") -> [B,..]: a copy, or inside a step what a recorded run made of it, with its gradient */
static int get(lua_State *L)
{
  const State *s = check_state(L, 1);
  const Tape *tp = step_tape(L); /* first: where a step ends, the state keeps its values elsewhere */
  Tensor *t = s->now[state_index(s, luaL_checkstring(L, 2))];
  if (t->needs_grad && s->tape == tp && tp->recording) push_step(L, t);
  else new_copy(L, t);
  return 1;
}

/* s:set("0.att_kv", tensor) -> s. A tensor that needs a gradient stands in the state itself until the step ends, so
   that what follows gives it one; of others the numbers are copied. */
static int set(lua_State *L)
{
  State *s = check_state(L, 1);
  int i = state_index(s, luaL_checkstring(L, 2));
  const Tensor *t = check_numbers(L, 3);
  if (t->needs_grad) step_tape(L), t = check_numbers(L, 3); /* of the step that begins here, if the last one is over */
  if (!tensor_same_shape(t, s->now[i]))
    return luaL_error(L, "set: %s is %s, found %s", lua_tostring(L, 2), tensor_shape(s->now[i]), tensor_shape(t));
  Tape *tp = step_tape_as_it_is(L);
  if (tp->recording) step_pin(L, 1);
  if (tp->recording && t->needs_grad) state_put(s, tp, i, check_operand(L, 3));
  else state_set(s, tp, i, t);
  lua_settop(L, 1);
  return 1;
}

static int names(lua_State *L) /* s:names() -> {"0.att_xx", ...} */
{
  const State *s = check_state(L, 1);
  lua_createtable(L, s->count, 0);
  for (int i = 0; i < s->count; i++) {
    lua_pushstring(L, state_name(s, i));
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

static int seen(lua_State *L) /* s:seen(sequence or 1) -> tokens that it has run through */
{
  const State *s = check_state(L, 1);
  int b = opt_int_argument(L, 2, 1, s->B, 1, "seen: the sequence");
  lua_pushinteger(L, s->seen[b - 1]);
  return 1;
}

static int batch(lua_State *L) /* s:batch() -> how many sequences */
{
  lua_pushinteger(L, check_state(L, 1)->B);
  return 1;
}

static int config(lua_State *L) /* s:config() -> that of its model */
{
  const State *s = check_state(L, 1);
  push_config(L, s->version, &s->d);
  return 1;
}

static int rows(lua_State *L) /* s:rows(first, last or first) -> a copy of these sequences */
{
  const State *s = check_state(L, 1);
  int first = int_argument(L, 2, 1, s->B, "rows: the first sequence");
  int last = opt_int_argument(L, 3, 1, s->B, first, "rows: the last sequence");
  if (last < first) return luaL_error(L, "rows: from %d to %d: the last sequence comes before the first", first, last);
  State **r = push_state(L, 1);
  *r = state_rows(s, first - 1, last - first + 1);
  return 1;
}

static int join(lua_State *L) /* s:join(others..) -> all their sequences, copied, as one batch */
{
  int count = lua_gettop(L);
  const State **list = lua_newuserdatauv(L, (size_t)count * sizeof *list, 0);
  for (int i = 0; i < count; i++) list[i] = check_state(L, i + 1);
  State **all = push_state(L, 1);
  *all = state_join(list, count);
  return 1;
}

static int to_string(lua_State *L)
{
  const State *s = check_state(L, 1);
  lua_pushfstring(L, "state of %s, %d layers, batch %d", s->version->name, s->d.L, s->B);
  return 1;
}

static int collect(lua_State *L)
{
  State **s = luaL_checkudata(L, 1, class);
  note_finalized(L, 1);
  state_free(*s);
  *s = NULL;
  return 0;
}

void open_state(lua_State *L)
{
  add_class(L, class,
            (luaL_Reg[]){{"copy", copy},
                         {"detach", detach},
                         {"get", get},
                         {"set", set},
                         {"names", names},
                         {"seen", seen},
                         {"batch", batch},
                         {"config", config},
                         {"rows", rows},
                         {"join", join},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  add_methods(L, "rwkv.model", (luaL_Reg[]){{"state", make}, {NULL, NULL}});
}
