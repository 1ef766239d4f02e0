/* A zip archive in the making: every entry is stored, and its bytes begin at a multiple of 64 in the file, so that they
   can be used where they stand. Beyond 4 GiB, or 65534 entries, it is a zip64. False: errno says why. */
#ifndef AVIARY_ARCHIVE_WRITE_H
#define AVIARY_ARCHIVE_WRITE_H

#include "../engine/arena.h"

#include <stdint.h>
#include <stdio.h>

typedef struct ArchiveEntry ArchiveEntry;

typedef struct {
  FILE *file;
  Arena *arena; /* of what it must remember */
  ArchiveEntry *first, *last;
  uint64_t count;
} ArchiveOut;

/* size: what the entry will have if that is 4 GiB or more; otherwise it need not be known. */
bool archive_begin(ArchiveOut *a, const char *name, uint64_t size);
bool archive_put(void *archive_out, const void *bytes, size_t n); /* a WriterSink */
bool archive_end(ArchiveOut *a);
bool archive_text(ArchiveOut *a, const char *name, const char *text); /* an entry at once */
bool archive_finish(ArchiveOut *a);

#endif
