/* The bindings without the program: the module rwkv.core for a stock Lua 5.4. What the program has besides, and the
   bindings ask for, stands in here. */
#include "bind.h"

void program_become_double(lua_State *L)
{
  luaL_error(L, "this needs float64, and the module rwkv.core that Lua has loaded is float32: run the script with "
                "`aviary`, or put the directory build/f64 before the other ones in LUA_CPATH");
}

void check_time(lua_State *L) { (void)L; } /* its time is not limited */
