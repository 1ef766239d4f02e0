/* What ends a program that would go on: Ctrl-C, --max-seconds, --max-instructions; and the notice that it is going to
   be taken down: SIGTERM, SIGUSR1, SIGUSR2, as schedulers send them.

   A signal may only set a hook, and only on the coroutine that runs: Lua calls it at the next instruction. So
   coroutine.resume, wrap and close note which one that is. Counting instructions needs a hook from the start,
   which makes Lua itself half as fast: it is there only when a budget is given.

   A notice is heard by who has asked for notices, at a moment of its own; during what it has called by `attend` it is
   an error as Ctrl-C is. Without anyone who has asked these signals end the program as they do any other.

   Ctrl-C is an error like others. Time and instructions that are used up are not: the program ends where it stands,
   so that no script can catch it and go on. A call into C goes on to its end, unless it is of the library and asks by
   rwkv_poll; a pattern that backtracks for ever, say, and finalizers, in which no hook is called, are ended by force
   GRACE seconds later. */
#include "bindings/bind.h"
#include "program.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 1000, GRACE = 5 };

static lua_State *volatile current; /* the coroutine that runs */
static volatile sig_atomic_t interrupted, late;
static volatile sig_atomic_t noticed; /* the signal of the first notice */
static volatile sig_atomic_t attentive;
static int put_off;                  /* calls of uninterrupted at work */
static double seconds, budget, left; /* the limits, 0 where there is none; instructions left */
static pthread_t main_thread;

/* ---- ends ---- */

/* "script.lua:7: ", or "" where no function of a script runs. It takes no memory. */
static const char *position(lua_State *L)
{
  static char text[LUA_IDSIZE + 20];
  lua_Debug at;
  int level = 0;
  do {
    if (!lua_getstack(L, level++, &at)) return "";
    lua_getinfo(L, "Sl", &at);
  } while (at.currentline < 0 || is_of_library(at.source));
  snprintf(text, sizeof text, "%s:%d: ", at.short_src, at.currentline);
  return text;
}

_Noreturn static void end(lua_State *L, double amount, const char *unit)
{
  fflush(stdout);
  fputs("aviary: ", stderr);
  print_visible(stderr, position(L));
  fprintf(stderr, "stopped after %g %s (--max-%s)\n", amount, unit, unit);
  exit(1);
}

void check_time(lua_State *L)
{
  if (late) end(L, seconds, "seconds");
}

/* Whether long work of the library shall end with an error. */
static bool stop_asked(void)
{
  if (!current) return false;
  check_time(current);
  if (!interrupted || put_off) return false;
  interrupted = 0;
  return true;
}

static void spend(lua_State *L)
{
  left -= COUNT;
  if (left < 0) end(L, budget, "instructions");
}

/* ---- hooks ---- */

static void count(lua_State *L, lua_Debug *at)
{
  (void)at;
  spend(L);
}

/* The hook of a coroutine to which nothing has happened. */
static void stand_by(lua_State *L) { lua_sethook(L, budget > 0 ? count : NULL, LUA_MASKCOUNT, COUNT); }

static void stop(lua_State *L, lua_Debug *at)
{
  (void)at;
  check_time(L);
  if (put_off) return;
  stand_by(L);
  if (!interrupted) return;
  interrupted = 0;
  lua_pushfstring(L, "%sinterrupted", position(L));
  lua_error(L);
}

static void arm(lua_State *L) { lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1); }

static void on_signal(int number)
{
  static const char by_force[] = "aviary: stopped by force: the program did not end within --max-seconds\n";
  if (!pthread_equal(pthread_self(), main_thread)) { /* Lua is the main thread's */
    pthread_kill(main_thread, number);
    return;
  }
  if (number == SIGINT) {
    signal(SIGINT, SIG_DFL); /* a second Ctrl-C kills */
    interrupted = 1;
  } else if (number != SIGALRM) {
    if (!noticed) noticed = number;
    if (!attentive) return;
    interrupted = 1;
  } else if (late) {
    if (write(2, by_force, sizeof by_force - 1) < 0) _exit(2);
    _exit(1);
  } else late = 1;
  if (current) arm(current);
}

/* ---- coroutines ---- */

/* coroutine.resume and close, and what wrap returns. upvalues: the original; for wrap its coroutine, or nil */
static int enter(lua_State *L)
{
  bool wrapped = lua_isthread(L, lua_upvalueindex(2));
  if (!wrapped) luaL_checktype(L, 1, LUA_TTHREAD);
  lua_State *co = lua_tothread(L, wrapped ? lua_upvalueindex(2) : 1), *before = current;
  bool fresh = lua_status(co) == LUA_OK && lua_gettop(co) > 0;
  if (fresh && budget > 0) spend(L); /* what it may do before its own hook counts */
  current = co;
  if (interrupted || late) arm(co);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  current = before;
  if (interrupted || late) arm(before);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int wrap(lua_State *L) /* upvalue: the original */
{
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_getupvalue(L, 1, 1); /* its coroutine */
  lua_pushcclosure(L, enter, 2);
  return 1;
}

static void replace(lua_State *L, const char *name, lua_CFunction by, int upvalues)
{
  lua_getfield(L, -1, name);
  if (upvalues > 1) lua_pushnil(L);
  lua_pushcclosure(L, by, upvalues);
  lua_setfield(L, -2, name);
}

/* ---- what comes about as a whole ---- */

/* uninterrupted(f, ...) -> what f returns; Ctrl-C is put off until then. Time and instructions are not. */
static int uninterrupted(lua_State *L)
{
  put_off++;
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  put_off--;
  if (interrupted) arm(L);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* ---- notices ---- */

static const struct {
  int number;
  const char *name;
} notices[] = {{SIGTERM, "SIGTERM"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};
enum { NOTICES = sizeof notices / sizeof *notices };

/* heed(whether): from here on notices are heard, or end the program again. */
static int heed(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  for (int i = 0; i < NOTICES; i++) signal(notices[i].number, lua_toboolean(L, 1) ? on_signal : SIG_DFL);
  attentive = 0;
  return 0;
}

/* noticed() -> the name of the signal of the first notice, or nothing */
static int notice(lua_State *L)
{
  for (int i = 0; i < NOTICES; i++)
    if (noticed == notices[i].number) return lua_pushstring(L, notices[i].name), 1;
  return 0;
}

/* attend(whether): from here on a notice, also one that came before, is an error as Ctrl-C is, or waits again. */
static int attend(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  attentive = lua_toboolean(L, 1);
  if (!noticed) return 0;
  interrupted = attentive;
  if (attentive) arm(L);
  return 0;
}

void open_watch(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"heed", heed}, {"noticed", notice}, {"attend", attend}, {NULL, NULL}});
  luaL_getsubtable(L, -1, "private");
  lua_pushcfunction(L, uninterrupted); /* not as what computes: it calls what does */
  lua_setfield(L, -2, "uninterrupted");
  lua_pop(L, 1);
}

/* ---- from outside ---- */

static struct timespec time_of(double s)
{
  time_t whole = (time_t)s;
  return (struct timespec){whole, (long)((s - (double)whole) * 1e9) + (s < 1)};
}

void watch_open(lua_State *L, double max_seconds, double max_instructions)
{
  main_thread = pthread_self();
  rwkv_on_stop(stop_asked);
  current = L;
  seconds = max_seconds;
  budget = left = max_instructions;
  lua_getglobal(L, "coroutine");
  replace(L, "resume", enter, 2);
  replace(L, "close", enter, 2);
  replace(L, "wrap", wrap, 1);
  lua_pop(L, 1);
  stand_by(L);
  if (seconds <= 0) return;
  timer_t timer; /* unlike an interval timer it does not outlive a call of exec */
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  struct itimerspec when = {.it_value = time_of(seconds), .it_interval = {.tv_sec = GRACE}};
  signal(SIGALRM, on_signal);
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
    luaL_error(L, "--max-seconds %f: the system has no timer for it", seconds);
}

void watch_close(void) { current = NULL; }

int call_interruptible(lua_State *L, int arguments, int results)
{
  int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, add_traceback);
  lua_insert(L, base);
  signal(SIGINT, on_signal);
  int status = lua_pcall(L, arguments, results, base);
  signal(SIGINT, SIG_DFL);
  interrupted = 0;
  lua_remove(L, base);
  if (status != LUA_OK) make_text(L);
  return status;
}
