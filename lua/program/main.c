/* aviary: Lua 5.4 with every RWKV in it.

     aviary script.lua [arguments]    runs a script, or with - the standard input
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

/* Says what is wrong; returns the exit status. */
static int report(lua_State *L, int status)
{
  make_text(L);
  fflush(stdout);
  ranks_speak();
  bool memory = status == LUA_ERRMEM;
  fputs("aviary: ", stderr);
  const char *message = lua_tostring(L, -1);
  bool interrupt = is_interrupt(message);
  print_visible(stderr, interrupt ? short_of_library(message) : message);
  fprintf(stderr, "%s%s\n", memory ? "; the limit is " : "", memory ? memory_limit_text() : "");
  return interrupt ? INTERRUPTED : 1;
}

/* A script where its path says, or else among those that stand beside the library, as after an installation. */
static int load_named(lua_State *L, const char *name)
{
  if (strcmp(name, "-") == 0) return load_script(L, NULL);
  if (access(name, F_OK) == 0) return load_script(L, name);
  const char *path = lua_pushfstring(L, "%s/%s", program_home(), name);
  if (*name != '/' && strstr(name, ".lua") && access(path, R_OK) == 0) return load_script(L, path);
  if (strpbrk(name, "/.")) return load_script(L, name); /* says that it is not there */
  push_unknown_command(L, name);
  return LUA_ERRFILE;
}

/* Whether a script is to be handed to Slurm: the command of that name does it, which may start other programs. */
static bool is_for_slurm(lua_State *L, int argc, char **argv, int i)
{
  if (i >= argc || strcmp(argv[i], "-e") == 0 || strcmp(argv[i], "-") == 0 || command_path(L, argv[i])) return false;
  for (int n = i + 1; n < argc; n++)
    if (strcmp(argv[n], "--slurm") == 0) return true;
  return false;
}

/* Returns the exit status. */
static int run(lua_State *L, int argc, char **argv, int i)
{
  if (i >= argc) return repl(L) || isatty(0) ? 0 : 1;
  bool line = strcmp(argv[i], "-e") == 0, for_slurm = is_for_slurm(L, argc, argv, i);
  int script = line ? i + 1 : i, status;
  if (script >= argc) return luaL_error(L, "-e: a line of Lua is missing");
  if (strcmp(argv[i], "-")) call.begin = i, call.script = script; /* workers cannot read the standard input again */
  set_arguments(L, argv, for_slurm ? script - 1 : script, argc);
  library_arguments(L);
  if (line) {
    library_name(L);
    status = luaL_loadbufferx(L, argv[script], strlen(argv[script]), "=(command line)", "t");
  } else {
    const char *command = command_path(L, for_slurm ? "slurm" : argv[i]);
    status = command ? load_library(L, command) : load_named(L, argv[i]);
  }
  status = run_loaded(L, status);
  return status == LUA_OK ? 0 : report(L, status);
}

static bool is_one_of(const char *word, const char *a, const char *b) { return !strcmp(word, a) || !strcmp(word, b); }

/* Options of the program itself, with rwkv.core on top of the stack; returns where the rest begins. */
static int read_options(lua_State *L, int argc, char **argv, Options *o)
{
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && !is_one_of(argv[i], "-", "-e"); i++) {
    o->help |= is_one_of(argv[i], "-h", "--help");
    o->version |= is_one_of(argv[i], "-v", "--version");
    if (o->help || o->version) break;
    if (strcmp(argv[i], "--double") == 0) {
#ifndef AVIARY_DOUBLE
      program_become_double(L);
#endif
    } else if (strcmp(argv[i], "--shadow") == 0) o->backend = "shadow";
    else if (strcmp(argv[i], "--trust") == 0) o->trust = true;
    else if (!takes_value(argv[i])) {
      library_open(L, lua_gettop(L));
      return unknown_option(L, argv[i]);
    } else if (i + 1 >= argc) return luaL_error(L, "option %s needs a value", argv[i]);
    else read_option(L, o, argv[i], argv[i + 1]), i++;
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
  ranks_close(lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)lua_tointeger(L, 1));
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
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
  open_watch(L);
  open_ranks(L);
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
  if (o.help || o.version) {
    if (o.help) print_usage(stdout);
    else print_version(stdout);
    return lua_pushinteger(L, 0), 1;
  }
  bool for_slurm = is_for_slurm(L, argc, argv, i);
  bool trusted = o.trust || (i < argc && command_path(L, argv[i])) || for_slurm;
  if (ranks_wanted() && for_slurm) luaL_error(L, "--slurm under mpirun: expected one of them");
  if (!trusted) process_close_inherited();
  if (ranks_wanted()) ranks_open(L, !trusted);
  if (o.memory > 0) memory_limit((size_t)o.memory, "--max-memory");
  lua_settop(L, core);
  choose_backend(L, &o, trusted);
  ranks_join_devices(L);
  watch_open(L, o.seconds, o.instructions);
  if (!trusted) shut_in(L, &o);
  library_open(L, core);
  lua_settop(L, 0);
  if (i >= argc) repl_open(L);
  if (!trusted) confine(i >= argc);
  lua_pushinteger(L, run(L, argc, argv, i));
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
  free_first_thread();
  memory_limit((size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE), "this machine's; --max-memory");
  lua_State *L = luaL_newstate();
  if (!L) return fprintf(stderr, "aviary: out of memory\n"), 1;
  memory_take((size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
  lua_setallocf(L, allocate, NULL);
  lua_pushcfunction(L, start);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int result = status == LUA_OK ? (int)lua_tointeger(L, -1) : report(L, status);
  bindings_close();
  watch_close();
  lua_close(L);
  if (!process_close()) result = 1;
  ranks_close(result);
  return result;
}
