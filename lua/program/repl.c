/* Typing Lua: what is an expression is shown, what ends unfinished goes on in the next line. */
#include "bindings/bind.h"
#include "program.h"
#include "repl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOW = 1 }; /* on the stack: the function rwkv.show, as it was at the start */

static bool unfinished(lua_State *L, int status)
{
  size_t n;
  const char *message = status == LUA_ERRSYNTAX ? lua_tolstring(L, -1, &n) : NULL;
  return message && n >= 5 && strcmp(message + n - 5, "<eof>") == 0;
}

/* Loads what was typed, as an expression if it can be one. Leaves a function or a message. */
static int load_typed(lua_State *L, const char *text)
{
  const char *as_value = lua_pushfstring(L, "return %s", text);
  int status = luaL_loadbuffer(L, as_value, strlen(as_value), "=typed");
  if (status != LUA_OK) {
    lua_pop(L, 1);
    status = luaL_loadbuffer(L, text, strlen(text), "=typed");
  }
  lua_remove(L, -2);
  return status;
}

/* Replaces the line on top by what it and the lines after it load as; *cancelled if Ctrl-C ended them. */
static int load_lines(lua_State *L, bool *cancelled)
{
  int text = lua_gettop(L), status = load_typed(L, lua_tostring(L, text));
  char *line;
  while (unfinished(L, status) && (line = line_read(">> ", cancelled))) {
    lua_settop(L, text);
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, text), line);
    free(line);
    lua_replace(L, text);
    status = load_typed(L, lua_tostring(L, text));
    if (*cancelled) break;
  }
  lua_remove(L, text);
  return status;
}

static int print_values(lua_State *L) /* (show, values...) */
{
  for (int i = 2, n = lua_gettop(L); i <= n; i++) {
    size_t length;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
    const char *text = luaL_tolstring(L, -1, &length);
    if (i > 2) putchar('\t');
    fwrite(text, 1, length, stdout);
    lua_pop(L, 2);
  }
  putchar('\n');
  return 0;
}

/* Shows the values above SHOW; the first one is then called `_`. */
static int show_results(lua_State *L)
{
  int n = lua_gettop(L) - SHOW;
  if (n == 0) return LUA_OK;
  if (!lua_isnil(L, SHOW + 1)) {
    lua_pushglobaltable(L); /* raw: a script may have forbidden new globals */
    lua_pushliteral(L, "_");
    lua_pushvalue(L, SHOW + 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, print_values);
  lua_pushvalue(L, SHOW);
  lua_rotate(L, SHOW + 1, 2);
  return call_interruptible(L, n + 1, 0);
}

void repl_open(lua_State *L) { line_open(L); }

bool repl(lua_State *L)
{
  char *line;
  bool cancelled, good = true;
  lua_settop(L, 0);
  library_name(L);
  if (luaL_dostring(L, "return rwkv.show")) lua_error(L);
  if (isatty(0)) puts("Aviary: every RWKV in Lua. `rwkv` is loaded; help() explains, Tab completes, Ctrl-D leaves.");
  while (lua_settop(L, SHOW), (line = line_read("> ", &cancelled))) {
    lua_pushstring(L, line);
    free(line);
    int status = load_lines(L, &cancelled);
    if (cancelled) continue;
    if (status == LUA_OK) status = call_interruptible(L, 0, LUA_MULTRET);
    if (status == LUA_OK) status = show_results(L);
    fflush(stdout);
    if (status == LUA_OK) continue;
    good = false;
    print_visible(stderr, lua_tostring(L, -1));
    fputc('\n', stderr);
  }
  if (isatty(0)) putchar('\n');
  return good;
}
