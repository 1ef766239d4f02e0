#include "memory.h"

#include "err.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t used, limit = SIZE_MAX;
static const char *limit_set_by;

void memory_limit(size_t bytes, const char *set_by)
{
  limit = bytes ? bytes : SIZE_MAX;
  limit_set_by = set_by;
}

size_t memory_used(void) { return used; }

size_t memory_left(void) { return used < limit ? limit - used : 0; }

const char *memory_limit_text(void)
{
  static char text[100];
  if (limit == SIZE_MAX) return "what the machine gives";
  snprintf(text, sizeof text, "%s (%s)", memory_text(limit), limit_set_by);
  return text;
}

static bool fits(size_t bytes) { return bytes <= memory_left(); }

bool memory_take(size_t bytes)
{
  if (!fits(bytes)) return false;
  used += bytes;
  return true;
}

void memory_give(size_t bytes) { used -= bytes < used ? bytes : used; }

void *rwkv_try_alloc(size_t count, size_t size)
{
  if (size && count > SIZE_MAX / size) return NULL;
  void *p = fits(count * size) ? calloc(count ? count : 1, size ? size : 1) : NULL;
  if (p) used += malloc_usable_size(p);
  return p;
}

void rwkv_release(void *p)
{
  memory_give(malloc_usable_size(p));
  free(p);
}

void *rwkv_alloc(size_t count, size_t size, const char *what)
{
  void *p = rwkv_try_alloc(count, size);
  if (!p) memory_fail(size && count > SIZE_MAX / size ? SIZE_MAX : count * size, "%s", what);
  return p;
}

void memory_fail(size_t bytes, const char *format, ...)
{
  char what[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  rwkv_fail("out of memory: %s needs %s; %s are taken, the limit is %s", what, memory_text(bytes), memory_text(used),
            memory_limit_text());
}

/* ---- the memory of the process ---- */

enum { LARGE = 1 << 20 }; /* bytes from which on memory is whole pages, as a block of an arena has to be */

/* Of what is given back a little is kept for who next wants as much: new pages cost more than what a small training
   step does with them (the states of a batch come and go with every step). One thread alone takes and gives. */
enum { KEPT = 8, KEPT_BYTES = 8 << 20 };
static struct {
  void *p;
  size_t bytes;
} kept[KEPT];

/* What is mapped for so many bytes: of what may be kept an eighth more at most, so that what grows by a little each
   time, as the keys of attention do with every token, finds the pages that it gave back. */
static size_t mapped(size_t bytes)
{
  if (bytes > KEPT_BYTES) return bytes;
  size_t step = LARGE / 8;
  while (16 * step <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

static void *take_kept(size_t bytes)
{
  for (int i = 0; i < KEPT; i++)
    if (kept[i].p && kept[i].bytes == mapped(bytes)) {
      void *p = kept[i].p;
      kept[i].p = NULL;
      return memset(p, 0, bytes);
    }
  return NULL;
}

static bool keep(void *p, size_t bytes)
{
#ifdef AVIARY_POISON
  return (void)p, (void)bytes, false; /* what is used after it is given back shows */
#endif
  static int oldest;
  if (mapped(bytes) > KEPT_BYTES) return false;
  if (kept[oldest].p) munmap(kept[oldest].p, kept[oldest].bytes);
  kept[oldest].p = p, kept[oldest].bytes = mapped(bytes);
  oldest = (oldest + 1) % KEPT;
  return true;
}

static void *host_alloc(size_t bytes)
{
  if (bytes < LARGE) return rwkv_try_alloc(bytes, 1);
  if (!memory_take(bytes)) return NULL;
  void *again = take_kept(bytes);
  if (again) return again;
  void *p = mmap(NULL, mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return memory_give(bytes), NULL;
#ifdef MADV_HUGEPAGE
  madvise(p, bytes, MADV_HUGEPAGE); /* large pages, or most of a small step's time would go into page faults */
#endif
  return p;
}

static void host_free(void *p, size_t bytes)
{
  if (bytes < LARGE) {
    rwkv_release(p);
  } else if (p) {
    if (!keep(p, bytes)) munmap(p, mapped(bytes));
    memory_give(bytes);
  }
}

static void host_copy(void *to, const void *from, size_t bytes)
{
  if (bytes) memcpy(to, from, bytes);
}

static bool yes(void) { return true; }

const Memory memory_host = {host_alloc, host_free, host_copy, host_copy, yes};

const char *memory_text(size_t bytes)
{
  static char buffers[4][24];
  static unsigned next;
  static const char units[] = " KMGTPE";
  char *text = buffers[next++ % 4];
  double x = (double)bytes;
  int unit = 0;
  while (x >= 999.5) x /= 1024, unit++;
  snprintf(text, sizeof buffers[0], unit ? "%.3g%c" : "%.0f bytes", x, units[unit]);
  return text;
}
