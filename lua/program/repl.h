/* The prompt: its line editor (repl_line.c) and what Tab completes (repl_complete.c). */
#ifndef AVIARY_REPL_H
#define AVIARY_REPL_H

#include <lua.h>
#include <stdbool.h>

/* Reads the history, sets up the keys. */
void line_open(lua_State *L);
/* A line in a malloc'ed string; NULL at the end of input. *cancelled: Ctrl-C was pressed, what was typed is void. */
char *line_read(const char *prompt, bool *cancelled);

/* Names that go on where `text` ends, such as "rwkv.ten": whole words, in a list for free_words; NULL if there are
   none. Looks at raw fields and at the method tables of classes; nothing of the script runs. */
char **complete_words(lua_State *L, const char *text);
void free_words(char **words);

#endif
