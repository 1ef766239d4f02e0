/* A script's function that is told how far something is. */
#include "bind.h"

void tell(void *told, size_t done, size_t all)
{
  Told *t = told;
  lua_State *L = t->L;
  lua_pushvalue(L, t->function);
  lua_pushnumber(L, (lua_Number)done);
  lua_pushnumber(L, (lua_Number)all);
  if (guarded_pcall(L, 2, 0) == LUA_OK) return;
  t->failed = true;
  rwkv_fail("the function progress failed");
}
