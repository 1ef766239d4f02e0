#include "err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Frame {
  jmp_buf env;
  struct Frame *outer;
} Frame;

static Frame *innermost;
static char message[1024];
static void (*unprotected)(const char *);
static bool (*stop_asked)(void);
static bool stopping;

const char *rwkv_protect(void (*fn)(void *), void *arg)
{
  Frame frame;
  frame.outer = innermost;
  innermost = &frame;
  if (setjmp(frame.env) == 0) {
    fn(arg);
    innermost = frame.outer;
    return NULL;
  }
  innermost = frame.outer; /* rwkv_fail came here */
  return message;
}

void rwkv_fail(const char *format, ...)
{
  char text[sizeof message]; /* the arguments may point into `message` */
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  snprintf(message, sizeof message, "%s", text);
  stopping = false;

  if (innermost) longjmp(innermost->env, 1);
  if (unprotected) unprotected(message);
  fprintf(stderr, "aviary: %s\n", message);
  exit(1);
}

void rwkv_on_fail(void (*handler)(const char *)) { unprotected = handler; }

void rwkv_on_stop(bool (*asked)(void)) { stop_asked = asked; }

bool rwkv_stopping(void) { return stopping = stopping || (stop_asked && stop_asked()); }

void rwkv_poll(void)
{
  if (rwkv_stopping()) rwkv_fail("interrupted");
}
