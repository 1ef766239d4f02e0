/* Files that are written. In the sandbox the functions here stand in the place of Lua's own: everything goes beneath
   the output directory (ref/io/output.h). */
#include "bind.h"

#include "io/output.h"

#include <errno.h>
#include <fcntl.h>
#include <lualib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Raises what an output function returned, if it is the sandbox that refuses. */
static void refuse(lua_State *L, const char *path, int code)
{
  if (code == OUTSIDE || (code == ELOOP && output_limited()))
    luaL_error(L, "%s: %sa script may write only below %s%s; start aviary with --output DIR, or with --trust", path,
               code == ELOOP ? "it is a link: " : "", output_limited(), code == ELOOP ? " and through no link" : "");
}

static void check(lua_State *L, const char *what, const char *path, int code)
{
  refuse(L, path, code);
  if (code) luaL_error(L, "%s: %s: %s", what, path, output_problem(code));
}

void check_writable(lua_State *L, const char *path) { refuse(L, path, output_check(path)); }

/* ---- open files ---- */

static int close_stream(lua_State *L)
{
  luaL_Stream *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(s->f) == 0, NULL);
}

/* A file of Lua's on top of the stack, closed until fill_stream. */
static luaL_Stream *push_stream(lua_State *L)
{
  luaL_Stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  return s;
}

/* 0, or an errno; the descriptor is closed then. */
static int fill_stream(luaL_Stream *s, int fd, const char *mode)
{
  s->f = fdopen(fd, mode);
  if (s->f) return s->closef = close_stream, 0;
  int error = errno;
  close(fd);
  return error;
}

/* reserve_output() -> the standard output as a file of its own; what anybody else prints goes to the error output */
static int reserve_output(lua_State *L)
{
  luaL_Stream *s = push_stream(L);
  fflush(stdout);
  int fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
  int error = fd < 0 || dup2(2, 1) < 0 ? errno : fill_stream(s, fd, "w");
  return error ? luaL_error(L, "the standard output: %s", strerror(error)) : 1;
}

/* ---- of the module ---- */

static int make_directory(lua_State *L) /* mkdir(path): with all above it; no error if it is there */
{
  const char *path = luaL_checkstring(L, 1);
  check(L, "mkdir", path, output_mkdir(path));
  return 0;
}

/* write_file(path, text): whole or not at all (a temporary file, renamed) */
static int write_file(lua_State *L)
{
  size_t n;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
  Output o;
  check(L, "write_file", path, output_begin(&o, path));
  bool ok = fwrite(text, 1, n, o.file) == n;
  int error = ok ? output_commit(&o) : errno;
  if (!ok) output_abandon(&o);
  check(L, "write_file", path, error);
  return 0;
}

/* claim(path, text) -> whether this made the file, which was not there */
static int claim(lua_State *L)
{
  size_t n;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
  int fd, error = output_open(path, O_WRONLY | O_CREAT | O_EXCL, &fd);
  if (error == EEXIST) return lua_pushboolean(L, 0), 1;
  check(L, "claim", path, error);
  ssize_t written = write(fd, text, n);
  error = written == (ssize_t)n ? 0 : written < 0 ? errno : ENOSPC;
  if (close(fd) && !error) error = errno;
  if (error) output_remove(path);
  check(L, "claim", path, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* kind_of_file(path) -> nil: nothing is there; "file": a file, or a link to one; else what is in its way, in words.
   Looking waits for nobody, as opening a pipe does. */
static int kind_of_file(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  struct stat it;
  if (stat(path, &it)) {
    if (lstat(path, &it)) return 0;
    lua_pushliteral(L, "Is a link to what cannot be reached");
  } else if (S_ISREG(it.st_mode)) lua_pushliteral(L, "file");
  else if (S_ISDIR(it.st_mode)) lua_pushliteral(L, "Is a directory");
  else lua_pushliteral(L, "Is a pipe or a device");
  return 1;
}

/* sweep(directory): removes what killed programs left there of files in the making */
static int sweep(lua_State *L)
{
  output_sweep(luaL_checkstring(L, 1));
  return 0;
}

/* check_writable(path): raises unless a file can be written there now; an older one stays as it is */
static int try_to_write(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  Output o;
  check(L, "cannot write", path, output_begin(&o, path));
  output_abandon(&o);
  return 0;
}

void open_files(lua_State *L)
{
  add_functions(
      L, (luaL_Reg[]){
             {"mkdir", make_directory}, {"write_file", write_file}, {"check_writable", try_to_write}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"claim", claim},
                              {"kind_of_file", kind_of_file},
                              {"sweep", sweep},
                              {"reserve_output", reserve_output},
                              {NULL, NULL}});
}

/* ---- what stands in the place of Lua's own functions ---- */

static int failed(lua_State *L, const char *path, int code) /* as Lua's io and os say it */
{
  refuse(L, path, code);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(code));
  lua_pushinteger(L, code);
  return 3;
}

/* The flags of open(2) for a mode of fopen that writes; 0 if it only reads, -1 if there is no such mode. */
static int flags_of(const char *mode)
{
  static const int both[] = {O_WRONLY, O_RDWR};
  char first = *mode;
  if (!first || !strchr("rwa", first)) return -1;
  bool plus = mode[1] == '+';
  const char *end = mode + 1 + plus;
  if (*end == 'b') end++;
  if (*end) return -1;
  if (first == 'r') return plus ? O_RDWR : 0;
  return both[plus] | O_CREAT | (first == 'w' ? O_TRUNC : O_APPEND);
}

int script_open(lua_State *L) /* io.open(path, mode) */
{
  const char *path = luaL_checkstring(L, 1), *mode = luaL_optstring(L, 2, "r");
  int flags = flags_of(mode), fd = -1, error = 0;
  luaL_argcheck(L, flags >= 0, 2, "invalid mode");
  luaL_Stream *s = push_stream(L);
  if (flags == 0) fd = open(path, O_RDONLY | O_CLOEXEC), error = fd < 0 ? errno : 0;
  else error = output_open(path, flags, &fd);
  if (error == 0) error = fill_stream(s, fd, mode);
  return error ? failed(L, path, error) : 1;
}

int script_output(lua_State *L) /* io.output(path or file). upvalue: the original */
{
  lua_settop(L, lua_gettop(L) > 0);
  if (lua_isstring(L, 1)) {
    lua_pushcfunction(L, script_open);
    lua_pushvalue(L, 1);
    lua_pushliteral(L, "w");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) return luaL_error(L, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_replace(L, 1);
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

int script_remove(lua_State *L) /* os.remove(path) */
{
  const char *path = luaL_checkstring(L, 1);
  int error = output_remove(path);
  if (error) return failed(L, path, error);
  lua_pushboolean(L, 1);
  return 1;
}

int script_rename(lua_State *L) /* os.rename(from, to) */
{
  const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
  refuse(L, from, output_check_name(from)); /* says which of the two it is */
  refuse(L, to, output_check_name(to));
  int error = output_rename(from, to);
  if (error) return failed(L, from, error);
  lua_pushboolean(L, 1);
  return 1;
}
