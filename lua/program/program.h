/* The program `aviary`: where its files are, and its other half. */
#ifndef AVIARY_PROGRAM_H
#define AVIARY_PROGRAM_H

#include "bindings/around.h"

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

void print_version(FILE *to); /* version.c */

/* ---- where things are (places.c) ---- */

/* The directory that holds lua/, or NULL. */
const char *program_home(void);
/* What starts this program again: the file that runs, or in the archive of `make dist` the launcher. */
const char *program_file(void);
const char *program_double(void); /* the path of the float64 program, or NULL */

typedef struct {
  bool trust, help, version;
  const char *output, *backend, *matmul, *device; /* NULL: not given */
  double memory, seconds, instructions;
} Options; /* limits: 0 where there is none */

/* How this program was called: its options stand from 1 on, what it runs from `begin` to `script` ("-e" and a line,
   or a script alone), and then the arguments of that. */
typedef struct {
  char **argv;
  int begin, script;
} ProgramCall;
const ProgramCall *program_call(void);

/* Adds spawn and wait_worker, private, to rwkv.core on top of the stack (worker.c). */
void open_workers(lua_State *L);

/* Whether there is an option of this name that takes a value, and reading it, with rwkv.core on top of the stack. */
bool takes_value(const char *name);
void read_option(lua_State *L, Options *o, const char *name, const char *value);

/* The backend that the options ask for is at work from here on; with rwkv.core on top of the stack. `trusted`: no walls
   will stand around it. */
void choose_backend(lua_State *L, const Options *o, bool trusted);

bool program_is_worker(void);

/* Reads, runs and prints until the end of input; false if something failed. repl_open: what it needs of the user's
   files. */
void repl_open(lua_State *L);
bool repl(lua_State *L);

/* ---- programs that compute together (ranks.c) ---- */

bool ranks_wanted(void);        /* whether mpirun has started this program */
const char *ranks_folder(void); /* what MPI makes of its own, it makes there; NULL if that is nowhere */
int ranks_device(void);         /* which of the machine's devices is this one's, if nobody says */
/* Raises where there is no MPI. Before the walls stand, if there shall be some. */
void ranks_open(lua_State *L, bool walls);
/* With devices that add up by themselves, if they can: after the backend is chosen. */
void ranks_join_devices(lua_State *L);
/* Adds ranks, send, receive, broadcast and agree, private, to rwkv.core on top of the stack. */
void open_ranks(lua_State *L);
void ranks_speak(void);       /* what is said from here on is heard, whoever says it */
void ranks_close(int status); /* the end of all, unless it is a good one */

/* ---- words that it knows, and others (usage.c) ---- */

void print_usage(FILE *to);
int unknown_option(lua_State *L, const char *word); /* raises */
void push_unknown_command(lua_State *L, const char *word);

/* ---- the process (process.c) ---- */

bool process_open(void); /* what it may have been started without; false: it cannot run, that is said */
/* Closes what whoever started us left open for writing, a socket, say: no wall stands there. Before we open files. */
void process_close_inherited(void);
bool process_close(void); /* false: the output could not be written, that is said */

/* Text as it may go to a terminal: control characters and what is no UTF-8 as \xhh (visible.c). */
void print_visible(FILE *to, const char *text);

/* ---- what ends a program (watch.c) ---- */

/* From here on; a limit of 0 is none. */
void watch_open(lua_State *L, double max_seconds, double max_instructions);
void watch_close(void); /* before lua_close */
/* Adds uninterrupted, heed, noticed and attend, private, to rwkv.core on top of the stack. */
void open_watch(lua_State *L);
/* Calls the function under its arguments with a traceback for errors and Ctrl-C raising one. An error is text. */
int call_interruptible(lua_State *L, int arguments, int results);

/* ---- what is said of errors (message.c) ---- */

void make_text(lua_State *L);    /* of the error object on top of the stack */
int add_traceback(lua_State *L); /* a message handler */
enum { INTERRUPTED = 130 };      /* the exit status after Ctrl-C */
bool is_interrupt(const char *message);
const char *short_of_library(const char *message); /* without the places in the library that stand before others */
bool is_of_library(const char *source);            /* of lua_Debug: a file of lua/ */

/* ---- which files are loaded (source.c) ---- */

/* Adds sources, private, to rwkv.core on top of the stack; before sandbox_open. */
void source_open(lua_State *L);
void source_note(lua_State *L, const char *path); /* the file is being loaded; NULL: the standard input */

/* ---- the library's world (library.c) ---- */

/* Makes it, and lets `require` find it; core: the index of the table rwkv.core. After sandbox_open. */
void library_open(lua_State *L, int core);
void library_arguments(lua_State *L); /* the global `arg` is there */
void library_name(lua_State *L);      /* the globals rwkv and help, as at the prompt */
/* ", did you mean 'x'?" of the list on top of the stack, or "" (lua/rwkv/nearest.lua). Replaces the list by it. */
const char *library_hint(lua_State *L, const char *word);
int load_library(lua_State *L, const char *path); /* luaL_loadfile, of a file of the library */

/* ---- what a script may do (sandbox.c, confine.c) ---- */

/* Puts a script's world in the place of Lua's. */
void sandbox_open(lua_State *L);
/* luaL_loadfile, in the sandbox of text only. */
int load_script(lua_State *L, const char *path);
/* Lets the kernel keep this process from doing more; before, output_limit has said where it may write. At the prompt
   the line editor sends signals. */
void confine(bool at_prompt);

#endif
