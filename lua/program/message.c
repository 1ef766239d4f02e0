/* What is said of an error: its text, and a traceback where that helps. A mistake in the command line takes a line. */
#include "bindings/bind.h"
#include "program.h"

#include <ctype.h>
#include <stdio.h>

/* An error object as text, in its place. */
static int text_of(lua_State *L)
{
  luaL_tolstring(L, 1, NULL);
  return 1;
}

void make_text(lua_State *L)
{
  if (lua_type(L, -1) == LUA_TSTRING) return;
  lua_pushcfunction(L, text_of);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushliteral(L, "(an error object whose __tostring fails)");
}

bool is_of_library(const char *source)
{
  const char *home = program_home();
  size_t n = home ? strlen(home) : 0;
  return n > 0 && *source == '@' && strncmp(source + 1, home, n) == 0 && strncmp(source + 1 + n, "/lua/", 5) == 0;
}

bool is_interrupt(const char *message)
{
  static const char word[] = "interrupted";
  size_t n = strlen(message);
  return n >= sizeof word - 1 && strcmp(message + n - (sizeof word - 1), word) == 0;
}

const char *short_of_library(const char *message)
{
  char source[4300];
  for (const char *end; (end = strstr(message, ": ")); message = end + 2) {
    snprintf(source, sizeof source, "@%.*s", (int)(end - message), message);
    if (!is_of_library(source)) break;
  }
  return message;
}

/* Whether the first line of a message has a place in it, "script.lua:7:". What has none is for whoever called the
   program. */
static bool has_place(const char *message)
{
  for (const char *c = message; *c && *c != '\n'; c++)
    if (*c == ':' && isdigit((unsigned char)c[1]) && c[1 + strspn(c + 1, "0123456789")] == ':') return true;
  return false;
}

/* Whether the library refused what the main chunk of a script asked for: the message names the line, and more frames
   would only be those of the library. */
static bool is_refused_call(lua_State *L)
{
  lua_Debug at;
  bool inside = false;
  for (int level = 1; lua_getstack(L, level, &at); level++) {
    lua_getinfo(L, "S", &at);
    if (*at.what == 'C') continue;
    if (!is_of_library(at.source)) return inside && strcmp(at.what, "main") == 0;
    inside = true;
  }
  return false;
}

int add_traceback(lua_State *L)
{
  bool text = lua_type(L, -1) == LUA_TSTRING;
  make_text(L);
  const char *message = lua_tostring(L, -1);
  if (text && (is_interrupt(message) || !has_place(message) || is_refused_call(L))) return 1;
  luaL_traceback(L, L, message, 1);
  return 1;
}
