/* A new model, of which a script's function is told while it is made. */
#include "bind.h"

typedef struct {
  lua_State *L;
  int function; /* its index; 0: there is none */
  const Version *version;
  const Dims *d;
  uint64_t seed;
  bool uniform;
  bool failed; /* the function did; its error is on top of the stack */
  Model *result;
} Making;

static void tell(void *making, size_t done, size_t all)
{
  Making *k = making;
  lua_State *L = k->L;
  lua_pushvalue(L, k->function);
  lua_pushnumber(L, (lua_Number)done);
  lua_pushnumber(L, (lua_Number)all);
  if (guarded_pcall(L, 2, 0) == LUA_OK) return;
  k->failed = true;
  rwkv_fail("the function progress failed");
}

static void make_protected(void *making)
{
  Making *k = making;
  NewWatch watch = {k->function ? tell : NULL, k};
  k->result = model_new_watched(k->version, k->d, k->seed, k->uniform, watch);
}

Model *make_model(lua_State *L, const Version *v, const Dims *d, uint64_t seed, bool uniform, int function)
{
  Making k = {.L = L, .version = v, .d = d, .seed = seed, .uniform = uniform};
  if (!lua_isnoneornil(L, function)) {
    luaL_checktype(L, function, LUA_TFUNCTION);
    k.function = function;
  }
  luaL_checkstack(L, 8, "rwkv.model");
  const char *error = rwkv_protect(make_protected, &k);
  if (k.failed) rethrow(L);
  if (error) luaL_error(L, "%s", error);
  return k.result;
}
