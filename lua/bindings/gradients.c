/* All gradients of a model as one vector of numbers outside of its tensors, which can be added and sent, and some numbers
   beside them. lua/rwkv/ranks.lua makes data-parallel training of it. */
#include "bind.h"
#include "gradients.h"

static const char class[] = "rwkv.gradients";

Gradients *check_gradients(lua_State *L, int index) { return luaL_checkudata(L, index, class); }

/* The parameters that have one. */
static bool learns(const Param *p) { return p->t->needs_grad; }

/* gradients(model, list of numbers beside them) -> a copy of all of them */
static int take(lua_State *L)
{
  Model *m = check_model(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t n = 0;
  for (int i = 0; i < m->count; i++) n += learns(&m->params[i]) ? m->params[i].t->n : 0;
  Gradients *g = lua_newuserdatauv(L, sizeof *g + n * sizeof g->of[0], 0);
  luaL_setmetatable(L, class);
  *g = (Gradients){.n = n};
  for (int i = 0; i < BESIDE; i++) {
    lua_rawgeti(L, 2, i + 1);
    g->beside[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  real *to = g->of;
  for (int i = 0; i < m->count; i++) {
    Tensor *t = m->params[i].t;
    if (!learns(&m->params[i])) continue;
    tensor_read_grad(t, 0, t->n, to);
    to += t->n;
  }
  return 1;
}

/* gradients:add(other): element by element */
static int add(lua_State *L)
{
  Gradients *g = check_gradients(L, 1), *other = check_gradients(L, 2);
  if (g->n != other->n) return luaL_error(L, "gradients of two models: %I numbers and %I", (lua_Integer)g->n, (lua_Integer)other->n);
  for (size_t i = 0; i < g->n; i++) g->of[i] += other->of[i];
  for (int i = 0; i < BESIDE; i++) g->beside[i] += other->beside[i];
  return 0;
}

/* gradients:put(model): in the place of the model's own */
static int put(lua_State *L)
{
  Gradients *g = check_gradients(L, 1);
  Model *m = check_model(L, 2);
  const real *from = g->of, *end = g->of + g->n;
  for (int i = 0; i < m->count; i++) {
    Tensor *t = m->params[i].t;
    if (!learns(&m->params[i])) continue;
    if (t->n > (size_t)(end - from)) return luaL_error(L, "these are gradients of another model");
    tensor_write_grad(t, 0, t->n, from);
    from += t->n;
  }
  return 0;
}

/* gradients:copy() -> another one with the same numbers */
static int copy(lua_State *L)
{
  const Gradients *g = check_gradients(L, 1);
  size_t bytes = sizeof *g + g->n * sizeof g->of[0];
  Gradients *other = lua_newuserdatauv(L, bytes, 0);
  luaL_setmetatable(L, class);
  memcpy(other, g, bytes);
  return 1;
}

/* gradients:say(x): the last number beside them */
static int say(lua_State *L)
{
  check_gradients(L, 1)->beside[BESIDE - 1] = luaL_checknumber(L, 2);
  return 0;
}

/* gradients:beside() -> the numbers beside them */
static int beside(lua_State *L)
{
  const Gradients *g = check_gradients(L, 1);
  for (int i = 0; i < BESIDE; i++) lua_pushnumber(L, g->beside[i]);
  return BESIDE;
}

void open_gradients(lua_State *L)
{
  add_class(L, class, (luaL_Reg[]){{"add", add}, {"put", put}, {"copy", copy}, {"say", say}, {"beside", beside}, {NULL, NULL}}, (luaL_Reg[]){{NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"gradients", take}, {NULL, NULL}});
}
