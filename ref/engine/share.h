/* Loops whose parts do not look at each other, on the threads of whoever has some. */
#ifndef AVIARY_SHARE_H
#define AVIARY_SHARE_H

#include <stddef.h>

typedef void ShareWork(const void *arg, size_t i);

/* Calls work(arg, i) once for each i of 0..count; returns when all are done. In any order, on any thread: what comes
   out must not depend on it, and work must not fail. */
void rwkv_share(size_t count, ShareWork *work, const void *arg);

/* Who does it from here on; NULL: one after the other, on this thread. */
void rwkv_on_share(void (*share)(size_t count, ShareWork *work, const void *arg));

#endif
