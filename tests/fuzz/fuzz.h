/* What targets of libFuzzer share: the bytes it makes as a file, in memory, that opens by its path. */
#ifndef AVIARY_FUZZ_H
#define AVIARY_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
const char *__asan_default_options(void);

/* Freed memory is watched for a while only: with the default of 256 MB every run would touch new pages. */
const char *__asan_default_options(void) { return "quarantine_size_mb=8:malloc_context_size=12"; }

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
