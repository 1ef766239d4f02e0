/* A recurrence that lua/rwkv/recorded.lua has recorded as a program, run over time. The tape op checks what it says. */
#include "bind.h"

/* The list under a name in the table at index `table` (absolute): pushed; its length. */
static int list_field(lua_State *L, int table, const char *name, int most)
{
  if (raw_field(L, table, name) != LUA_TTABLE) return luaL_error(L, "steps: %s is no list", name);
  lua_Integer n = list_length(L, -1);
  if (n > most) return luaL_error(L, "steps: %I %s, expected at most %d", n, name, most);
  return (int)n;
}

/* Entry i of the list at index `list`, as a whole number. */
static int entry(lua_State *L, int list, int i)
{
  lua_rawgeti(L, list, i);
  int n = int_argument(L, -1, 0, 1 << 24, "steps: an entry");
  lua_pop(L, 1);
  return n;
}

static acc number_entry(lua_State *L, int list, int i, acc otherwise)
{
  lua_rawgeti(L, list, i);
  acc x = luaL_optnumber(L, -1, otherwise);
  lua_pop(L, 1);
  return x;
}

/* Pushes entry i of the list on top, a list; its index. */
static int list_entry(lua_State *L, int i)
{
  if (lua_rawgeti(L, -1, i) != LUA_TTABLE) luaL_error(L, "steps: entry %d is no list", i);
  return lua_gettop(L);
}

static StepShape shape_at(lua_State *L, int list, int i)
{
  return (StepShape){(size_t)entry(L, list, i), (size_t)entry(L, list, i + 1)};
}

/* {name, a, b or 0, scale, offset}, registers from 1 */
static StepInstruction read_instruction(lua_State *L, int list)
{
  lua_rawgeti(L, list, 1);
  StepInstruction q = t_steps_instruction(luaL_checkstring(L, -1));
  lua_pop(L, 1);
  int a = entry(L, list, 2), b = entry(L, list, 3);
  q.a = a > 0 ? a - 1 : 0, q.b = b > 0 ? b - 1 : 0; /* what an instruction does not use is some register */
  q.scale = number_entry(L, list, 4, 1), q.offset = number_entry(L, list, 5, 0);
  return q;
}

static void read_program(lua_State *L, int table, StepProgram *p)
{
  p->inputs = list_field(L, table, "inputs", STEP_INPUTS); /* {{kind, rows, cols}..} */
  for (int i = 0; i < p->inputs; i++) {
    int list = list_entry(L, i + 1);
    p->input[i] = (StepInputKind)entry(L, list, 1), p->shape[i] = shape_at(L, list, 2);
    lua_pop(L, 1);
  }
  p->states = list_field(L, table, "states", STEP_STATES); /* {{rows, cols, register after}..} */
  for (int i = 0; i < p->states; i++) {
    int list = list_entry(L, i + 1);
    p->shape[p->inputs + i] = shape_at(L, list, 1), p->after[i] = entry(L, list, 3) - 1;
    lua_pop(L, 1);
  }
  p->instructions = list_field(L, table, "made", STEP_INSTRUCTIONS);
  for (int i = 0; i < p->instructions; i++) {
    p->instruction[i] = read_instruction(L, list_entry(L, i + 1));
    lua_pop(L, 1);
  }
  raw_field(L, table, "y");
  p->y = int_argument(L, -1, 1, STEP_REGISTERS, "steps: y") - 1;
}

static int op_steps(lua_State *L) /* run_steps(program, {inputs}, T, S [B,H,numbers]) -> y [B,T,A], S */
{
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  int T = int_argument(L, 3, 1, 1 << 30, "steps: T");
  luaL_checkstack(L, STEP_INPUTS + 20, "steps");
  Tape *tp = step_tape(L);
  StepProgram *p = lua_newuserdatauv(L, sizeof *p, 0);
  Tensor *S = check_operand(L, 4), *in[STEP_INPUTS];
  memset(p, 0, sizeof *p);
  read_program(L, 1, p);
  if (list_length(L, 2) != p->inputs) return luaL_error(L, "steps: expected %d inputs", p->inputs);
  for (int i = 0; i < p->inputs; i++) {
    lua_rawgeti(L, 2, i + 1);
    in[i] = check_operand(L, -1);
  }
  push_step(L, t_steps(tp, p, in, T, &S));
  return push_step(L, S) + 1;
}

/* ---- the variables that a function has from outside: recording must leave them as they were ---- */

static int
upvalues(lua_State *L) /* upvalues(f) -> { value.. }, n of them; nil for a function of C, which no script changes */
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (lua_iscfunction(L, 1)) return 0;
  lua_newtable(L);
  for (int i = 1; lua_getupvalue(L, 1, i); i++) lua_rawseti(L, 2, i);
  return 1;
}

static int
restore_upvalues(lua_State *L) /* restore_upvalues(f, { value.. }) -> the name of one that had changed, or nil */
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TTABLE);
  const char *changed = NULL;
  for (int i = 1; lua_getupvalue(L, 1, i); i++, lua_pop(L, 2)) {
    lua_rawgeti(L, 2, i);
    if (lua_rawequal(L, -1, -2)) continue;
    lua_pushvalue(L, -1);
    changed = lua_setupvalue(L, 1, i);
  }
  lua_pushstring(L, changed);
  return 1;
}

void open_steps(lua_State *L)
{
  add_private(
      L, (luaL_Reg[]){
             {"run_steps", op_steps}, {"upvalues", upvalues}, {"restore_upvalues", restore_upvalues}, {NULL, NULL}});
}
