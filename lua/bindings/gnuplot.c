/* gnuplot, for lua/rwkv/plot/init.lua alone: its scripts can start processes and write files. */
#include "bind.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What stands in the file, as a string on the stack. */
static void push_text(lua_State *L, FILE *f)
{
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  rewind(f);
  for (int c; (c = getc(f)) != EOF;) luaL_addchar(&b, (char)c);
  luaL_pushresult(&b);
}

/* Runs `gnuplot -d -` with these as its input, output and error output; returns what wait says, or -1. */
static int spawn_gnuplot(FILE *files[3])
{
  char *const command[] = {"gnuplot", "-d", "-", NULL}; /* -d: whatever stands in ~/.gnuplot */
  posix_spawn_file_actions_t actions;
  pid_t child;
  int status;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; i++) posix_spawn_file_actions_adddup2(&actions, fileno(files[i]), i);
  int error = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return errno = error, -1;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return status;
}

static int run(lua_State *L) /* (text, three open files) -> true, output, or nil, message */
{
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  FILE **files = lua_touserdata(L, 2);
  if (fwrite(text, 1, n, files[0]) != n || fflush(files[0])) return luaL_error(L, "gnuplot: %s", strerror(errno));
  rewind(files[0]);
  int status = spawn_gnuplot(files);
  if (status == 0) {
    lua_pushboolean(L, 1);
    push_text(L, files[1]);
    return 2;
  }
  lua_pushnil(L);
  if (status < 0 && errno == ENOENT) lua_pushliteral(L, "gnuplot is not installed");
  else if (status < 0) lua_pushfstring(L, "gnuplot: %s", strerror(errno));
  else {
    lua_pushliteral(L, "gnuplot: ");
    push_text(L, files[2]);
    lua_concat(L, 2);
  }
  return 2;
}

/* A file that is nowhere. */
static FILE *nameless(void)
{
  int fd = memfd_create("gnuplot", MFD_CLOEXEC);
  return fd < 0 ? NULL : fdopen(fd, "w+b");
}

/* run_gnuplot(script) -> true and its output, or nil and a message */
static int run_gnuplot(lua_State *L)
{
  FILE *files[3] = {nameless(), nameless(), nameless()};
  int status = LUA_ERRRUN;
  lua_settop(L, 1);
  lua_pushcfunction(L, run);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, files);
  if (files[0] && files[1] && files[2]) status = lua_pcall(L, 2, 2, 0);
  else lua_pushfstring(L, "gnuplot: %s", strerror(errno));
  for (int i = 0; i < 3; i++)
    if (files[i]) fclose(files[i]);
  return status == LUA_OK ? 2 : lua_error(L);
}

void open_gnuplot(lua_State *L) { add_private(L, (luaL_Reg[]){{"run_gnuplot", run_gnuplot}, {NULL, NULL}}); }
