/* What the bindings ask of the program around them; for a stock Lua module.c answers. */
#ifndef AVIARY_AROUND_H
#define AVIARY_AROUND_H

#include <lua.h>
#include <stdbool.h>

const char *program_cuda(void);           /* the path of the module for devices, in this program's precision, or NULL */
void program_become_double(lua_State *L); /* runs the float64 program in its place, with the same arguments; raises */
bool of_library(lua_State *L, const char *source); /* whether a chunk's source is a file of the library */
void check_time(lua_State *L);                     /* ends the program if its time is over */

#endif
