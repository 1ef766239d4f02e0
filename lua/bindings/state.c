/* The state of a model between runs. */
#include "bind.h"

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

static int make(lua_State *L) /* m:state(batch or 1) -> the state before the first token */
{
  const Model *m = check_model(L, 1);
  int B = opt_int_argument(L, 2, 1, 1 << 24, 1, "state: the batch");
  State **s = push_state(L, 1);
  *s = state_new(m, B);
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

static int get(lua_State *L) /* s:get("0.att_kv") -> a copy of [B,..] */
{
  const State *s = check_state(L, 1);
  new_copy(L, s->now[state_index(s, luaL_checkstring(L, 2))]);
  return 1;
}

static int set(lua_State *L) /* s:set("0.att_kv", tensor) -> s; the state lets go of the tape */
{
  State *s = check_state(L, 1);
  int i = state_index(s, luaL_checkstring(L, 2));
  const Tensor *t = check_numbers(L, 3);
  if (!tensor_same_shape(t, s->now[i]))
    return luaL_error(L, "set: %s is %s, found %s", lua_tostring(L, 2), tensor_shape(s->now[i]), tensor_shape(t));
  state_detach(s);
  tensor_copy(s->now[i], t);
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
  add_class(
      L, class,
      (luaL_Reg[]){{"copy", copy}, {"detach", detach}, {"get", get}, {"set", set}, {"names", names}, {NULL, NULL}},
      (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  luaL_getmetatable(L, "rwkv.model");
  lua_getfield(L, -1, "__index");
  add_functions(L, (luaL_Reg[]){{"state", make}, {NULL, NULL}});
  lua_pop(L, 2);
}
