/* The program `aviary`: where its files are, and its other half. */
#ifndef AVIARY_PROGRAM_H
#define AVIARY_PROGRAM_H

#include <lua.h>
#include <stdbool.h>

/* The commit it was built from, with a "+" if there were uncommitted changes. */
const char *program_commit(void);
/* The directory that holds lua/, or NULL. */
const char *program_home(void);
/* Replaces this process by the float64 program with the same arguments; raises if there is none. */
void program_become_double(lua_State *L);

typedef struct {
  bool trust;
  const char *output;
  double memory, seconds, instructions;
} Options; /* limits: 0 where there is none */

/* How this program was called: its options stand from 1 on, what it runs from `begin` to `script` ("-e" and a line,
   or a script alone), and then the arguments of that. */
typedef struct {
  char **argv;
  int begin, script;
} ProgramCall;
const ProgramCall *program_call(void);

/* Adds spawn and wait_worker to the table on top of the stack (worker.c). */
void open_workers(lua_State *L);

/* An option that takes a value, with rwkv.core on top of the stack; false if there is none of this name. */
bool read_option(lua_State *L, Options *o, const char *name, const char *value);

/* Reads, runs and prints until the end of input. */
void repl(lua_State *L);

/* ---- what ends a program (watch.c) ---- */

/* From here on; a limit of 0 is none. */
void watch_open(lua_State *L, double max_seconds, double max_instructions);
void watch_close(void); /* before lua_close */
/* Calls the function under its arguments with a traceback for errors and Ctrl-C raising one. An error is text. */
int call_interruptible(lua_State *L, int arguments, int results);
void make_text(lua_State *L); /* of the error object on top of the stack */

/* ---- what a script may do (sandbox.c, gnuplot.c) ---- */

/* Takes from Lua's library what scripts may not do, and lets them write below `output` only. */
void sandbox_open(lua_State *L, const char *output);
/* luaL_loadfile, in the sandbox of text only. */
int load_script(lua_State *L, const char *path);
/* run_gnuplot(script) -> true and its output, or nil and a message. Not for scripts: gnuplot can do anything. */
int run_gnuplot(lua_State *L);

#endif
