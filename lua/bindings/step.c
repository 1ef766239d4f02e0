/* The step: one tape for the whole program, and who outlives what.

   A lifetime is a number. The innermost one is where new tensors belong; rwkv.no_grad opens one inside
   another. A tensor is alive while its lifetime is open. */
#include "bind.h"

enum { MAX_DEPTH = 100 };

typedef struct {
  Tape *tape;
  bool ended; /* by opt:step(): the next computation starts afresh */
  uint64_t next, open[MAX_DEPTH];
  int depth;        /* open[0 .. depth-1] are the open lifetimes */
  int held;         /* hooks at work: the model's run is not over */
  lua_Integer pins; /* entries of the table of pinned values */
} Step;

static const char key_step = 's', key_pins = 'p'; /* addresses in the registry */

static Step *step_of(lua_State *L)
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_step);
  Step *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

static void unpin(lua_State *L, Step *s, lua_Integer down_to)
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_pins);
  for (; s->pins > down_to; s->pins--) {
    lua_pushnil(L);
    lua_rawseti(L, -2, s->pins);
  }
  lua_pop(L, 1);
}

Tape *step_tape(lua_State *L)
{
  Step *s = step_of(L);
  if (s->ended && s->depth == 1 && !s->held) {
    tape_reset(s->tape);
    unpin(L, s, 0);
    s->open[0] = ++s->next;
    s->ended = false;
  }
  return s->tape;
}

Tape *step_tape_as_it_is(lua_State *L) { return step_of(L)->tape; }

void step_hold(lua_State *L, int by) { step_of(L)->held += by; }

void step_end(lua_State *L)
{
  Step *s = step_of(L);
  if (s->held) luaL_error(L, "a step cannot end inside a hook");
  s->ended = true;
}

bool step_held(lua_State *L) { return step_of(L)->held > 0; }

void step_pin(lua_State *L, int index)
{
  Step *s = step_of(L);
  index = lua_absindex(L, index);
  check_lasting(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_pins);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, ++s->pins);
  lua_pop(L, 1);
}

uint64_t step_scope(lua_State *L)
{
  Step *s = step_of(L);
  return s->open[s->depth - 1];
}

bool step_alive(lua_State *L, uint64_t scope)
{
  Step *s = step_of(L);
  for (int i = 0; i < s->depth; i++)
    if (s->open[i] == scope) return true;
  return false;
}

/* (f, ...) -> what f returns, with tensors of the innermost lifetime copied out */
static int call_and_copy(lua_State *L)
{
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  luaL_checkstack(L, 8, "no_grad");
  for (int i = 1; i <= lua_gettop(L); i++)
    if (is_tensor(L, i) && ((TensorHandle *)lua_touserdata(L, i))->scope == step_scope(L)) {
      new_copy(L, check_tensor(L, i));
      lua_replace(L, i);
    }
  return lua_gettop(L);
}

/* no_grad(f, ...) -> what f(...) returns. Inside, nothing is recorded; at the end the memory of what was
   computed is free again. Tensors that are returned are copied out. */
static int no_grad(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  Tape *tape = step_tape(L);
  Step *s = step_of(L);
  if (s->depth == MAX_DEPTH) return luaL_error(L, "no_grad: nested more than %d deep", MAX_DEPTH);
  TapeMark mark = tape_mark(tape);
  lua_Integer pins = s->pins;
  bool recording = tape->recording;
  s->open[s->depth++] = ++s->next;
  tape->recording = false;

  lua_pushcfunction(L, call_and_copy);
  lua_insert(L, 1);
  int status = guarded_pcall(L, lua_gettop(L) - 1, LUA_MULTRET);
  tape->recording = recording;
  s->depth--;
  unpin(L, s, pins);
  tape_rewind(tape, mark);
  return status == LUA_OK ? lua_gettop(L) : rethrow(L);
}

/* end_step(): as opt:step() does, for loops without an optimizer */
static int end_step(lua_State *L)
{
  step_end(L);
  return 0;
}

static int memory(lua_State *L) /* bytes that the tape holds */
{
  lua_pushinteger(L, (lua_Integer)tape_bytes(step_of(L)->tape));
  return 1;
}

static int recording(lua_State *L) /* whether what is computed now can have a gradient */
{
  lua_pushboolean(L, step_tape(L)->recording);
  return 1;
}

static int collect(lua_State *L)
{
  tape_free(((Step *)lua_touserdata(L, 1))->tape);
  return 0;
}

void open_step(lua_State *L)
{
  Step *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (Step){.next = 1, .open = {1}, .depth = 1};
  lua_newtable(L);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  s->tape = tape_new();
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_step);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_pins);
  add_functions(L, (luaL_Reg[]){{"no_grad", no_grad}, {"end_step", end_step}, {"tape_bytes", memory}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"recording", recording}, {NULL, NULL}});
}
