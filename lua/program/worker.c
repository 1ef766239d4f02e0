/* Workers: this program again, in a process of its own, with the same options and the same script. A script in the
   sandbox may start them, since they may do no more than itself; a worker may not start others.

   They are told to end by a pipe, as a script may send no signals: when its other end is closed the kernel sends them
   SIGTERM. */
#include "bindings/bind.h"
#include "program.h"

#include "io/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 64, MAX_ARGUMENTS = 1000, LINE = 3 /* the descriptor of the pipe in a worker */ };
static const char mark[] = "AVIARY_WORKER"; /* in the environment of a worker */
static struct {
  pid_t pid;
  int line;            /* the end of its pipe that is ours; -1: it was told */
} worker[MAX_WORKERS]; /* those at work */
static int at_work;

bool program_is_worker(void) { return getenv(mark) != NULL; }

/* In the child, between fork and exec: nothing but system calls. */
_Noreturn static void become(char **argv, int log, int line, pid_t parent)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* none outlives who started it */
  if (getppid() != parent) _exit(1);
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(1);
  if (line == LINE ? fcntl(LINE, F_SETFD, 0) : dup2(line, LINE) < 0) _exit(1);
  execv(program_file(), argv);
  _exit(127);
}

/* may_spawn() -> whether workers can be started without being asked for: a limit of memory is that of one process */
static int may_spawn(lua_State *L)
{
  const ProgramCall *call = program_call();
  bool limited = false;
  for (int i = 1; i < call->begin; i++) limited |= strncmp(call->argv[i], "--max-memory", strlen("--max-memory")) == 0;
  lua_pushboolean(L, call->begin > 0 && !limited && !program_is_worker());
  return 1;
}

/* spawn(list of the script's arguments, path of a log, threads, device or nil: as this program) -> process id */
static int spawn(lua_State *L)
{
  const ProgramCall *call = program_call();
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *path = luaL_checkstring(L, 2);
  const char *threads = lua_pushfstring(L, "%I", luaL_checkinteger(L, 3));
  const char *device = lua_isnoneornil(L, 4) ? NULL : lua_pushfstring(L, "%I", luaL_checkinteger(L, 4));
  lua_Integer count = list_length(L, 1);
  if (program_is_worker()) return luaL_error(L, "a worker may not start workers");
  if (call->begin == 0) return luaL_error(L, "workers need a script that they can run");
  if (at_work >= MAX_WORKERS) return luaL_error(L, "%d workers are at work, which is the most there can be", at_work);
  if (count > MAX_ARGUMENTS) return luaL_error(L, "%I arguments, expected %d at most", count, MAX_ARGUMENTS);
  check_writable(L, path);

  char **argv = lua_newuserdatauv(L, (size_t)(call->script + count + 6) * sizeof *argv, 0);
  int n = 0;
  for (int i = 0; i < call->begin; i++) argv[n++] = call->argv[i];
  argv[n++] = "--threads";
  argv[n++] = (char *)(uintptr_t)threads; /* exec does not write there */
  if (device) {
    argv[n++] = "--device"; /* takes the place of this program's */
    argv[n++] = (char *)(uintptr_t)device;
  }
  for (int i = call->begin; i <= call->script; i++) argv[n++] = call->argv[i];
  luaL_checkstack(L, (int)count + 1, "arguments of a worker");
  for (lua_Integer i = 1; i <= count; i++) { /* they stay on the stack, and so alive */
    lua_rawgeti(L, 1, i);
    argv[n++] = (char *)(uintptr_t)luaL_checkstring(L, -1);
  }
  argv[n] = NULL;

  int log, error = output_open(path, O_WRONLY | O_CREAT | O_TRUNC, &log);
  if (error) return luaL_error(L, "%s: %s", path, output_problem(error));
  int line[2]; /* one for each: the kernel signals one process a pipe */
  if (pipe2(line, O_CLOEXEC)) {
    error = errno;
    close(log);
    return luaL_error(L, "a worker cannot be started: %s", strerror(error));
  }
  fflush(NULL);
  signal(SIGCHLD, SIG_DFL); /* ignored, children would end unseen */
  setenv(mark, "1", 1);
  const char *bind = lua_pushstring(L, getenv("OMP_PROC_BIND")); /* a copy, or NULL */
  setenv("OMP_PROC_BIND", "false", 1);                           /* workers would all take the same places */
  pid_t parent = getpid(), child = fork();
  if (child == 0) become(argv, log, line[0], parent);
  error = errno;
  unsetenv(mark);
  if (bind) setenv("OMP_PROC_BIND", bind, 1);
  else unsetenv("OMP_PROC_BIND");
  close(log), close(line[0]);
  if (child < 0) close(line[1]);
  if (child < 0) return luaL_error(L, "a worker cannot be started: %s", strerror(error));
  worker[at_work].pid = child, worker[at_work].line = line[1];
  at_work++;
  lua_pushinteger(L, child);
  return 1;
}

static void hang_up(int i)
{
  if (worker[i].line >= 0) close(worker[i].line);
  worker[i].line = -1;
}

/* wait_worker(seconds) -> process id and exit status of one that ended, within this time; nothing if none has. A status
   above 128 is 128 and the signal that ended it. */
static int wait_worker(lua_State *L)
{
  for (double left = luaL_checknumber(L, 1); at_work > 0; left -= 0.02) {
    for (int i = 0; i < at_work; i++) {
      int status = 0;
      pid_t pid = worker[i].pid;
      if (waitpid(pid, &status, WNOHANG) != pid) continue;
      hang_up(i);
      worker[i] = worker[--at_work];
      lua_pushinteger(L, pid);
      lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      return 2;
    }
    if (left <= 0 || nanosleep(&(struct timespec){0, 20000000}, NULL)) break; /* a signal: Lua shall see it */
  }
  return 0;
}

/* tell_workers(): those at work get SIGTERM. */
static int tell_workers(lua_State *L)
{
  (void)L;
  for (int i = 0; i < at_work; i++) hang_up(i);
  return 0;
}

void open_workers(lua_State *L)
{
  if (program_is_worker()) { /* what is not open, or no pipe, is told nothing */
    fcntl(LINE, F_SETFD, FD_CLOEXEC);
    fcntl(LINE, F_SETOWN, getpid());
    fcntl(LINE, F_SETSIG, SIGTERM);
    fcntl(LINE, F_SETFL, O_ASYNC);
  }
  /* clang-format off */
  add_private(L, (luaL_Reg[]){{"may_spawn", may_spawn}, {"spawn", spawn}, {"wait_worker", wait_worker},
                              {"tell_workers", tell_workers}, {NULL, NULL}});
  /* clang-format on */
}
