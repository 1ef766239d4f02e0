/* All gradients of a model as one vector of numbers outside of its tensors, which can be added and sent, and some
   numbers beside them. lua/rwkv/ranks.lua makes data-parallel training of it. */
#include "bind.h"
#include "gradients.h"

#include "engine/backend.h"

static const char class[] = "aviary.gradients"; /* the library's alone */

Gradients *check_gradients(lua_State *L, int index) { return luaL_checkudata(L, index, class); }

/* The parameters that have one. */
static bool learns(const Param *p) { return p->t->needs_grad; }

static size_t count_numbers(const Model *m)
{
  size_t n = 0;
  for (int i = 0; i < m->count; i++) n += learns(&m->params[i]) ? m->params[i].t->n : 0;
  return n;
}

/* With room for the numbers and marks of n and `params`, which are 0, on top of the stack. */
static Gradients *push_gradients(lua_State *L, size_t n, size_t params)
{
  Gradients *g = lua_newuserdatauv(L, sizeof *g + n * sizeof g->of[0] + params * sizeof(bool), 0);
  *g = (Gradients){.n = n, .params = params};
  memset(g->of, 0, gradients_bytes(g));
  luaL_setmetatable(L, class);
  return g;
}

/* From a list on the stack. */
static void take_beside(lua_State *L, int list, Gradients *g)
{
  luaL_checktype(L, list, LUA_TTABLE);
  for (int i = 0; i < BESIDE; i++) {
    lua_rawgeti(L, list, i + 1);
    g->beside[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
}

/* gradients(model, list of numbers beside them, or nil) -> a copy of all of them; without a list zeros */
static int take(lua_State *L)
{
  Model *m = check_model(L, 1);
  bool zeros = lua_isnoneornil(L, 2);
  Gradients *g = push_gradients(L, count_numbers(m), (size_t)m->count);
  if (zeros) return 1;
  take_beside(L, 2, g);
  real *to = g->of;
  for (int i = 0; i < m->count; i++) {
    Tensor *t = m->params[i].t;
    if (!learns(&m->params[i])) continue;
    tensor_read_grad(t, 0, t->n, to);
    gradients_reached(g)[i] = t->reached;
    to += t->n;
  }
  return 1;
}

/* gradients_outline(model, list of numbers beside them) -> without the gradients, which stay where they are: through
   which parameters they have flowed, and the numbers */
static int outline(lua_State *L)
{
  Model *m = check_model(L, 1);
  Gradients *g = push_gradients(L, 0, (size_t)m->count);
  take_beside(L, 2, g);
  for (int i = 0; i < m->count; i++) gradients_reached(g)[i] = learns(&m->params[i]) && m->params[i].t->reached;
  return 1;
}

typedef struct {
  const Model *model;
  const bool *reached;
} Reached;

static void sum_reached(void *what)
{
  const Reached *r = what;
  backend_now()->ranks->begin();
  for (int i = 0; i < r->model->count; i++)
    if (r->reached[i]) tensor_sum_grad(r->model->params[i].t);
  backend_now()->ranks->end();
}

/* gradients_sum(outline of all programs, model): those of all devices, in the place of the model's own */
static int sum(lua_State *L)
{
  Gradients *g = check_gradients(L, 1);
  Model *m = check_model(L, 2);
  if (g->n || g->params != (size_t)m->count) return luaL_error(L, "this is no outline of this model");
  const char *error = rwkv_protect(sum_reached, &(Reached){m, gradients_reached(g)});
  return error ? luaL_error(L, "%s", error) : 0;
}

/* gradients_add(gradients, other): element by element */
static int add(lua_State *L)
{
  Gradients *g = check_gradients(L, 1), *other = check_gradients(L, 2);
  if (g->n != other->n || g->params != other->params) return luaL_error(L, "these are gradients of two models");
  for (size_t i = 0; i < g->n; i++) g->of[i] += other->of[i];
  for (size_t i = 0; i < g->params; i++) gradients_reached(g)[i] |= gradients_reached(other)[i];
  for (int i = 0; i < BESIDE; i++) g->beside[i] += other->beside[i];
  return 0;
}

/* gradients_put(gradients, model): in the place of the model's own */
static int put(lua_State *L)
{
  Gradients *g = check_gradients(L, 1);
  Model *m = check_model(L, 2);
  if (g->n != count_numbers(m) || g->params != (size_t)m->count)
    return luaL_error(L, "these are gradients of another model");
  const real *from = g->of;
  for (int i = 0; i < m->count; i++) {
    if (!learns(&m->params[i])) continue;
    tensor_write_grad(m->params[i].t, from, gradients_reached(g)[i]);
    from += m->params[i].t->n;
  }
  return 0;
}

/* gradients_copy(gradients) -> another one with the same numbers */
static int copy(lua_State *L)
{
  const Gradients *g = check_gradients(L, 1);
  Gradients *other = push_gradients(L, g->n, g->params);
  memcpy(other, g, sizeof *g + gradients_bytes(g));
  return 1;
}

/* gradients_say(gradients, x): the fourth number beside them */
static int say(lua_State *L)
{
  check_gradients(L, 1)->beside[3] = luaL_checknumber(L, 2);
  return 0;
}

/* gradients_beside(gradients) -> the numbers beside them */
static int beside(lua_State *L)
{
  const Gradients *g = check_gradients(L, 1);
  for (int i = 0; i < BESIDE; i++) lua_pushnumber(L, g->beside[i]);
  return BESIDE;
}

static int is_model(lua_State *L) /* is_model(x) -> boolean */
{
  lua_pushboolean(L, luaL_testudata(L, 1, "rwkv.model") != NULL);
  return 1;
}

static int is_tokens(lua_State *L) /* is_tokens(x) -> boolean: [B,T], B and T not 0 */
{
  const Tokens *t = test_tokens(L, 1);
  lua_pushboolean(L, t && t->B > 0 && t->T > 0);
  return 1;
}

void open_gradients(lua_State *L)
{
  luaL_newmetatable(L, class);
  lua_pop(L, 1);
  add_private(L, (luaL_Reg[]){{"gradients", take},
                              {"gradients_outline", outline},
                              {"gradients_sum", sum},
                              {"gradients_add", add},
                              {"gradients_put", put},
                              {"gradients_copy", copy},
                              {"gradients_say", say},
                              {"gradients_beside", beside},
                              {"is_model", is_model},
                              {"is_tokens", is_tokens},
                              {NULL, NULL}});
}
