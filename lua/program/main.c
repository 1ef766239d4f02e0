/* aviary: Lua 5.4 with every RWKV in it.

     aviary script.lua [arguments]    runs a script
     aviary -e 'code'                 runs a line of Lua
     aviary COMMAND [arguments]       runs lua/commands/COMMAND.lua
     aviary                           reads and runs line by line                               */
#include "bindings/bind.h"
#include "program.h"

#include "io/output.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static ProgramCall call;

const ProgramCall *program_call(void) { return &call; }

/* ---- where things are ---- */

/* The directory of this program, without the last slash. */
static void program_directory(char *out, size_t size)
{
  ssize_t n = readlink("/proc/self/exe", out, size - 1);
  out[n > 0 ? n : 0] = 0;
  char *slash = strrchr(out, '/');
  if (slash) *slash = 0;
}

const char *program_home(void)
{
  static char home[4096];
  char directory[3900], probe[4200];
  const char *given = getenv("AVIARY_HOME");
  program_directory(directory, sizeof directory);
  const char *places[] = {"", "/../..", "/../share/aviary", "/../../share/aviary"};
  for (int i = given ? -1 : 0; i < 4; i++) {
    snprintf(home, sizeof home, "%s%s", i < 0 ? given : directory, i < 0 ? "" : places[i]);
    snprintf(probe, sizeof probe, "%s/lua/rwkv/init.lua", home);
    if (access(probe, R_OK) == 0) return home;
  }
  return NULL;
}

const char *program_double(void)
{
  static char path[4200];
  char directory[3900];
  program_directory(directory, sizeof directory);
  const char *places[] = {"build/f64/aviary", "../f64/aviary", "../libexec/aviary/aviary64"};
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", directory, places[i]);
    if (access(path, X_OK) == 0) return path;
  }
  return NULL;
}

void program_become_double(lua_State *L)
{
  const char *path = program_double();
  fflush(NULL);
  if (path) execv(path, call.argv);
  luaL_error(L, "this needs the float64 program, which is not beside this one; `make` builds it as "
                "build/f64/aviary");
}

/* ---- running ---- */

/* The global `arg`, as the stand-alone Lua has it: arg[0] the script, arg[1].. what follows. */
static void set_arguments(lua_State *L, char **argv, int script, int argc)
{
  lua_newtable(L);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_seti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int run_loaded(lua_State *L, int status) { return status == LUA_OK ? call_interruptible(L, 0, 0) : status; }

/* A command by name, or NULL if there is none. */
static const char *command_path(lua_State *L, const char *name)
{
  if (!program_home() || strpbrk(name, "/.")) return NULL;
  const char *path = lua_pushfstring(L, "%s/lua/commands/%s.lua", program_home(), name);
  return access(path, R_OK) == 0 ? path : NULL;
}

static int usage(FILE *to)
{
  fputs("usage: aviary script.lua [arguments]    run a script\n"
        "       aviary -e 'code'                 run a line of Lua\n"
        "       aviary COMMAND [arguments]       run a command; `aviary help` lists them\n"
        "       aviary                           type Lua, line by line\n"
        "       aviary --version                 its version, libraries, and what it uses of the processor\n"
        "options before these:\n"
        "       --double                         compute in float64\n"
        "       --backend fast|reference|shadow  the kernels (default: fast in float32, reference in float64),\n"
        "       --backend ./FILE.so              or those of a module\n"
        "       --shadow                         both kernels for everything; stops where they disagree\n"
        "       --threads N                      for the fast kernels\n"
        "       --output DIR                     a script may write below this directory only (default: runs/)\n"
        "       --trust                          a script may do everything\n"
        "       --max-memory SIZE                512M, 4G (default: what the machine has)\n"
        "       --max-seconds S                  end the program after this time\n"
        "       --max-instructions N             end it after this many steps of Lua, 1e9, say\n",
        to);
  return to == stderr;
}

static int run(lua_State *L, int argc, char **argv, int i)
{
  if (i >= argc) {
    repl(L);
    return LUA_OK;
  }
  call.begin = call.script = i;
  if (strcmp(argv[i], "-e") == 0 && i + 1 < argc) {
    call.script = i + 1;
    set_arguments(L, argv, i + 1, argc);
    library_arguments(L);
    return run_loaded(L, luaL_loadbufferx(L, argv[i + 1], strlen(argv[i + 1]), "=(command line)", "t"));
  }
  const char *command = command_path(L, argv[i]);
  set_arguments(L, argv, i, argc);
  library_arguments(L);
  return run_loaded(L, command ? load_library(L, command) : load_script(L, argv[i]));
}

/* Options of the program itself, with rwkv.core on top of the stack; returns where the rest begins, or -1. */
static int read_options(lua_State *L, int argc, char **argv, Options *o)
{
  int i = 1;
  for (; i < argc && strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i], "--version") != 0; i++) {
    if (strcmp(argv[i], "--double") == 0) {
#ifndef AVIARY_DOUBLE
      program_become_double(L);
#endif
      continue;
    }
    if (strcmp(argv[i], "--shadow") == 0) {
      read_option(L, o, "--backend", "shadow");
      continue;
    }
    if (strcmp(argv[i], "--trust") == 0) {
      o->trust = true;
      continue;
    }
    if (i + 1 >= argc || !read_option(L, o, argv[i], argv[i + 1])) return -1;
    i++;
  }
  return i;
}

/* os.exit, which may close Lua by itself. upvalue: the original. */
static int leave(lua_State *L)
{
  if (!lua_isboolean(L, 1)) luaL_optinteger(L, 1, 0); /* raises while it still can */
  if (lua_gettop(L) == 0) lua_pushboolean(L, 1);
  bindings_close();
  watch_close();
  if (!process_close()) lua_pushinteger(L, 1), lua_replace(L, 1);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void report(lua_State *L, int status)
{
  make_text(L);
  fflush(stdout);
  bool memory = status == LUA_ERRMEM;
  fputs("aviary: ", stderr);
  print_visible(stderr, lua_tostring(L, -1));
  fprintf(stderr, "%s%s\n", memory ? "; the limit is " : "", memory ? memory_limit_text() : "");
}

/* Lua as scripts know it, and rwkv.core on top of the stack. */
static void open_lua(lua_State *L)
{
  luaL_openlibs(L);
  lua_getglobal(L, "os");
  lua_getfield(L, -1, "exit");
  lua_pushcclosure(L, leave, 1);
  lua_setfield(L, -2, "exit");
  lua_getglobal(L, "math"); /* the same numbers in every process */
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, 0);
  lua_call(L, 1, 0);
  if (!program_home()) luaL_error(L, "cannot find lua/rwkv beside the program; set AVIARY_HOME");
  lua_getglobal(L, "package");
  lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;./?.lua", program_home(), program_home(), program_home());
  lua_setfield(L, -2, "path");
  lua_settop(L, 0);
  lua_pushcfunction(L, luaopen_rwkv_core);
  lua_call(L, 0, 1);
  open_workers(L);
  open_uninterrupted(L);
  source_open(L);
}

static const char default_output[] = "runs/";

/* Whether the directory is a link; a folder of a stranger's may bring one. */
static bool is_link(const char *directory)
{
  char name[sizeof default_output], target[2];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(directory, "/"), directory);
  return readlink(name, target, sizeof target) >= 0;
}

/* The walls around a script: what it finds, and what the kernel lets it do. */
static void shut_in(lua_State *L, const Options *o)
{
  process_close_inherited();
  if (output_limit(o->output)) luaL_error(L, "--output %s: there can be no such directory", o->output);
  if (o->output == default_output && is_link(default_output) && !program_is_worker())
    fprintf(stderr, "aviary: %s is a link: this script may write below %s\n", default_output, output_root());
  output_mkdir(o->output); /* the kernel is told of a directory that is there; what cannot be made cannot be written */
  sandbox_open(L);
}

static int start(lua_State *L) /* (argc, argv): everything, protected */
{
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  Options o = {.output = default_output};
  open_lua(L);
  int core = lua_gettop(L), i = read_options(L, argc, argv, &o);
  if (i < 0) return lua_pushinteger(L, argc == 2 && strcmp(argv[1], "--help") == 0 ? usage(stdout) : usage(stderr)), 1;
  if (i < argc && strcmp(argv[i], "--version") == 0) return lua_pushinteger(L, print_version(stdout)), 1;
  if (o.memory > 0) memory_limit((size_t)o.memory, "--max-memory");
  bool trusted = o.trust || (i < argc && command_path(L, argv[i]));
  watch_open(L, o.seconds, o.instructions);
  if (!trusted) shut_in(L, &o);
  library_open(L, core);
  lua_settop(L, 0);
  if (i >= argc) repl_open(L);
  if (!trusted) confine(i >= argc);
  int status = run(L, argc, argv, i);
  if (status != LUA_OK) report(L, status);
  lua_pushinteger(L, status != LUA_OK);
  return 1;
}

/* Lua's memory, counted with all other. */
static void *allocate(void *none, void *p, size_t old, size_t size)
{
  (void)none;
  if (!p) old = 0; /* it tells the kind of object then */
  if (size > old && !memory_take(size - old)) return NULL;
  void *q = size ? realloc(p, size) : NULL;
  if (!size) free(p);
  if (size && !q && size > old) return memory_give(size - old), NULL;
  if (size < old) memory_give(old - size);
  return q;
}

int main(int argc, char **argv)
{
  call.argv = argv;
  if (!process_open()) return 1;
  memory_limit((size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE), "this machine's; --max-memory");
  lua_State *L = luaL_newstate();
  if (!L) return fprintf(stderr, "aviary: out of memory\n"), 1;
  memory_take((size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
  lua_setallocf(L, allocate, NULL);
  lua_pushcfunction(L, start);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  if (status != LUA_OK) report(L, status);
  int result = status == LUA_OK ? (int)lua_tointeger(L, -1) : 1;
  bindings_close();
  watch_close();
  lua_close(L);
  return process_close() ? result : 1;
}
