/* Options of the program itself that take a value. */
#include "bindings/bind.h"
#include "program.h"

#include <stdlib.h>

/* A number above 0 and below 1e18; with units "KMGT" a letter may follow. */
static double read_amount(lua_State *L, const char *option, const char *text, const char *units)
{
  char *end;
  double x = strtod(text, &end);
  const char *unit = *end ? strchr(units, *end) : NULL;
  if (unit) end++;
  for (; unit && unit >= units; unit--) x *= 1024;
  if (*end || !(x > 0 && x < 1e18))
    luaL_error(L, "%s: expected %s, found '%s'", option, *units ? "a size such as 512M or 4G" : "a number above 0",
               text);
  return x;
}

bool takes_value(const char *name)
{
  static const char *const names[] = {"--output",           "--max-memory", "--max-seconds",
                                      "--max-instructions", "--backend",    "--threads"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

void read_option(lua_State *L, Options *o, const char *name, const char *value)
{
  if (strcmp(name, "--output") == 0) o->output = value;
  else if (strcmp(name, "--max-memory") == 0) o->memory = read_amount(L, name, value, "KMGT");
  else if (strcmp(name, "--max-seconds") == 0) o->seconds = read_amount(L, name, value, "");
  else if (strcmp(name, "--max-instructions") == 0) o->instructions = read_amount(L, name, value, "");
  else if (strcmp(name, "--backend") == 0 && strchr(value, '/')) {
    const char *error = open_backend_module(value);
    if (error) luaL_error(L, "%s", error);
  } else {
    lua_getfield(L, -1, name + 2);
    lua_pushstring(L, value);
    lua_call(L, 1, 0);
  }
}
