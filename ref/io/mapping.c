#include "format.h"

#include "../engine/err.h"
#include "regular.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static Mapping *all; /* changed by one thread, while no other one reads numbers */
static struct sigaction before;

/* A page beyond the end of a file that was cut short: without this the process would be killed. All that follows
   becomes zeros. Any other fault is left to whoever had the signal before. */
static void on_missing_page(int signal, siginfo_t *info, void *context)
{
  (void)context;
  uintptr_t at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (Mapping *m = all; m; m = m->next) {
    uintptr_t begin = (uintptr_t)m->bytes, end = (begin + m->size + page - 1) / page * page;
    if (at < begin || at >= end) continue;
    at -= at % page;
    void *zeros = mmap((void *)at, end - at, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    m->cut = true;
    return;
  }
  sigaction(signal, &before, NULL);
}

/* Somebody else may have taken the signal since the last file. */
static void watch(void)
{
  struct sigaction missing = {.sa_sigaction = on_missing_page, .sa_flags = SA_SIGINFO}, now;
  if (sigaction(SIGBUS, NULL, &now) || now.sa_sigaction == on_missing_page) return;
  sigaction(SIGBUS, &missing, &before);
}

Mapping *mapping_open(const char *path)
{
  size_t size;
  FILE *file = regular_open(path, &size);
  Mapping *m = rwkv_try_alloc(1, sizeof *m + strlen(path) + 1);
  watch();
  void *bytes = m && size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(file), 0) : (void *)"";
  int problem = errno;
  struct stat s;
  if (!m || bytes == MAP_FAILED || fstat(fileno(file), &s)) {
    rwkv_release(m);
    fclose(file);
    rwkv_fail("%s: %s", path, m ? strerror(problem) : "out of memory");
  }
  m->bytes = bytes, m->size = size, m->next = all;
  m->file = file, m->modified = s.st_mtim;
  strcpy(m->path, path);
  return all = m;
}

void mapping_close(Mapping *m)
{
  Mapping **at = &all;
  if (!m) return;
  while (*at != m) at = &(*at)->next;
  *at = m->next;
  fclose(m->file);
  if (m->size) munmap((void *)m->bytes, m->size);
  rwkv_release(m);
}

void mapping_forget(const Mapping *m)
{
  if (m->size) madvise((void *)m->bytes, m->size, MADV_DONTNEED);
}

bool mapping_changed(const Mapping *m)
{
  struct stat s;
  bool same = !m->cut && fstat(fileno(m->file), &s) == 0 && (size_t)s.st_size == m->size &&
              s.st_mtim.tv_sec == m->modified.tv_sec && s.st_mtim.tv_nsec == m->modified.tv_nsec;
  return !same;
}
