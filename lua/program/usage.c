/* What the program says of itself, and of words that it does not know. */
#include "bindings/bind.h"
#include "program.h"

#include <dirent.h>
#include <stdio.h>

static const struct {
  const char *name, *text;
} options[] = {
    {"--double", "compute in float64"},
    {"--backend", "fast|reference|shadow: the kernels (default: fast in float32, reference in float64),\n"
                  "or cuda: a GPU computes; or ./FILE.so: the kernels of a module"},
    {"--matmul", "full|bf16: in what factors of products are rounded (default: full); a GPU has tf32, too"},
    {"--device", "N: which GPU, from 0 (default); `aviary info --devices` lists them"},
    {"--shadow", "both kernels for everything; stops where they disagree"},
    {"--threads", "N: for the fast kernels"},
    {"--output", "DIR: a script may write below this directory only (default: runs/)"},
    {"--trust", "a script may do everything"},
    {"--max-memory", "SIZE: 512M, 4G (default: what the machine has)"},
    {"--max-seconds", "S: end the program after this time"},
    {"--max-instructions", "N: end it after this many steps of Lua, 1e9, say"},
    {"--version", "or -v: its version, libraries, and what it uses of the processor"},
    {"--help", "or -h: this; after a command or a script: what they take"},
};
enum { OPTIONS = sizeof options / sizeof *options };

void print_usage(FILE *to)
{
  fputs("usage: aviary script.lua [arguments]    run a script; - is the standard input\n"
        "       aviary -e 'code' [arguments]     run a line of Lua\n"
        "       aviary COMMAND [arguments]       run a command; `aviary help` lists them\n"
        "       aviary                           type Lua, line by line\n"
        "options before these:\n",
        to);
  for (int i = 0; i < OPTIONS; i++) {
    const char *text = options[i].text;
    int n = (int)strcspn(text, "\n");
    fprintf(to, "  %-19s %.*s\n", options[i].name, n, text);
    if (text[n]) fprintf(to, "  %-19s %s\n", "", text + n + 1);
  }
}

int unknown_option(lua_State *L, const char *word)
{
  lua_createtable(L, OPTIONS, 0);
  for (int i = 0; i < OPTIONS; i++) {
    lua_pushstring(L, options[i].name);
    lua_seti(L, -2, i + 1);
  }
  const char *hint = library_hint(L, word);
  return luaL_error(L, "there is no option '%s'%s `aviary --help` shows the usage", word, *hint ? hint : ";");
}

/* The names of the files DIR/NAME.lua, as a list. */
static void push_commands(lua_State *L)
{
  const char *path = lua_pushfstring(L, "%s/lua/commands", program_home());
  DIR *d = opendir(path);
  lua_pop(L, 1);
  lua_newtable(L);
  for (const struct dirent *e; d && (e = readdir(d));) {
    const char *dot = strrchr(e->d_name, '.');
    if (!dot || strcmp(dot, ".lua")) continue;
    lua_pushlstring(L, e->d_name, (size_t)(dot - e->d_name));
    lua_seti(L, -2, luaL_len(L, -2) + 1);
  }
  if (d) closedir(d);
}

void push_unknown_command(lua_State *L, const char *word)
{
  push_commands(L);
  const char *hint = library_hint(L, word);
  lua_pushfstring(L, "there is no command or script '%s'%s `aviary help` lists the commands", word, *hint ? hint : ";");
}
