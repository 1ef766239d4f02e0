/* The backend: which one computes, with how many threads, on which machine. No other file here knows. */
#include "bind.h"

#include "fast/fast.h"
#include "fast/machine.h"
#include "fast/shadow.h"

#include <string.h>

/* And at the end the one of a module, if the program has opened one. */
static const Backend *backends[] = {&backend_reference, &backend_fast, &backend_shadow, NULL, NULL};
enum { MODULE = 3 };

static int backend(lua_State *L) /* backend() -> name; backend("fast", "reference", "shadow" or the module's) */
{
  if (!lua_isnoneornil(L, 1)) {
    const char *name = luaL_checkstring(L, 1);
    const Backend *const *b = backends;
    while (*b && strcmp((*b)->name, name)) b++;
    if (!*b)
      return luaL_error(L, "backend '%s': expected reference, fast or shadow; a module is a path: ./FILE.so", name);
    backend_use(*b);
  }
  lua_pushstring(L, backend_now()->name);
  return 1;
}

/* A file may bring a backend too; only the program opens one, before a script can ask. */
static void use_module(void *path)
{
  backend_use(backends[MODULE] = backend_open(path, &(BackendChoice){0, "full", rwkv_fail}));
}

const char *open_backend_module(const char *path) { return rwkv_protect(use_module, (void *)path); }

static int threads(lua_State *L) /* threads() -> number; threads(n) */
{
  if (!lua_isnoneornil(L, 1)) fast_set_threads(int_argument(L, 1, 1, 256, "threads"));
  lua_pushinteger(L, fast_threads());
  return 1;
}

/* machine_rates(threads, what) -> {read_bandwidth = bytes a second, gemm = operations a second}; what: "both", "read"
   or "gemm" */
static int machine_rates(lua_State *L)
{
  int n = opt_int_argument(L, 1, 1, 256, fast_threads(), "machine_rates: threads");
  int what = luaL_checkoption(L, 2, "both", (const char *const[]){"both", "read", "gemm", NULL});
  lua_createtable(L, 0, 2);
  if (what != 2) lua_pushnumber(L, machine_read_bandwidth(n)), lua_setfield(L, -2, "read_bandwidth");
  if (what != 1) lua_pushnumber(L, machine_gemm_rate(n)), lua_setfield(L, -2, "gemm");
  return 1;
}

static void set_count(lua_State *L, const char *name, size_t n)
{
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* backend_counts() -> {ops, launches, reads, bytes, most_bytes, seconds}: what its device has done since the program began,
   and the memory that is taken and was at most; nil if the backend has none. backend_counts(true): from now on it waits for
   every op, and adds up the time that the device takes for them in `seconds`; false: no more. */
static int backend_counts(lua_State *L)
{
  BackendCounts *c = backend_now()->counts;
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TBOOLEAN);
  if (!c) return 0;
  if (lua_isboolean(L, 1)) c->timed = lua_toboolean(L, 1);
  lua_createtable(L, 0, 6);
  set_count(L, "ops", c->ops), set_count(L, "launches", c->launches), set_count(L, "reads", c->reads);
  set_count(L, "bytes", c->bytes), set_count(L, "most_bytes", c->most_bytes);
  lua_pushnumber(L, c->seconds), lua_setfield(L, -2, "seconds");
  return 1;
}

void open_backend(lua_State *L)
{
#ifndef AVIARY_DOUBLE
  backend_use(&backend_fast);
#endif
  add_functions(L, (luaL_Reg[]){{"backend", backend},
                                {"backend_counts", backend_counts},
                                {"threads", threads},
                                {"machine_rates", machine_rates},
                                {NULL, NULL}});
}
