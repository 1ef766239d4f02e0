/* A hook of a script at work: its arguments, and what it left. */
#include "bind.h"

#include <stdio.h>
#include <string.h>

static void set_size(lua_State *L, const char *name, int value)
{
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

void push_words(lua_State *L, const char *words) /* "r w k" -> {"r", "w", "k"} */
{
  lua_newtable(L);
  for (int i = 1; words && *words; i++) {
    size_t n = strcspn(words, " ");
    lua_pushlstring(L, words, n);
    lua_rawseti(L, -2, i);
    words += n + strspn(words + n, " ");
  }
}

void push_hook_sizes(lua_State *L, const Version *v, const Dims *d, HookSlot slot)
{
  const char *streams = slot == HOOK_SHIFT ? v->streams : slot == HOOK_FFN_SHIFT ? v->ffn_streams : NULL;
  lua_createtable(L, 0, 16);
  set_size(L, "layers", d->L), set_size(L, "vocab", d->V), set_size(L, "C", d->C);
  int A = d->A ? d->A : d->C,
      N = d->N ? d->N : A; /* a version without heads has one, or those that head_size asks for */
  if (!d->H && A % N) luaL_error(L, "%s: %d channels cannot be split into heads of size %d", v->name, A, N);
  set_size(L, "A", A), set_size(L, "F", d->F), set_size(L, "H", d->H ? d->H : A / N), set_size(L, "N", N);
  for (const SizeName *s = model_size_names; s->name; s++)
    if (strstr(s->name, "_rank") && dims_size(d, s->at)) set_size(L, s->name, dims_size(d, s->at));
  lua_pushstring(L, v->name);
  lua_setfield(L, -2, "version");
  if (streams) push_words(L, streams), lua_setfield(L, -2, "streams");
}

/* The tensors as positional arguments; for a recurrence as one table by name. Returns the number of arguments. */
static int push_inputs(lua_State *L, const HookCall *c, const Version *v)
{
  if (c->hook->slot != HOOK_RECURRENCE) {
    for (int i = 0; i < c->in_count; i++) push_step(L, c->in[i]);
    return c->in_count;
  }
  lua_createtable(L, 0, c->in_count);
  const char *name = v->recurrence;
  for (int i = 0; i < c->in_count; i++) {
    size_t n = strcspn(name, " ");
    lua_pushlstring(L, name, n);
    push_step(L, c->in[i]);
    lua_rawset(L, -3);
    name += n + strspn(name + n, " ");
  }
  return 1;
}

/* The table of the hook's state by name, with the tensors before; -> its stack index. What belongs to the state goes
   as a copy: a script may hold it for longer than the state does, or make it part of another state. */
static int push_state_table(lua_State *L, const HookCall *c)
{
  lua_createtable(L, 0, c->hook->state_count);
  for (int i = 0; i < c->hook->state_count; i++) {
    push_step(L, c->state[i]->needs_grad ? c->state[i] : tape_copy(c->ps->tp, c->state[i]));
    lua_setfield(L, -2, c->hook->state[i].name);
  }
  return lua_gettop(L);
}

static Tensor *result(lua_State *L, const HookCall *c, const char *what, const char *name)
{
  if (lua_isnil(L, -1)) return NULL;
  if (!is_tensor(L, -1))
    luaL_error(L, "hook %s \"%s\" (%s), layer %d: %s%s is a %s, expected a tensor", hook_slots[c->hook->slot].name,
               c->hook->name, c->hook->origin, c->ps->layer + 1, what, name, type_text(L, -1));
  return check_operand(L, -1);
}

/* What the function left in its table of state. */
static void read_back_state(lua_State *L, const HookCall *c, int table)
{
  for (int i = 0; i < c->hook->state_count; i++) {
    const StateSpec *s = &c->hook->state[i];
    raw_field(L, table, s->name);
    Tensor *t = result(L, c, "state ", s->name);
    if (!t || t->axes != c->state[i]->axes)
      luaL_error(L, "hook %s \"%s\" (%s), layer %d: state %s is %s, expected %d axes", hook_slots[c->hook->slot].name,
                 c->hook->name, c->hook->origin, c->ps->layer + 1, s->name, t ? tensor_shape(t) : "nil",
                 c->state[i]->axes);
    int shape[MAX_AXES];
    memcpy(shape, c->state[i]->shape, sizeof shape);
    if (s->shape.size[0] == offsetof(Dims, history)) shape[1] = t->shape[1]; /* it grows with the tokens */
    if (memcmp(t->shape, shape, (size_t)t->axes * sizeof *shape))
      luaL_error(L, "hook %s \"%s\" (%s), layer %d: state %s became %s, expected %s", hook_slots[c->hook->slot].name,
                 c->hook->name, c->hook->origin, c->ps->layer + 1, s->name, tensor_shape(t),
                 shape_text(t->axes, shape));
    c->state[i] = t;
    lua_pop(L, 1);
  }
}

static void read_streams(lua_State *L, const HookCall *c, const char *streams)
{
  if (!lua_istable(L, -1))
    luaL_error(L, "hook %s \"%s\" (%s): returned a %s, expected a table with the streams %s",
               hook_slots[c->hook->slot].name, c->hook->name, c->hook->origin, type_text(L, -1), streams);
  int table = lua_gettop(L);
  for (int i = 0; i < c->out_count; i++) {
    size_t n = strcspn(streams, " ");
    const char *name = lua_pushlstring(L, streams, n);
    lua_pushvalue(L, -1);
    lua_rawget(L, table);
    c->out[i] = result(L, c, "stream ", name);
    lua_pop(L, 2);
    streams += n + strspn(streams + n, " ");
  }
}

/* What is of this run alone, into the table of sizes on top of the stack: layer, from 1; B, T; tokens [B,T], but for a
   run over vectors; position, of the run's first token in each sequence, from 1. */
static void push_run(lua_State *L, const Pass *ps)
{
  set_size(L, "layer", ps->layer + 1), set_size(L, "B", ps->B), set_size(L, "T", ps->T);
  lua_createtable(L, ps->B, 0);
  for (int b = 0; b < ps->B; b++) {
    lua_pushinteger(L, ps->seen[b] + 1);
    lua_rawseti(L, -2, b + 1);
  }
  lua_setfield(L, -2, "position");
  if (!ps->tokens) return;
  Tokens *tokens = new_tokens(L, ps->B, ps->T, "tokens");
  memcpy(tokens->id, ps->tokens, (size_t)ps->B * (size_t)ps->T * sizeof *tokens->id);
  lua_setfield(L, -2, "tokens");
}

void hook_call(HookCall *c)
{
  lua_State *L = bound_state();
  int top = lua_gettop(L);
  luaL_checkstack(L, 40, "a hook");
  if (!push_remembered(L, c->ps->host) || !push_remembered(L, c->hook)) luaL_error(L, "this model is being collected");
  int host = top + 1;
  const Version *v = check_model(L, host)->version;
  lua_getiuservalue(L, top + 2, 1); /* the function */
  int arguments = push_inputs(L, c, v), state = 0;
  if (c->hook->state_count) arguments++, state = push_state_table(L, c);
  lua_createtable(L, 0, c->hook->param_count);
  for (int i = 0; i < c->hook->param_count; i++) {
    push_borrowed(L, c->param[i], host);
    lua_setfield(L, -2, c->hook->param[i].name);
  }
  push_hook_sizes(L, v, c->ps->d, c->hook->slot);
  push_run(L, c->ps);
  if (state) lua_pushvalue(L, state), lua_insert(L, top + 3); /* it must outlast the call */

  step_hold(L, 1), ++*c->ps->held;
  int status = guarded_pcall(L, arguments + 2, 1);
  step_hold(L, -1), --*c->ps->held;
  if (status != LUA_OK) rethrow(L);
  if (c->hook->slot == HOOK_SHIFT) read_streams(L, c, v->streams);
  else if (c->hook->slot == HOOK_FFN_SHIFT) read_streams(L, c, v->ffn_streams);
  else c->out[0] = result(L, c, "what it returned", "");
  if (state) read_back_state(L, c, top + 3);
  lua_settop(L, top);
}
