/* Memory: how much is taken, and how much may be. What the library holds is counted here; a program that embeds
   it can report what it takes itself. One thread only. */
#ifndef AVIARY_MEMORY_H
#define AVIARY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* From here on at most this much; 0: no limit. `set_by` says in messages who wants it so, and must stay. */
void memory_limit(size_t bytes, const char *set_by);
size_t memory_used(void);
size_t memory_left(void);            /* until the limit */
const char *memory_limit_text(void); /* "512M (set by)" */

/* Counts bytes that come from elsewhere. memory_take refuses, and counts nothing, beyond the limit. */
bool memory_take(size_t bytes);
void memory_give(size_t bytes);

/* Fails with what was wanted and what is taken. */
_Noreturn void memory_fail(size_t bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Counted and zeroed. rwkv_alloc fails through rwkv_fail, and `what` names it in the message; rwkv_try_alloc
   returns NULL. Both go by rwkv_release. */
void *rwkv_alloc(size_t count, size_t size, const char *what);
void *rwkv_try_alloc(size_t count, size_t size);
void rwkv_release(void *p);

/* Where numbers are: in the process, or on a device that only its backend can read. */
typedef struct {
  void *(*alloc)(size_t bytes); /* zeros; counted; NULL: there is not so much */
  void (*free)(void *p, size_t bytes);
  void (*read)(void *to, const void *from, size_t bytes);  /* from there */
  void (*write)(void *to, const void *from, size_t bytes); /* to there */
  bool (*in_process)(void); /* whether it is memory like any other: test builds watch it then */
} Memory;
extern const Memory memory_host;

/* "512M" in a small rotating buffer. */
const char *memory_text(size_t bytes);

#endif
