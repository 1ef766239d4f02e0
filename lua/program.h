/* The program `aviary`: where its files are, and its other half. */
#ifndef AVIARY_PROGRAM_H
#define AVIARY_PROGRAM_H

#include <lua.h>

/* The commit it was built from, with a "+" if there were uncommitted changes. */
const char *program_commit(void);
/* The directory that holds lua/, or NULL. */
const char *program_home(void);
/* Replaces this process by the float64 program with the same arguments; raises if there is none. */
void program_become_double(lua_State *L);
/* Reads, runs and prints until the end of input. */
void repl(lua_State *L);
/* Calls the function under its arguments with a traceback for errors and Ctrl-C raising one. */
int call_interruptible(lua_State *L, int arguments, int results);

#endif
