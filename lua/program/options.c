/* Options of the program itself that take a value, and the backend that they choose. */
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
  static const char *const names[] = {"--output",  "--max-memory", "--max-seconds", "--max-instructions",
                                      "--backend", "--matmul",     "--device",      "--threads"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

/* rwkv.NAME(value), with rwkv.core on top of the stack. */
static void call_core(lua_State *L, const char *option, const char *value)
{
  lua_getfield(L, -1, option + 2);
  lua_pushstring(L, value);
  lua_call(L, 1, 0);
}

void read_option(lua_State *L, Options *o, const char *name, const char *value)
{
  if (strcmp(name, "--output") == 0) o->output = value;
  else if (strcmp(name, "--max-memory") == 0) o->memory = read_amount(L, name, value, "KMGT");
  else if (strcmp(name, "--max-seconds") == 0) o->seconds = read_amount(L, name, value, "");
  else if (strcmp(name, "--max-instructions") == 0) o->instructions = read_amount(L, name, value, "");
  else if (strcmp(name, "--backend") == 0) o->backend = value;
  else if (strcmp(name, "--matmul") == 0) o->matmul = value;
  else if (strcmp(name, "--device") == 0) o->device = value;
  else call_core(L, name, value);
}

/* ---- the backend ---- */

static int read_device(lua_State *L, const char *text)
{
  size_t digits = strspn(text, "0123456789");
  if (!digits || digits > 4 || text[digits])
    luaL_error(L, "--device: expected a whole number from 0, found '%s'", text);
  return atoi(text);
}

void choose_backend(lua_State *L, const Options *o, bool trusted)
{
  const char *name = o->backend;
  if (!name || (strcmp(name, "cuda") && !strchr(name, '/'))) {
    const char *error = o->matmul ? round_factors(o->matmul) : NULL;
    if (error) luaL_error(L, "--matmul %s: %s", o->matmul, error);
    if (o->device) luaL_error(L, "--device %s: only with a device; --backend cuda chooses one", o->device);
    if (name) call_core(L, "--backend", name);
    return;
  }
  const char *error = open_backend_module(name, o->device ? read_device(L, o->device) : ranks_device(), o->matmul);
  if (error) luaL_error(L, "%s", error);
  if (computes_on_device() && !trusted)
    luaL_error(L,
               "--backend %s: the driver of a device does more than the walls around a script let through: --trust "
               "takes them down (aviary help sandbox.md)",
               name);
}
