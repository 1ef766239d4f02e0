#include "bind.h"

static lua_State *running; /* where a failure of the library surfaces */
static bool of_script;     /* the error under way came from a script's function: it has its line */
static int busy;           /* a binding is at work; finalizers, which any allocation may start, must wait */

static void raise(const char *message) { luaL_error(running, "%s", message); }

/* Lua does not see the memory behind its handles. When so much came since garbage was last looked for that it may
   be what is missing, or as much again as there was, it is looked for. */
static void collect_garbage(lua_State *L)
{
  static const size_t little = (size_t)1 << 20, much = (size_t)32 << 20;
  static size_t least;
  size_t used = memory_used() + device_bytes();
  if (used < least) least = used;
  size_t came = used - least;
  if (came < little || (came < memory_left() && came < (least > much ? least : much))) return;
  lua_gc(L, LUA_GCCOLLECT);
  least = memory_used() + device_bytes();
}

/* Pushes the line that called the binding. For a line of the library "": the function at the library's boundary says
   what called that. */
static void push_place(lua_State *L)
{
  lua_Debug caller;
  bool inside = lua_getstack(L, 1, &caller) && lua_getinfo(L, "S", &caller) && of_library(L, caller.source);
  if (inside) lua_pushliteral(L, "");
  else luaL_where(L, 1);
}

/* Every binding is called through this. upvalues: the binding, its name, how it is called or nil. */
static int guard(lua_State *L)
{
  check_time(L);
  if (busy)
    return luaL_error(L, "%s: a finalizer cannot use rwkv while it is at work", lua_tostring(L, lua_upvalueindex(2)));
  if (!lua_isnil(L, lua_upvalueindex(3))) check_count(L, lua_tostring(L, lua_upvalueindex(3)), 1);
  collect_garbage(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  running = L;
  busy = 1;
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  busy = 0;
  if (status == LUA_OK) return lua_gettop(L);
  if (status == LUA_ERRMEM) lua_pushfstring(L, "not enough memory; the limit is %s", memory_limit_text());
  if (!of_script && lua_type(L, -1) == LUA_TSTRING) { /* the binding knows neither its line nor its name */
    const char *name = lua_pushfstring(L, "to '%s'", lua_tostring(L, lua_upvalueindex(2)));
    const char *message = luaL_gsub(L, lua_tostring(L, -2), "to '?'", name);
    push_place(L);
    lua_pushstring(L, message);
    lua_concat(L, 2);
  }
  of_script = false;
  return lua_error(L);
}

int rethrow(lua_State *L)
{
  of_script = true;
  return lua_error(L);
}

void bindings_close(void) { busy = 1; }

static const char key_objects = 'o'; /* in the registry: address -> object, weak */

void remember(lua_State *L, int index)
{
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_objects);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, lua_touserdata(L, index));
  lua_pop(L, 1);
}

static bool is_remembered(lua_State *L, int index)
{
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_objects);
  lua_rawgetp(L, -1, lua_touserdata(L, index));
  bool found = lua_rawequal(L, -1, index);
  lua_pop(L, 2);
  return found;
}

bool push_remembered(lua_State *L, const void *object)
{
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_objects);
  lua_rawgetp(L, -1, object);
  lua_remove(L, -2);
  return !lua_isnil(L, -1);
}

lua_State *bound_state(void) { return running; }

void check_lasting(lua_State *L, int index)
{
  if (!is_remembered(L, index)) luaL_error(L, "this object is being collected: a finalizer cannot use it any more");
}

void note_finalized(lua_State *L, int index)
{
  if (is_remembered(L, index)) bindings_close();
}

int guarded_pcall(lua_State *L, int arguments, int results)
{
  busy = 0;
  int status = lua_pcall(L, arguments, results, 0);
  busy = 1;
  running = L;
  return status;
}

static void add(lua_State *L, const char *of, const luaL_Reg *f)
{
  for (; f && f->name; f++) {
    lua_pushcfunction(L, f->func);
    if (strcmp(f->name, "__gc")) {
      lua_pushstring(L, f->name);
      lua_pushstring(L, call_of(of, f->name));
      lua_pushcclosure(L, guard, 3);
    }
    lua_setfield(L, -2, f->name);
  }
}

void add_functions(lua_State *L, const luaL_Reg *f) { add(L, "rwkv", f); }

void add_private(lua_State *L, const luaL_Reg *f)
{
  luaL_getsubtable(L, -1, "private");
  add(L, "private", f);
  lua_pop(L, 1);
}

void add_methods(lua_State *L, const char *class, const luaL_Reg *f)
{
  luaL_getmetatable(L, class);
  raw_field(L, lua_gettop(L), "methods");
  add(L, class + strlen("rwkv."), f);
  lua_pop(L, 2);
}

void add_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *metamethods)
{
  luaL_newmetatable(L, name);
  add_functions(L, metamethods);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "methods");
  lua_setfield(L, -2, "__index");
  add_methods(L, name, methods);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable"); /* scripts cannot reach the metamethods */
  refuse_unknown(L, name + strlen("rwkv."));
  lua_pop(L, 1);
}

static int closing(lua_State *L)
{
  (void)L;
  bindings_close();
  return 0;
}

/* A stock Lua does not say that it closes. It finalizes in the reverse order of creation: what scripts made with the
   bindings, which note_finalized sees; then this, which is made last of all here; then the step; and only then objects
   of scripts that are older than the module, whose finalizers must not find it half gone. */
static void open_sentinel(lua_State *L)
{
  static const char key = 'c';
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, closing);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

/* Twice in one Lua state, objects of the first core would be taken for those of the second, of the other precision
   even. */
static void open_once(lua_State *L)
{
  static const char mark[] = "rwkv.core"; /* by its text: another shared object has another address */
  if (lua_getfield(L, LUA_REGISTRYINDEX, mark) != LUA_TNIL)
    luaL_error(L, "rwkv.core is loaded already, and one Lua can hold only one: use what `require` returned before");
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, mark);
}

/* Of the module's functions another Lua has some; what only 5.4 has is missing there (Makefile: they are weak). */
#pragma weak lua_newuserdatauv

int luaopen_rwkv_core(lua_State *L)
{
  if (!lua_newuserdatauv) return luaL_error(L, "rwkv.core is a module for Lua 5.4, and this is an older Lua");
  open_once(L);
  busy = 0; /* another Lua state of this process may have closed */
  rwkv_on_fail(raise);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_objects);
  lua_newtable(L);
  open_step(L);
  open_tensor(L);
  open_tensor_ops(L);
  open_recurrence(L);
  open_steps(L);
  open_tokens(L);
  open_tokenizer(L);
  open_model(L);
  open_model_run(L);
  open_model_file(L);
  open_state(L);
  open_hook(L);
  open_optim(L);
  open_gradients(L);
  open_session(L);
  open_rng(L);
  open_sampler(L);
  open_golden(L);
  open_compare(L);
  open_tensor_file(L);
  open_tensor_load(L);
  open_model_info(L);
  open_convert(L);
  open_zip(L);
  open_system(L);
  open_backend(L);
  open_files(L);
  open_gnuplot(L);
  open_inspect(L);
  open_digest(L);
  open_known(L);
  open_commit(L);
  open_calls(L);
  open_sentinel(L);
  lua_getfield(L, -1, "private");
  lua_newtable(L); /* the metatables of the library's own objects */
  lua_setfield(L, -2, "sealed");
  lua_pop(L, 1);
  return 1;
}
