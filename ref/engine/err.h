/* The error boundary. Whatever is wrong with a user's input ends in rwkv_fail, and surfaces where the
   library was entered: as the return value of rwkv_protect in C, as an error in Lua. */
#ifndef AVIARY_ERR_H
#define AVIARY_ERR_H

#include "memory.h"

/* Runs fn(arg). Returns NULL if it came back, otherwise the message of the rwkv_fail that ended it
   (valid until the next failure). Calls may nest. */
const char *rwkv_protect(void (*fn)(void *arg), void *arg);

/* Ends the current protected call with a message: the thing, what was expected, what was found.
   Never call it inside a parallel region. */
_Noreturn void rwkv_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What to do with a failure outside of every rwkv_protect; the default prints it and exits with
   status 1. The handler must not return. */
void rwkv_on_fail(void (*handler)(const char *message));

/* Long work asks now and then whether somebody wants it to end: `asked` says so once, and it is so until the next
   failure. rwkv_poll fails with "interrupted" then. */
void rwkv_on_stop(bool (*asked)(void));
bool rwkv_stopping(void);
void rwkv_poll(void);

#endif
