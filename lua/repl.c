/* Typing Lua: line editing and history by libedit; what ends unfinished goes on in the next line. */
#include "bind.h"
#include "program.h"

#include <editline/readline.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Reads a line into a malloc'ed string, NULL at the end of input. */
static char *read_line(const char *prompt)
{
  if (isatty(0)) {
    char *line = readline(prompt);
    if (line && *line) add_history(line);
    return line;
  }
  char *line = NULL;
  size_t room = 0;
  ssize_t n = getline(&line, &room, stdin);
  if (n < 0) return free(line), NULL;
  if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
  return line;
}

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

static void print_results(lua_State *L)
{
  int n = lua_gettop(L);
  if (n == 0) return;
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  if (lua_pcall(L, n, 0, 0) != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
}

void repl(lua_State *L)
{
  char *line;
  if (luaL_dostring(L, "rwkv = require 'rwkv'")) lua_error(L);
  if (isatty(0)) puts("Aviary: every RWKV in Lua. `rwkv` is loaded; Ctrl-D leaves.");
  while (lua_settop(L, 0), (line = read_line("> "))) {
    lua_pushstring(L, line);
    free(line);
    int status = load_typed(L, lua_tostring(L, 1));
    while (unfinished(L, status) && (line = read_line(">> "))) {
      lua_settop(L, 1);
      lua_pushfstring(L, "%s\n%s", lua_tostring(L, 1), line);
      free(line);
      lua_remove(L, 1);
      status = load_typed(L, lua_tostring(L, 1));
    }
    lua_remove(L, 1);
    if (status == LUA_OK) status = call_interruptible(L, 0, LUA_MULTRET);
    if (status == LUA_OK) print_results(L);
    else fprintf(stderr, "%s\n", lua_tostring(L, -1));
    fflush(stdout);
  }
  if (isatty(0)) putchar('\n');
}
