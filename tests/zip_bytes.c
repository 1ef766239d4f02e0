#include "zip_bytes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(unsigned char *out, size_t *size, size_t room, const void *bytes, size_t n)
{
  if (n > room - *size) {
    fprintf(stderr, "zip_bytes: no room\n");
    exit(1);
  }
  memcpy(out + *size, bytes, n);
  *size += n;
}

/* The numbers' lowest `width` bytes each. */
static void put_numbers(unsigned char *out, size_t *size, size_t room, int width, int count, const uint32_t *numbers)
{
  for (int i = 0; i < count; i++)
    for (int j = 0; j < width; j++) put(out, size, room, &(unsigned char){(unsigned char)(numbers[i] >> 8 * j)}, 1);
}

static uint32_t crc_of(const unsigned char *bytes, size_t n)
{
  uint32_t crc = ~0u;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1) * 0xedb88320u;
  }
  return ~crc;
}

void zip_bytes_add(ZipBytes *z, const char *name, const void *bytes, size_t n)
{
  uint32_t at = (uint32_t)z->size, length = (uint32_t)strlen(name);
  uint32_t sizes[3] = {crc_of(bytes, n), (uint32_t)n, (uint32_t)(z->claimed ? z->claimed : n)};
  uint32_t about[5] = {20, 0, (uint32_t)z->method, 0, 33};
  put(z->bytes, &z->size, ZIP_BYTES_ROOM, "PK\3\4", 4);
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 2, 5, about);
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 4, 3, sizes);
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 2, 2, (uint32_t[]){length, 0});
  put(z->bytes, &z->size, ZIP_BYTES_ROOM, name, length);
  put(z->bytes, &z->size, ZIP_BYTES_ROOM, bytes, n);
  put(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, "PK\1\2\24\0", 6);
  put_numbers(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, 2, 5, about);
  put_numbers(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, 4, 3, sizes);
  put_numbers(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, 2, 5, (uint32_t[]){length, 0, 0, 0, 0});
  put_numbers(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, 4, 2, (uint32_t[]){0, at});
  put(z->directory, &z->listed, ZIP_BYTES_DIRECTORY, name, length);
  z->count++;
}

void zip_bytes_end(ZipBytes *z)
{
  uint32_t at = (uint32_t)z->size, count = (uint32_t)z->count;
  put(z->bytes, &z->size, ZIP_BYTES_ROOM, z->directory, z->listed);
  put(z->bytes, &z->size, ZIP_BYTES_ROOM, "PK\5\6", 4);
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 2, 4, (uint32_t[]){0, 0, count, count});
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 4, 2, (uint32_t[]){(uint32_t)z->listed, at});
  put_numbers(z->bytes, &z->size, ZIP_BYTES_ROOM, 2, 1, (uint32_t[]){0});
}
