/* Zip archives made by hand: stored entries, with the checksums and the directory that belong to them. */
#ifndef AVIARY_TEST_ZIP_BYTES_H
#define AVIARY_TEST_ZIP_BYTES_H

#include <stddef.h>

enum { ZIP_BYTES_ROOM = 1 << 16, ZIP_BYTES_DIRECTORY = 1 << 12 };

typedef struct {
  unsigned char bytes[ZIP_BYTES_ROOM], directory[ZIP_BYTES_DIRECTORY];
  size_t size, listed; /* of both */
  int count, method;   /* method: what the next entries say of themselves; 0: stored */
  size_t claimed;      /* how large they say to be unpacked; 0: as large as they are */
} ZipBytes;

void zip_bytes_add(ZipBytes *z, const char *name, const void *bytes, size_t n);
void zip_bytes_end(ZipBytes *z); /* puts the directory behind the entries */

#endif
