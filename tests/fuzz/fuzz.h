/* What targets of libFuzzer share: the bytes it makes as a file, in memory, that opens by its path. */
#ifndef AVIARY_FUZZ_H
#define AVIARY_FUZZ_H

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
const char *__asan_default_options(void);

/* Freed memory is watched for a while only: with the default of 256 MB every run would touch new pages. */
const char *__asan_default_options(void) { return "quarantine_size_mb=8:malloc_context_size=12"; }

/* A mapped file ends within a page: what is read behind its end is a fault all the same. */
void *__real_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *p, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void *p, size_t size);

static const unsigned char *fuzz_mapped; /* the file that was mapped last */

static inline size_t fuzz_behind(size_t size) { return -size % (size_t)sysconf(_SC_PAGESIZE); }

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
  char *p = __real_mmap(at, size, protection, flags, file, offset);
  if (p == MAP_FAILED || file < 0) return p;
  ASAN_POISON_MEMORY_REGION(p + size, fuzz_behind(size));
  fuzz_mapped = (const unsigned char *)p;
  return p;
}

int __wrap_munmap(void *p, size_t size)
{
  ASAN_UNPOISON_MEMORY_REGION((char *)p + size, fuzz_behind(size));
  return __real_munmap(p, size);
}

/* What a target finds wrong by itself ends it like a crash. */
static inline void fuzz_need(int ok, const char *what)
{
  if (ok) return;
  fprintf(stderr, "fuzz: %s\n", what);
  abort();
}

/* The path of a file that holds these bytes until the next call. */
static inline const char *fuzz_file(const uint8_t *bytes, size_t size)
{
  static char path[40];
  static int file = -1;
  if (file < 0) {
    file = memfd_create("fuzz", 0);
    fuzz_need(file >= 0, "no memory file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  }
  fuzz_need(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size, "the memory file is not written");
  return path;
}

#endif
