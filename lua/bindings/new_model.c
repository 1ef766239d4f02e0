/* A new model, of which a script's function is told while it is made. */
#include "bind.h"

typedef struct {
  Told told; /* function 0: there is none */
  const Version *version;
  const Dims *d;
  uint64_t seed;
  bool uniform;
  Model *result;
} Making;

static void make_protected(void *making)
{
  Making *k = making;
  NewWatch watch = {k->told.function ? tell : NULL, &k->told};
  k->result = model_new_watched(k->version, k->d, k->seed, k->uniform, watch);
}

Model *make_model(lua_State *L, const Version *v, const Dims *d, uint64_t seed, bool uniform, int function)
{
  Making k = {.told = {.L = L}, .version = v, .d = d, .seed = seed, .uniform = uniform};
  if (!lua_isnoneornil(L, function)) {
    luaL_checktype(L, function, LUA_TFUNCTION);
    k.told.function = function;
  }
  luaL_checkstack(L, 8, "rwkv.model");
  const char *error = rwkv_protect(make_protected, &k);
  if (k.told.failed) rethrow(L);
  if (error) luaL_error(L, "%s", error);
  return k.result;
}
